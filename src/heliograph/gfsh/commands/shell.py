"""echo, sleep, help, version, run, exit, quit: commands that need no site."""

from __future__ import annotations

from pathlib import Path

import click

from heliograph import __version__
from heliograph.errors import UsageError
from heliograph.gfsh.grammar import BOOLEAN, command
from heliograph.gfsh.session import Session
from heliograph.model.results import Result, Table


@command("echo")
@click.argument("words", nargs=-1)
@click.option("--string", default="", help="Text to show.")
def echo(words: tuple[str, ...], string: str) -> Result:
    """Show a text."""
    return Result(info=[" ".join([*words, string] if string else words)])


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
def version() -> Result:
    """Show the version of this program."""
    return Result(info=[f"heliograph {__version__}"])


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

COMMANDS = (echo, sleep, show_help, version, run, exit_shell, quit_shell)
