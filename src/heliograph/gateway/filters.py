"""Which events of a gateway sender's queues are kept and shipped, and with which values, as its plug-ins say.

    offered ──substitute, before_enqueue──> queue ──before_transmit──> batch ──acknowledged──> after_acknowledgement

An event object is made only here, and only where a plug-in has something to say: what has no filter stays in columns.
A part of which everything passes with its own values keeps its bytes.

A filter that raises decides nothing. Neither is an event shipped then that should have stayed, nor is one dropped that
should have been shipped: it enters the queue *undecided* and is decided when its batch is made; when that raises, too,
the batch is held back like one that the remote site refuses (`lanes`), and tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from heliograph.errors import HeliographError, PeerError
from heliograph.gateway.plugins import GatewayEvent, GatewayEventFilter, events_of
from heliograph.model.batch import DESTROY, Columns, Part, decode_columns, encode_columns
from heliograph.model.keys import encode_values


class Hook(NamedTuple):
    """A method of a plug-in."""

    name: str
    method: str
    function: Callable[[GatewayEvent], Any]


Items = list[tuple[int, Part]]
"""(bucket, part), as they stand in a batch."""


_ARTICLES = {"create": "a create", "update": "an update", "destroy": "a destroy"}


class PluginFailedError(HeliographError):
    """A plug-in raised, or returned what it may not: its events wait."""

    retriable = True


class EventFilters:
    """The filters of one gateway sender, in order, and its substitution filter.

    named: (name, plug-in). on_failure: told of everything that they raise: which plug-in, which method, what.
    """

    def __init__(
        self,
        named: Sequence[tuple[str, Any]],
        substitution: tuple[str, Any] | None,
        on_failure: Callable[[str, str, Exception], None],
    ) -> None:
        self._before_enqueue = _hooks(named, "before_enqueue")
        self._before_transmit = _hooks(named, "before_transmit")
        self._after_acknowledgement = _hooks(named, "after_acknowledgement")
        self._substitution = substitution
        self._on_failure = on_failure

    @property
    def _chooses(self) -> bool:
        """Say whether anything is asked before events enter the queue."""
        return bool(self._before_enqueue) or self._substitution is not None

    def enqueue(self, region: str, bucket: int, parts: Sequence[Part]) -> tuple[Part, ...] | None:
        """Return what enters the queue of a record's parts; None when they have to enter undecided."""
        if not self._chooses:
            return tuple(parts)
        try:
            return tuple([kept for part in parts if (kept := self._admit(region, bucket, part)) is not None])
        except PluginFailedError:
            return None

    def transmit(self, region: str, items: Items, *, undecided: bool, possible_duplicate: bool) -> Items:
        """Return what leaves of a record's parts.

        undecided: they entered so, and are decided first. Raises PluginFailedError.
        """
        passed: Items = []
        for bucket, part in items:
            admitted = self._admit(region, bucket, part) if undecided and self._chooses else part
            if admitted is not None:
                admitted = self._choose(
                    region, bucket, admitted, self._before_transmit, possible_duplicate=possible_duplicate
                )
            if admitted is not None:
                passed.append((bucket, admitted))
        return passed

    def acknowledged(self, region: str, items: Iterable[tuple[int, Part]]) -> None:
        """The parts of a batch are in the remote site's log. What a filter raises is told and changes nothing."""
        if not self._after_acknowledgement:
            return
        for bucket, part in items:
            for event in events_of(region, bucket, part, _readable(part)):
                for hook in self._after_acknowledgement:
                    try:
                        hook.function(event)
                    except Exception as exc:  # of users' own code
                        self._on_failure(hook.name, hook.method, exc)

    def _admit(self, region: str, bucket: int, part: Part) -> Part | None:
        if self._substitution is not None:
            part = self._substitute(region, bucket, part)
        return self._choose(region, bucket, part, self._before_enqueue, possible_duplicate=False)

    def _choose(
        self,
        region: str,
        bucket: int,
        part: Part,
        filters: Sequence[Hook],
        *,
        possible_duplicate: bool,
    ) -> Part | None:
        """Return a part with the events that all filters let pass; itself with all of them, None with none."""
        if not filters:
            return part
        columns = _readable(part)
        events = events_of(region, bucket, part, columns, possible_duplicate=possible_duplicate)
        positions = [i for i, event in enumerate(events) if self._passes(event, filters)]
        if len(positions) == len(columns.keys):
            return part
        return _replaced(part, columns.take(positions)) if positions else None

    def _passes(self, event: GatewayEvent, filters: Sequence[Hook]) -> bool:
        for hook in filters:
            try:
                passes = hook.function(event)
            except Exception as exc:  # of users' own code
                raise self._failed(hook.name, hook.method, event, exc) from exc
            if not passes:
                return False
        return True

    def _substitute(self, region: str, bucket: int, part: Part) -> Part:
        columns = _readable(part)
        values = [
            self._substituted(event) if op != DESTROY else b""
            for op, event in zip(columns.ops, events_of(region, bucket, part, columns), strict=True)
        ]
        if values == columns.values:
            return part
        return _replaced(part, msgspec.structs.replace(columns, values=values))

    def _substituted(self, event: GatewayEvent) -> bytes:
        assert self._substitution is not None  # noqa: S101  (for the type checker)
        name, plugin = self._substitution
        try:
            value: Any = plugin.get_substitute_value(event)
            [encoded] = encode_values((value,))
        except Exception as exc:  # of users' own code, or that its value can't be carried
            raise self._failed(name, "get_substitute_value", event, exc) from exc
        return encoded

    def _failed(self, name: str, method: str, event: GatewayEvent, exc: Exception) -> PluginFailedError:
        self._on_failure(name, method, exc)
        return PluginFailedError(
            f"{name} failed: {method} of {_ARTICLES[event.operation]} of region {event.region}, bucket {event.bucket}: "
            f"{type(exc).__name__}: {exc}"
        )


def _hooks(named: Sequence[tuple[str, Any]], method: str) -> list[Hook]:
    """Return the methods of that name; without those that a filter only inherits, which let everything pass."""
    inherited = getattr(GatewayEventFilter, method)
    return [
        Hook(name, method, getattr(plugin, method))
        for name, plugin in named
        if hasattr(plugin, method) and getattr(type(plugin), method, None) is not inherited
    ]


def _readable(part: Part) -> Columns:
    """Return a part's columns; none of one that can't be read, which passes unseen: the remote site rejects it."""
    try:
        return decode_columns(part.columns)
    except PeerError:
        return Columns(b"", [], [], [])


def _replaced(part: Part, columns: Columns) -> Part:
    return msgspec.structs.replace(part, count=len(columns.keys), columns=encode_columns(columns))
