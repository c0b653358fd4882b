"""One way to run a command, wherever it comes from: the shell, `-e`, a script or the program's own arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import click

from heliograph.errors import HeliographError
from heliograph.gfsh.grammar import HelpAsked
from heliograph.gfsh.session import Session
from heliograph.gfsh.tokens import PROMPT, parse_line, redact, script_lines
from heliograph.gfsh.tree import commands
from heliograph.gfsh.variables import FAILED, NOT_EXECUTED, PASSED
from heliograph.model.results import Result, failed

SESSION_LINES_MAX = 10_000
"""Lines that a session remembers."""


def execute(session: Session, words: Sequence[str]) -> Result:
    """Run one command. Everything that a user can cause becomes an ERROR result that says what to do."""
    try:
        outcome = commands().main(list(words), prog_name="gfsh", standalone_mode=False, obj=session)
    except HelpAsked as exc:
        return Result(info=str(exc).splitlines())
    except click.ClickException as exc:
        return failed(_explain(exc))
    except click.Abort:
        return failed("interrupted")
    except HeliographError as exc:
        return failed(str(exc))
    except OSError as exc:
        return failed(f"{exc.filename}: {exc.strerror}" if exc.filename else str(exc))
    return cast(Result, outcome)


def _explain(exc: click.ClickException) -> str:
    if isinstance(exc, click.exceptions.NoArgsIsHelpError):
        return exc.format_message()
    if isinstance(exc, click.exceptions.NoSuchCommand):
        return f"{exc.format_message()} (`help` lists all commands)"
    if isinstance(exc, click.UsageError) and exc.ctx is not None and exc.ctx.parent is not None:
        path = exc.ctx.command_path.partition(" ")[2]
        return f"{path}: {exc.format_message()} (help {path} shows all options)"
    return exc.format_message()


def run_line(session: Session, line: str) -> bool:
    """Run the commands of a line and show their results; stop at the first that fails and return False.

    Variables are replaced first, and the line is shown when that changed it (gfsh.md §1.3). A line of a manual may be
    given as it is there, with the prompt.
    """
    line = line.strip().removeprefix(PROMPT).lstrip()
    _remember(session, line)
    expanded = session.variables.expand(line)
    if expanded != line and not session.variables.quiet:
        session.printer.announce(redact(expanded))
    try:
        parsed = parse_line(expanded)
    except HeliographError as exc:
        session.variables.note_status(NOT_EXECUTED)
        session.printer.show(failed(str(exc)))
        return False
    for command in parsed:
        result = execute(session, command.words)
        session.variables.note_status(FAILED if result.status == "ERROR" else PASSED)
        session.printer.show(result)
        if result.status == "ERROR":
            return False
        if session.leaving:
            break
    return True


def _remember(session: Session, line: str) -> None:
    session.lines.append(redact(line))
    del session.lines[:-SESSION_LINES_MAX]


class Ran(NamedTuple):
    """A line of a script, and how it went."""

    line: str
    passed: bool


def run_script(session: Session, text: str, *, continue_on_error: bool = False) -> list[Ran]:
    """Run a script's lines, announcing each. Raises UsageError for a comment that is not closed, before any line."""
    ran: list[Ran] = []
    for number, line in enumerate(list(script_lines(text)), start=1):
        session.printer.announce(f"{number}. Executing - {redact(line)}")
        ran.append(Ran(redact(line), run_line(session, line)))
        if session.leaving or not (ran[-1].passed or continue_on_error):
            break
    return ran
