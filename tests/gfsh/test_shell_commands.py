"""Commands that need no site."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph.gfsh.topics import TOPICS, is_of
from heliograph.gfsh.tree import commands, walk
from tests.gfsh.support import Program


@pytest.fixture(autouse=True)
def _log() -> Iterator[None]:
    logger = logging.getLogger("heliograph")
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


def lines(program: Program, *commands: str) -> list[str]:
    ran = program(*(word for command in commands for word in ("-e", command)))
    assert ran.status == 0, ran.err
    return ran.out.splitlines()


def test_variables_are_replaced_and_the_line_is_shown_unless_quiet(program: Program) -> None:
    script = "set variable --name=A --value='x y'\necho ${A}${NONE}z\n"
    assert program(stdin=script).out.splitlines()[-4:] == ["", "echo x yz", "", "x yz"]
    quiet = program(stdin=f"set variable --name=APP_QUIET_EXECUTION --value=true\n{script}").out.splitlines()
    assert quiet[-3:] == ["3. Executing - echo ${A}${NONE}z", "", "x yz"]
    shown = lines(program, "set variable --name=A --value=x", "echo ${A}")
    assert shown[-3:] == ["(2) Executing - echo ${A}", "", "x"]


def test_a_line_may_be_given_with_its_prompt(program: Program) -> None:
    assert lines(program, "gfsh>echo a")[-1] == "a"
    ran = program(stdin="gfsh> echo a\n  gfsh>echo b; echo c\ngfsh>\nhistory\n")
    assert ran.out.splitlines()[-4:] == ["    1  echo a", "    2  echo b; echo c", "    3  ", "    4  history"]


def test_a_variable_may_hold_a_command(program: Program) -> None:
    assert lines(program, "set variable --name=A --value=echo", "${A} b")[-1] == "b"


def test_the_last_exit_status_is_known(program: Program) -> None:
    Path("script").write_text("nonsense\necho ${APP_LAST_EXIT_STATUS}\necho ${APP_LAST_EXIT_STATUS}\necho 'a\necho "
                              "${APP_LAST_EXIT_STATUS}\n")  # fmt: skip
    ran = program("run", "--file=script", "--continue-on-error=true")
    shown = [line for line in ran.out.splitlines() if line in ("0", "-1", "-2")]
    assert shown == ["-2", "0", "-1"]


def test_all_variables_are_shown(program: Program) -> None:
    assert any("APP_NAME" in line and "gfsh" in line for line in lines(program, "echo $*"))


def test_the_history_is_shown_written_and_forgotten(program: Program, tmp_path: Path) -> None:
    shown = lines(
        program, "echo a", "echo --string='--password=b'", "history --file=lines", "history --clear", "history"
    )
    assert (tmp_path / "lines").read_text().splitlines()[:2] == ["echo a", "echo --string='--password=********"]
    assert shown[-1] == "    1  history"
    ran = program("-e", "history --file=lines")
    assert (ran.status, "lines exists: give --file another name" in ran.err) == (1, True)


def test_every_command_belongs_to_a_topic_and_every_topic_has_commands(program: Program) -> None:
    paths = [path for path, _ in walk(commands())]
    assert [path for path in paths if not any(is_of(topic, path) for topic in TOPICS)] == []
    assert [topic for topic in TOPICS if not any(is_of(topic, path) for path in paths)] == []
    assert "WAN" in lines(program, "hint")
    assert any("create gateway-sender" in line for line in lines(program, "hint wan"))
    assert any("Unknown topic: nothing" in line for line in lines(program, "hint nothing"))


def test_a_command_of_the_system_is_run(program: Program) -> None:
    assert '"info":["a b"]' in program("--json", "-e", "sh --command='echo a b'").out
    ran = program("-e", "sh exit 3")
    assert (ran.status, "exit status 3" in ran.err) == (1, True)
    assert "needs a command" in program("-e", "sh").err


def test_debug_shows_what_happens_inside(program: Program) -> None:
    logger = logging.getLogger("heliograph")
    lines(program, "debug --state=on", "debug --state=ON")
    assert [handler.name for handler in logger.handlers].count("debug command") == 1
    lines(program, "debug --state=OFF")
    assert [handler.name for handler in logger.handlers].count("debug command") == 0


def test_a_command_that_is_not_there_is_guessed(program: Program) -> None:
    error = program("create", "gateway-reciver").err
    assert "Did you mean" in error
    assert "'gateway-receiver'" in error
