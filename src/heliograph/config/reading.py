"""Properties become settings: what files or mappings give, checked by name, ready for who is started.

settings = read_settings("server", properties_file, security_properties_file)
    -> settings.options, which what is given otherwise (on a command line) overrides; settings.tls
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from heliograph.config import tls
from heliograph.config.known import FILES, KNOWN, REFUSED, Process, check_field, refusal
from heliograph.config.properties import Property, read_file
from heliograph.errors import UsageError
from heliograph.model.refusals import check_refused
from heliograph.model.tls import NO_TLS, TlsProperties
from heliograph.security.properties import FILES as SECURITY_FILES
from heliograph.security.properties import NO_SECURITY_PROPERTIES, SecurityProperties, read_security
from heliograph.security.properties import PREFIX as SECURITY_PREFIX

Source: TypeAlias = str | Path | Mapping[str, object]
"""A .properties file, or its content as a mapping of names as they are in such a file."""

HIDDEN = "********"


class Settings(NamedTuple):
    """What properties give. options: fields of the process's options. tls: the `ssl-*` properties, security: the
    `security-*` ones.

    passed_on: these two as they were written, with absolute paths, to hand on as a mapping: it may hold passwords.
    given: likewise those that `options` came from.
    """

    options: dict[str, Any]
    tls: TlsProperties = NO_TLS
    passed_on: Mapping[str, str] = {}
    security: SecurityProperties = NO_SECURITY_PROPERTIES
    given: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"<settings {self.options!r}, {self.tls!r}, {self.security!r}>"


def read_settings(process: Process, *sources: Source | None, over: Iterable[Property] = ()) -> Settings:
    """Read what is given for a process; None: nothing. Raises UsageError that says where, and what to change.

    A property may be given once in all of them. over: what wins over all of these.
    """
    given: dict[str, Property] = {}
    for source in sources:
        for each in _properties_of(source):
            if each.name in given:
                raise UsageError(
                    f"{each.where}: {each.name} is given already in {given[each.name].where}: give it once"
                )
            given[each.name] = each
    given |= {each.name: _placed(each, Path.cwd()) for each in over}
    for each in given.values():
        _check_name(process, each)
    options: dict[str, Any] = {}
    for each in given.values():
        if (meaning := KNOWN[process].get(each.name)) is None:
            continue
        try:
            value = meaning.read(each.value)
        except (UsageError, ValueError) as exc:
            shown = HIDDEN if "password" in each.name else each.value
            raise UsageError(f"{each.where}: {each.name}={shown}: {exc}") from exc
        check_field(meaning.field, options.get(meaning.field, value), value, each.where)
        if value is not None:
            options[meaning.field] = value
    about_tls = {name: each.value for name, each in given.items() if name.startswith(tls.PREFIX)}
    about_security = {name: each.value for name, each in given.items() if name.startswith(SECURITY_PREFIX)}
    try:
        read = tls.read_tls(about_tls)
    except UsageError as exc:
        raise UsageError(f"{_place(given.values(), str(exc), tls.PREFIX)}{exc}") from exc
    try:
        security = read_security(about_security, client=process == "client")
    except UsageError as exc:
        raise UsageError(f"{_place(given.values(), str(exc), SECURITY_PREFIX)}{exc}") from exc
    written = {name: each.value for name, each in given.items() if name in KNOWN[process]}
    return Settings(options, read, about_tls | about_security, security, written)


def _properties_of(source: Source | None) -> list[Property]:
    """Return what a source gives, with paths made absolute. Raises UsageError."""
    if source is None:
        return []
    if isinstance(source, str | Path):
        path = Path(source).absolute()
        return [_placed(each, path.parent) for each in read_file(path)]
    if not isinstance(source, Mapping):
        raise UsageError(f"properties are given as the path of a file or a mapping, not {type(source).__name__}")
    here = Path.cwd()
    return [_placed(Property(str(name), _text(str(name), value), "properties"), here) for name, value in source.items()]


def _text(name: str, value: object) -> str:
    """Return a value of a mapping as it is written in a file. Raises UsageError."""
    match value:
        case bool():
            return str(value).lower()
        case str() | int() | float() | Path():
            return str(value)
        case list() | tuple() | set() | frozenset():
            return ",".join(str(each) for each in value)
    raise UsageError(f"properties: {name} is a {type(value).__name__}: give a text, a number, a boolean or a list")


def _placed(each: Property, directory: Path) -> Property:
    if each.name in tls.FILES | FILES | SECURITY_FILES and each.value:
        return each._replace(value=str(directory / each.value))
    return each


def _check_name(process: Process, each: Property) -> None:
    """Raise UsageError unless there is such a property for such a process, or it asks for what is done anyway."""
    name = each.name
    if name in KNOWN[process] or name in tls.KNOWN or name.startswith(SECURITY_PREFIX):
        return
    if name in REFUSED:
        check_refused(f"{each.where}: {name}", REFUSED[name], each.value)
        return
    reason = refusal(name, process) or tls.refusal(name)
    if reason is not None:
        raise UsageError(f"{each.where}: {name} is not offered: {reason}")
    near = difflib.get_close_matches(name, [*KNOWN[process], *tls.KNOWN], n=1)
    meant = f": do you mean {near[0]}?" if near else ""
    raise UsageError(f"{each.where}: there is no property {name}{meant}")


def _place(given: Iterable[Property], message: str, prefix: str) -> str:
    """Return where the property stands that a message begins with, or where all with that prefix stand."""
    about = [each for each in given if each.name.startswith(prefix)]
    named = [each for each in about if message.startswith((f"{each.name}:", f"{each.name},"))]
    where = [each.where for each in named] or sorted({each.where.rpartition(":")[0] or each.where for each in about})
    return f"{', '.join(where)}: "
