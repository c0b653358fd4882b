"""What a query says, as the parser reads it; names of the region's entries are resolved to paths from the item.

The *item* is what a query looks at, one for every entry: its value, its key, or an entry of both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Over = Literal["values", "keys", "entries"]
Operator = Literal["=", "!=", "<", "<=", ">", ">="]
Scalar: TypeAlias = str | int | float | bool | None
"""What can be written: a text, a number, TRUE, FALSE or NULL. A float is finite."""
KEY, VALUE = "key", "value"
"""The fields of an entry."""


@dataclass(frozen=True, slots=True)
class Path:
    """The field of a field … of the item; the item itself without any."""

    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Constant:
    """What stands in the query."""

    value: Scalar


Operand: TypeAlias = Path | Constant


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left operator right`."""

    operator: Operator
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Like:
    """`path LIKE 'pattern'`: % is any text, _ any character; after a backslash each stands for itself."""

    path: Path
    pattern: str


@dataclass(frozen=True, slots=True)
class In:
    """`path IN SET(…)`."""

    path: Path
    among: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Defined:
    """`IS_DEFINED(path)`."""

    path: Path


@dataclass(frozen=True, slots=True)
class Holds:
    """A path, TRUE or FALSE as a condition."""

    operand: Operand


@dataclass(frozen=True, slots=True)
class Not:
    """`NOT condition`."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class AllOf:
    """Two conditions or more, between them AND."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Two conditions or more, between them OR."""

    conditions: tuple[Condition, ...]


Condition: TypeAlias = Comparison | Like | In | Defined | Holds | Not | AllOf | AnyOf


@dataclass(frozen=True, slots=True)
class Column:
    """A path that is selected, and its name; the name is empty when it is the only one, and was given none."""

    path: Path
    name: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """What rows are sorted by."""

    path: Path
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A query over one region. columns: none stands for `*`. counting: it is `COUNT(*)`. limit: None without one."""

    region: str
    over: Over = "values"
    columns: tuple[Column, ...] = ()
    counting: bool = False
    distinct: bool = False
    where: Condition | None = None
    order: tuple[Order, ...] = ()
    limit: int | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """The names of what every row has, none when a row is a single value."""
        if self.columns:
            return tuple(column.name for column in self.columns if column.name)
        return (KEY, VALUE) if self.over == "entries" and not self.counting else ()
