"""Plug-ins: objects of users' own modules that servers load, named in the definitions that use them.

    module:object                       object()                  -> the plug-in
    module:object{"depth": 3}           object(depth=3)           -> the plug-in

The object is a class, or any function that returns the plug-in; it is called with the members of the JSON object, if
one follows, as keyword arguments, once for every definition that names it at every server. A partition resolver
(`model.routing`) is named alike, and is itself the function that is used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from importlib import import_module
from typing import Any, NamedTuple

from heliograph.errors import UsageError

_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", re.ASCII)
_scan = json.JSONDecoder().raw_decode
SEPARATOR = ","
_STOP = re.compile(r"[{,]")


class PluginName(NamedTuple):
    """target: `module:object`. parameters: what the object is called with."""

    target: str
    parameters: dict[str, Any]


def is_target(text: str) -> bool:
    """Say whether a text is of the form `module:object`."""
    return _TARGET.fullmatch(text) is not None


def read_plugin(option: str, text: str) -> PluginName:
    """Read a plug-in's name. Raises UsageError naming the option."""
    target, brace, rest = text.partition("{")
    if not is_target(target):
        raise UsageError(f"{option} {text!r}: write module:object, or module:object{{...}} with parameters as JSON")
    if not brace:
        return PluginName(target, {})
    try:
        parameters: Any = json.loads(brace + rest)
    except (ValueError, RecursionError) as exc:
        raise UsageError(f"{option} {text!r}: what follows {target} is no JSON object: {exc}") from exc
    return PluginName(target, parameters)  # what begins with a brace is an object


def with_parameters(option: str, text: str, more: dict[str, Any]) -> str:
    """Return a plug-in's name with more parameters. Raises UsageError, also for one that is given twice."""
    target, parameters = read_plugin(option, text)
    twice = sorted(parameters.keys() & more.keys())
    if twice:
        raise UsageError(f"{option} {text!r}: the parameter {', '.join(twice)} is given twice")
    parameters |= more
    return target + json.dumps(parameters) if parameters else target


def split_plugins(text: str) -> tuple[str, ...]:
    """Split names at commas, but not at those within parameters. Raises UsageError for parameters that are no JSON."""
    found: list[str] = []
    name = ""
    position = 0
    while position < len(text):
        stop = _STOP.search(text, position)
        end = len(text) if stop is None else stop.start()
        name += text[position:end]
        position = end
        if stop is None:
            break
        if stop[0] == SEPARATOR:
            found.append(name)
            name = ""
            position += 1
            continue
        try:
            _, position = _scan(text, end)
        except (ValueError, RecursionError) as exc:
            raise UsageError(f"{text!r}: what follows {name.strip()!r} is no JSON object: {exc}") from exc
        name += text[end:position]
    return tuple(each.strip() for each in (*found, name) if each.strip())


def import_object(kind: str, target: str) -> Any:
    """Return what a `module:object` names; `kind` is what messages call it. Raises UsageError."""
    module, _, path = target.partition(":")
    try:
        found: Any = import_module(module)
        for attribute in path.split("."):
            found = getattr(found, attribute)
    except Exception as exc:  # a module may raise anything while it is imported
        raise UsageError(
            f"the {kind} {target} can't be loaded: {type(exc).__name__}: {exc}; "
            "every server has to be able to import it"
        ) from exc
    return found


def load_plugin(kind: str, text: str, methods: Collection[str], *, any_of_them: bool = False) -> Any:
    """Make a plug-in. Raises UsageError naming what to change when that isn't possible here.

    methods: that it has to have; with `any_of_them` one of them is enough.
    """
    target, parameters = read_plugin(kind, text)
    make = import_object(kind, target)
    if not callable(make):
        raise UsageError(f"the {kind} {target} is neither a class nor a function that makes one, but {make!r}")
    try:
        made = make(**parameters)
    except Exception as exc:  # whatever it raises, who creates the definition hears of it
        given = f"the parameters {', '.join(parameters)}" if parameters else "no parameters"
        raise UsageError(
            f"the {kind} {target} can't be made with {given}: {type(exc).__name__}: {exc}; "
            f'give what it asks for, as {target}{{"name": value}}'
        ) from exc
    missing = [name for name in methods if not callable(getattr(made, name, None))]
    if missing and not (any_of_them and len(missing) < len(methods)):
        wanted = (" or " if any_of_them else " and ").join(methods)
        raise UsageError(
            f"the {kind} {target} made {made!r}, which has no method {', '.join(missing)}: it needs {wanted}"
        )
    return made
