from __future__ import annotations

import errno
import io
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from heliograph.gfsh.output import Printer
from heliograph.gfsh.session import Session
from heliograph.gfsh.shell import RedactedHistory, candidates, history_file, run_shell, run_text


def offered(line: str) -> list[str]:
    return [text for text, _ in candidates(line)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("conn", ["connect"]),
        ("list ", ["async-event-queues", "disk-stores", "gateways", "members", "parked-events", "regions"]),
        ("connect --locator=a[1]; describe c", ["connection"]),
        ("create re", ["region"]),
        ("pause gateway-sender ", ["--id=", "--member=", "--group="]),
        ("pause gateway-sender --id=c ", ["--member=", "--group="]),
        ("create region --n", ["--name="]),
        ("create region --type=REPLICATE_", ["--type=REPLICATE_PERSISTENT"]),
        ("create gateway-sender --parallel=", ["--parallel=true", "--parallel=false"]),
        ("put --key=", []),
        ("nonsense ", []),
    ],
)
def test_completion(line: str, expected: list[str]) -> None:
    assert offered(line) == expected


def test_everything_is_offered_at_the_beginning() -> None:
    assert {"connect", "create", "start", "put", "exit"} <= set(offered(""))


def test_what_is_typed_is_run_up_to_a_failure() -> None:
    out, err = io.StringIO(), io.StringIO()
    session = Session(Printer(out=out, err=err))
    run_text(session, "echo a; nonsense; echo b")
    run_text(session, "# nothing")
    run_text(session, "echo /* open")
    run_text(session, "quit")
    assert out.getvalue() == "a\n"
    assert err.getvalue().splitlines()[0].startswith("No such command 'nonsense'")
    assert "not closed" in err.getvalue()
    assert session.leaving


def test_the_history_holds_no_password(tmp_path: Path) -> None:
    path = tmp_path / "history"
    RedactedHistory(str(path)).append_string("connect --password=secret")
    assert "connect" in path.read_text()
    assert "secret" not in path.read_text()


def test_the_history_is_kept_in_the_state_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert history_file() == tmp_path / "heliograph" / "history"


def test_where_no_history_can_be_kept_the_shell_says_so_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    out = io.StringIO()
    session = Session(Printer(out=out))
    with create_pipe_input() as typed, create_app_session(input=typed, output=DummyOutput()):
        typed.send_text("echo hello\nexit\n")
        run_shell(session)
    assert "the history of this session is not kept" in out.getvalue()
    assert "hello" in out.getvalue()


@pytest.mark.timeout(60)
def test_at_a_terminal(tmp_path: Path) -> None:
    """The real shell: it prompts, runs what is typed, and ends at the end of input."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "TERM": "dumb"}
    code = "import sys; from heliograph.gfsh.cli import main; sys.exit(main([]))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as shell:
        os.close(theirs)
        try:
            read_until(ours, b"gfsh>")
            os.write(ours, b"echo 'one' 'two'\r")
            read_until(ours, b"one two\r\ngfsh>")
            # The prompt stands before the terminal is ready for keys, so one key press may go unnoticed.
            while not closed(ours):
                os.write(ours, b"\x04")
            assert shell.wait(20) == 0
        finally:
            shell.kill()
            os.close(ours)


def read_until(terminal: int, expected: bytes) -> None:
    seen = b""
    deadline = time.monotonic() + 20
    while expected not in seen:
        assert time.monotonic() < deadline, seen
        if select.select([terminal], [], [], 0.5)[0]:
            seen += os.read(terminal, 4096)


def closed(terminal: int) -> bool:
    """Read for a moment, and say whether the other end is closed (Linux says EIO, macOS the end of the file)."""
    while select.select([terminal], [], [], 0.3)[0]:
        try:
            if not os.read(terminal, 4096):
                return True
        except OSError as exc:
            if exc.errno == errno.EIO:
                return True
            raise
    return False
