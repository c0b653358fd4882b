"""The program: what `helio` and `gfsh` do with their arguments.

helio [--json]                          the shell; a script when standard input is no terminal
helio [--json] -e "command" [-e ...]    commands of one session, up to the first that fails
helio [--json] command ...              one command
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

import click

from heliograph import __version__
from heliograph.gfsh.dispatch import execute, run_line, run_script
from heliograph.gfsh.output import Printer
from heliograph.gfsh.session import Session
from heliograph.gfsh.tokens import redact
from heliograph.gfsh.tree import commands

_unheard = logging.NullHandler()
"""What happens inside is told by results; without a handler, Python would print warnings to standard error."""


class Launcher(click.Command):
    """The program's own options; its help also lists the commands."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands below the options."""
        commands().format_commands(ctx, formatter)


@click.command(
    cls=Launcher,
    context_settings={
        "allow_interspersed_args": False,
        "help_option_names": ["-h", "--help"],
        "max_content_width": 110,
    },
)
@click.version_option(__version__, message="heliograph %(version)s")
@click.option("-e", "lines", multiple=True, metavar="COMMAND", help="Run this command; may be given several times.")
@click.option("--json", is_flag=True, help="Print one JSON object a command.")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND ...]")
def launcher(lines: tuple[str, ...], json: bool, words: tuple[str, ...]) -> int:
    """Regions kept consistent across sites: the commands of GemFire's gfsh.

    Without a command, an interactive shell.
    """
    if lines and words:
        raise click.UsageError("give either -e or a command, not both")
    session = Session(Printer(json=json))
    try:
        if lines:
            passed = _run_lines(session, lines)
        elif words:
            passed = _run_words(session, words)
        elif sys.stdin.isatty():
            from heliograph.gfsh.shell import run_shell

            run_shell(session)
            passed = True
        else:
            passed = all(ran.passed for ran in run_script(session, sys.stdin.read()))
    finally:
        session.disconnect()
    return 0 if passed else 1


def _run_lines(session: Session, lines: Sequence[str]) -> bool:
    session.go_headless()
    for number, line in enumerate(lines, start=1):
        session.printer.announce(f"({number}) Executing - {redact(line)}")
        if not run_line(session, line):
            return False
        if session.leaving:
            break
    return True


def _run_words(session: Session, words: Sequence[str]) -> bool:
    result = execute(session, words)
    session.printer.show(result)
    return result.status == "OK"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status: 0, 1 when a command failed, 130 when it was interrupted."""
    logging.getLogger("heliograph").addHandler(_unheard)
    try:
        status: int = launcher.main(arguments, prog_name="helio", standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        return 1
    except click.Abort:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; nothing more can be said, not even by the interpreter's last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status
