"""What programs give as options, read and checked; what does not fit is refused by name (UsageError)."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeAlias, TypeVar

import msgspec

from heliograph.errors import UsageError
from heliograph.model.ids import Address, parse_addresses
from heliograph.model.plugins import split_plugins

Addresses: TypeAlias = str | Address | Iterable[str | Address]
"""`host[port]`, several of them separated by commas, or any number of such texts and of addresses."""

T = TypeVar("T")

_FIELD = re.compile(r"(?P<wrong>.*) - at `\$\.(?P<field>\w+).*`\Z")


def read_addresses(option: str, given: Addresses) -> tuple[Address, ...]:
    """Return the addresses, none when none is given. Raises UsageError."""
    if isinstance(given, str):
        return parse_addresses(given)
    each = _listed(given, Address)
    if each is None or not all(isinstance(one, str | Address) for one in each):
        raise UsageError(
            f"{option}={given!r}: give host[port], several of them separated by commas, or a list of addresses"
        )
    return tuple(address for one in each for address in (parse_addresses(one) if isinstance(one, str) else (one,)))


def read_names(option: str, given: str | Iterable[str]) -> tuple[str, ...]:
    """Return the names; a text is one comma-separated list. Raises UsageError."""
    each = _listed(given, str)
    if each is None or not all(isinstance(one, str) for one in each):
        raise UsageError(f"{option}={given!r}: give a name, several of them separated by commas, or a list of names")
    return tuple(name.strip() for one in each for name in one.split(",") if name.strip())


def read_plugins(option: str, given: str | Iterable[str]) -> tuple[str, ...]:
    """Return the names of plug-ins; a text is one comma-separated list. Raises UsageError."""
    each = _listed(given, str)
    if each is None or not all(isinstance(one, str) for one in each):
        raise UsageError(f"{option}={given!r}: give module:object, several of them separated by commas, or a list")
    return tuple(name for one in each for name in split_plugins(one))


def _listed(given: Any, single: type) -> list[Any] | None:
    """Return what is given, one or many, as a list; None when it is neither."""
    if isinstance(given, single):
        return [given]
    return list(given) if isinstance(given, Iterable) else None


def check_timeout(timeout_s: float) -> float:
    """Return the time that an operation may take. Raises UsageError."""
    if not isinstance(timeout_s, int | float) or not 0 < timeout_s < math.inf:
        raise UsageError(f"timeout_s={timeout_s!r}: give seconds, more than 0")
    return timeout_s


def check_known(what: str, options: Iterable[str], known: Collection[str]) -> None:
    """Raise UsageError for options that there are not."""
    unknown = [option for option in options if option not in known]
    if unknown:
        raise UsageError(f"{what} has no option {', '.join(unknown)}; its options are {', '.join(sorted(known))}")


def checked(kind: type[T], what: str, values: Mapping[str, Any]) -> T:
    """Make a struct of settings or attributes. Raises UsageError naming the option that is unknown or unfit."""
    check_known(what, values, kind.__struct_fields__)  # type: ignore[attr-defined]  # every msgspec.Struct has them
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as exc:
        match = _FIELD.match(str(exc))
        if match is None:
            raise UsageError(f"{what}: {exc}") from exc
        wrong = match["wrong"].replace("`", "").replace("| null", "or None")
        raise UsageError(f"{match['field']}={values[match['field']]!r}: {wrong[0].lower()}{wrong[1:]}") from exc
