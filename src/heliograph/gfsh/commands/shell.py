"""Commands that need no site: variables, history, help and hint, scripts, and leaving."""

from __future__ import annotations

from pathlib import Path

import click

from heliograph import __version__
from heliograph.errors import UsageError
from heliograph.gfsh.grammar import BOOLEAN, command, refused
from heliograph.gfsh.session import Session
from heliograph.model.refusals import SH
from heliograph.model.results import Result, Table

_DEBUG = "debug command"


@command("echo")
@click.argument("words", nargs=-1)
@click.option("--string", default="", help="Text to show; $* shows all variables.")
@click.pass_obj
def echo(session: Session, words: tuple[str, ...], string: str) -> Result:
    """Show a text."""
    text = " ".join([*words, string] if string else words)
    if text == "$*":
        return Result(tables=[Table(("Property", "Value"), [*session.variables.items()])])
    return Result(info=[text])


@command("set variable")
@click.option("--name", required=True, help="Letters, digits and '_', not beginning with a digit.")
@click.option("--value", required=True, help="Its value, a text.")
@click.pass_obj
def set_variable(session: Session, name: str, value: str) -> Result:
    """Set a variable, by which ${name} is replaced in what follows."""
    session.variables.set(name, value)
    return Result(info=[f"Value for variable {name} is now: {value}"])


@command("history")
@click.option("--file", "path", type=click.Path(path_type=Path), help="Write it to this file, which must not exist.")
@click.option("--clear", type=BOOLEAN, default=False, help="Forget it. [default: false]")
@click.pass_obj
def history(session: Session, path: Path | None, clear: bool) -> Result:
    """Show the commands that were run, without their passwords."""
    if clear:
        session.clear_history()
        return Result(info=["Successfully deleted history"])
    if path is None:
        return Result(info=[f"{number:5}  {line}" for number, line in enumerate(session.lines, start=1)])
    try:
        with path.open("x", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in session.lines)
    except FileExistsError as exc:
        raise UsageError(f"{path} exists: give --file another name") from exc
    return Result(info=[f"Wrote {len(session.lines)} lines to {path}"])


@command("hint")
@click.argument("words", nargs=-1)
def hint(words: tuple[str, ...]) -> Result:
    """Show topics, or the commands of one."""
    from heliograph.gfsh.topics import TOPICS, is_of
    from heliograph.gfsh.tree import commands, walk

    if not words:
        return Result(info=["Topics; `hint <topic>` lists the commands of one:", "", *TOPICS])
    asked = " ".join(words)
    topic = next((topic for topic in TOPICS if topic.lower() == asked.lower()), None)
    if topic is None:
        return Result(info=[f"Unknown topic: {asked}. Use hint to view the list of topics."])
    of_topic = [(path, each.get_short_help_str(90)) for path, each in walk(commands()) if is_of(topic, path)]
    return Result(tables=[Table(("Command", "Does"), [*of_topic], topic)])


@command("sh")
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@click.option("--command", "line", default="", help="The command, as one text.")
@refused(SH)
@click.pass_obj
def run_outside(session: Session, words: tuple[str, ...], line: str) -> Result:
    """Run a command of the operating system, by its shell."""
    import shlex
    import subprocess

    text = line or (words[0] if len(words) == 1 else shlex.join(words))
    if not text:
        raise UsageError("sh needs a command: sh ls, or sh --command='ls -l | wc -l'")
    kept = subprocess.PIPE if session.printer.json else None  # which has one object a command
    ran = subprocess.run(text, shell=True, check=False, stdout=kept, text=True, errors="replace")  # noqa: S602  (asked for)
    lines = (ran.stdout or "").splitlines()
    if ran.returncode:
        return Result(status="ERROR", info=[*lines, f"it ended with exit status {ran.returncode}: {text}"])
    return Result(info=lines)


@command("debug")
@click.option("--state", type=click.Choice(["ON", "OFF"], case_sensitive=False), required=True,
              help="Whether to show what happens inside, on standard error.")  # fmt: skip
def debug(state: str) -> Result:
    """Show what happens inside the shell, or no longer."""
    import logging

    logger = logging.getLogger("heliograph")
    shown = [handler for handler in logger.handlers if handler.name == _DEBUG]
    for handler in shown:
        logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
    if state == "ON":
        handler = logging.StreamHandler()
        handler.set_name(_DEBUG)
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    return Result(info=[f"Debug is {state.lower()}"])


@command("sleep")
@click.option("--time", "seconds", type=click.FloatRange(min=0), default=3.0, help="Seconds. [default: 3]")
def sleep(seconds: float) -> Result:
    """Wait."""
    import time

    time.sleep(seconds)
    return Result()


@command("help")
@click.argument("words", nargs=-1)
def show_help(words: tuple[str, ...]) -> Result:
    """Explain a command, or list all of them."""
    from heliograph.gfsh.tree import Tree, find

    subject = find(words)
    if subject is None:
        raise UsageError(f"there is no command {' '.join(words)!r}: `help` lists all of them")
    if not words and isinstance(subject, Tree):
        return Result(info=subject.listing().splitlines())
    return Result(info=subject.get_help(click.Context(subject, info_name=" ".join(words))).splitlines())


@command("version")
@click.option("--full", type=BOOLEAN, default=False, help="And of what it rests on. [default: false]")
def version(full: bool) -> Result:
    """Show the version of this program."""
    if not full:
        return Result(info=[f"heliograph {__version__}"])
    from heliograph.gfsh.bench.measuring import machine, versions

    return Result(data=versions() | machine())


@command("run")
@click.option("--file", "path", required=True, type=click.Path(path_type=Path), help="The script.")
@click.option("--quiet", type=BOOLEAN, default=False, help="Show failures only. [default: false]")
@click.option("--continue-on-error", type=BOOLEAN, default=False, help="Go on after a failure. [default: false]")
@click.pass_obj
def run(session: Session, path: Path, quiet: bool, continue_on_error: bool) -> Result:
    """Run the commands of a script, one a line, up to the first that fails."""
    from heliograph.gfsh.dispatch import run_script

    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise UsageError(f"{path} is not a text in UTF-8: {exc}") from exc
    with session.printer.quieted(quiet):
        ran = run_script(session, text, continue_on_error=continue_on_error)
    rows: list[tuple[str, ...]] = [(line, "PASSED" if passed else "FAILED") for line, passed in ran]
    summary = Table(("Command", "Status"), rows, "Execution Summary")
    failures = [line for line, passed in ran if not passed]
    if failures:
        return Result(status="ERROR", info=[f"failed in {path}: {line}" for line in failures], tables=[summary])
    return Result(tables=[summary])


def _leave(session: Session) -> Result:
    """Leave the shell."""
    session.leaving = True
    return Result()


exit_shell = command("exit")(click.pass_obj(_leave))
quit_shell = command("quit")(click.pass_obj(_leave))

for _takes_any_word in (echo, run_outside):
    _takes_any_word.context_settings["ignore_unknown_options"] = True

COMMANDS = (
    echo,
    set_variable,
    history,
    hint,
    run_outside,
    debug,
    sleep,
    show_help,
    version,
    run,
    exit_shell,
    quit_shell,
)
