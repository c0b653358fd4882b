"""All commands as one tree of click groups: what is parsed, completed and listed.

A module of commands has a tuple `COMMANDS` of what `grammar.command` makes, and stands in `MODULES`. Importing it must
be cheap: whatever is heavy (HTTP, asyncio, processes, tables) is imported inside the functions that need it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import import_module

import click

from heliograph.gfsh.grammar import Helping
from heliograph.gfsh.refused import refused_commands

MODULES = (
    "heliograph.gfsh.commands.connection",
    "heliograph.gfsh.commands.security",
    "heliograph.gfsh.commands.shell",
    "heliograph.gfsh.commands.lifecycle",
    "heliograph.gfsh.commands.running",
    "heliograph.gfsh.commands.members",
    "heliograph.gfsh.commands.runtime",
    "heliograph.gfsh.commands.logs",
    "heliograph.gfsh.commands.shutdown",
    "heliograph.gfsh.commands.regions",
    "heliograph.gfsh.commands.rebalance",
    "heliograph.gfsh.commands.redundancy",
    "heliograph.gfsh.commands.metrics",
    "heliograph.gfsh.commands.data",
    "heliograph.gfsh.commands.query",
    "heliograph.gfsh.commands.transfers",
    "heliograph.gfsh.commands.stores",
    "heliograph.gfsh.commands.senders",
    "heliograph.gfsh.commands.parked",
    "heliograph.gfsh.commands.wan_copy",
    "heliograph.gfsh.commands.receivers",
    "heliograph.gfsh.commands.queues",
    "heliograph.gfsh.commands.conflicts",
    "heliograph.gfsh.commands.topology",
    "heliograph.gfsh.commands.configuration",
    "heliograph.gfsh.demo.command",
    "heliograph.gfsh.bench.command",
)


class Tree(Helping, click.Group):
    """A group of commands; its help lists every command below it by its whole name."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands."""
        rows = [(path, command.get_short_help_str(limit=90)) for path, command in walk(self)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def listing(self) -> str:
        """Return the list of commands."""
        context = click.Context(self)
        formatter = context.make_formatter()
        self.format_commands(context, formatter)
        return formatter.getvalue().strip()


@cache
def commands() -> Tree:
    """Return the tree of all commands; those that are refused are hidden in it."""
    root = Tree("gfsh")
    for module in MODULES:
        for command in import_module(module).COMMANDS:
            _add(root, command)
    for refused in refused_commands():
        _add(root, refused)
    return root


def _add(root: Tree, command: click.Command) -> None:
    *groups, last = (command.name or "").split()
    place = root
    for word in groups:
        group = place.commands.setdefault(word, Tree(word))
        if not isinstance(group, Tree):
            raise TypeError(f"{word!r} is a command and can't hold {command.name!r}")
        place = group
    place.add_command(command, last)


def walk(group: Tree) -> Iterator[tuple[str, click.Command]]:
    """Yield every command below a group that is not hidden, sorted, with the name that it was made with."""
    for name in sorted(group.commands):
        command = group.commands[name]
        if isinstance(command, Tree):
            yield from walk(command)
        elif not command.hidden:
            yield command.name or name, command


def find(words: tuple[str, ...]) -> click.Command | None:
    """Return the command or group that `words` name, or None."""
    place: click.Command | None = commands()
    for word in words:
        place = place.commands.get(word) if isinstance(place, Tree) else None
    return place
