"""`--properties-file` and `--security-properties-file` of commands: what options say, and passwords.

What is given on the command line wins over the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

from heliograph.config.known import Process
from heliograph.config.properties import Property
from heliograph.config.reading import Settings, read_settings
from heliograph.errors import UsageError
from heliograph.gfsh.grammar import BOOLEAN, given

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


def read_property_files(
    process: Process, options: Mapping[str, Any], over: Iterable[Property] = ()
) -> tuple[Settings, dict[str, Any]]:
    """Return what the files say, and the other options that were given. Raises UsageError. An empty name is no file.

    over: properties of the command line, which win over those of files.
    """
    rest = {field: value for field, value in given(options).items() if value or not field.endswith("_file")}
    files = [rest.pop(option, None) for option in ("properties_file", "security_properties_file")]
    about_tls = _properties_of(rest, alone=not any(files))
    return read_settings(process, *files, about_tls, over=over), rest


_TLS_OPTIONS = {
    "--key-store": ("ssl-keystore", "PEM file with the certificate to show and its key."),
    "--key-store-password": ("ssl-keystore-password", "Password of that key: better in a --security-properties-file."),
    "--key-store-type": ("ssl-keystore-type", "PEM."),
    "--trust-store": ("ssl-truststore", "PEM file with the authorities to trust."),
    "--trust-store-password": ("ssl-truststore-password", "Refused: a PEM file of certificates has none."),
    "--trust-store-type": ("ssl-truststore-type", "PEM."),
    "--ciphers": ("ssl-ciphers", "Cipher suites to allow."),
    "--protocols": ("ssl-protocols", "Versions of TLS to allow."),
    "--ssl-enable-endpoint-identification": (
        "ssl-endpoint-identification-enabled",
        "true: the certificate shown has to be for the host connected to.",
    ),
}
_FIELDS = {option: option[2:].replace("-", "_") for option in _TLS_OPTIONS}


def tls_options(function: F) -> F:
    """Give `connect` the options for TLS that gfsh has."""
    for name, (_, help_text) in reversed(_TLS_OPTIONS.items()):
        function = click.option(name, help=help_text)(function)
    return click.option("--use-ssl", type=BOOLEAN, help="Speak TLS, to everything.")(function)


def _properties_of(options: dict[str, Any], *, alone: bool) -> dict[str, str] | None:
    """Take the options for TLS out, as properties. alone: no file says which components speak TLS."""
    given_here = {
        _TLS_OPTIONS[option][0]: str(options.pop(field)) for option, field in _FIELDS.items() if field in options
    }
    use_ssl = options.pop("use_ssl", None)
    if use_ssl is False and given_here:
        raise UsageError(f"--use-ssl=false: {', '.join(given_here)} has no effect then")
    if (given_here or use_ssl) and alone:
        given_here["ssl-enabled-components"] = "all"
        if "ssl-keystore" not in given_here:
            given_here["ssl-require-authentication"] = "false"
    return given_here or None
