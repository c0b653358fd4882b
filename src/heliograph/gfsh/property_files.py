"""`--properties-file` and `--security-properties-file` of commands: what options say, and passwords.

What is given on the command line wins over the files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from heliograph.config.known import Process
from heliograph.config.reading import Settings, read_settings
from heliograph.gfsh.grammar import given

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = {
    "--properties-file": "File of properties (name=value); options given here win over it.",
    "--security-properties-file": "Another such file, for ssl-... and passwords, that others can't read.",
}


def property_files(function: F) -> F:
    """Give a command the two options; `read_property_files` takes them out of what it is given."""
    for name, help_text in reversed(_OPTIONS.items()):
        function = click.option(name, help=help_text)(function)
    return function


def read_property_files(process: Process, options: Mapping[str, Any]) -> tuple[Settings, dict[str, Any]]:
    """Return what the files say, and the other options that were given. Raises UsageError."""
    rest = given(options)
    return read_settings(process, rest.pop("properties_file", None), rest.pop("security_properties_file", None)), rest
