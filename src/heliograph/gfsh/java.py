"""What GemFire's operators give a JVM: with --J properties, which are ours too (`config.known`), and a class path.

Whatever else is said to a JVM means nothing here, and is refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from heliograph.config.known import KNOWN, Process
from heliograph.config.properties import Property
from heliograph.config.reading import Settings
from heliograph.errors import UsageError
from heliograph.gfsh.tokens import redact

PREFIX = "-Dgemfire."


def read_java(texts: Iterable[str]) -> tuple[list[Property], list[str]]:
    """Return the properties that --J gives, and why anything else is refused. Raises UsageError for one given twice."""
    found: dict[str, Property] = {}
    reasons: list[str] = []
    for text in texts:
        name, equals, value = text.removeprefix(PREFIX).partition("=")
        if not (text.startswith(PREFIX) and name and equals):
            reasons.append(
                f"{redact(f'--J={text}')} is not offered: there is no JVM here; leave it out, or give a property as "
                f"{PREFIX}<property>=<value>"
            )
            continue
        if name in found:
            raise UsageError(f"{name} is given twice")
        found[name] = Property(name, value, "--J")
    return [*found.values()], reasons


def with_java(
    process: Process, options: dict[str, Any], settings: Settings, properties: Iterable[Property]
) -> dict[str, Any]:
    """Add to the options what properties of the command line give, read in `settings`: they are options no less.

    Raises UsageError for one that an option gives, too.
    """
    added = {}
    for each in properties:
        meaning = KNOWN[process].get(each.name)
        if meaning is None or meaning.field not in settings.options:
            continue
        if meaning.field in options:
            raise UsageError(f"{each.name} is given twice")
        added[meaning.field] = settings.options[meaning.field]
    return {**options, **added}


def read_classpath(text: str) -> tuple[str, ...]:
    """Return the directories and zip files that a process takes modules of plug-ins from. Raises UsageError."""
    paths = [Path(part).resolve() for part in text.split(os.pathsep) if part]
    for path in paths:
        if path.suffix == ".jar" or path.name == "*":
            raise UsageError(f"--classpath: {path} holds Java classes; plug-ins are modules of Python")
        if not path.exists():
            raise UsageError(f"--classpath: there is no {path}")
    return tuple(map(str, paths))
