"""The site as its registry shows it, kept current for whoever asks the locator."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

from heliograph.engine.seam import Item, Registry
from heliograph.engine.watching import Entries, Group, Watching
from heliograph.errors import HeliographError
from heliograph.model.attributes import RegionAttributes
from heliograph.model.members import MemberInfo, ReceiverInfo, RegionPlacement
from heliograph.model.registry import CONFIG_REGIONS, MEMBERS, PLACEMENT, RegionEntry, decode_entry

_log = logging.getLogger(__name__)
T = TypeVar("T")


class SiteWatch(Watching):
    """Live members, regions and placements, each by name. `on_change` is called after every change.

    member_timeout_s: the time to live of the members' entries.
    """

    def __init__(self, registry: Registry, on_change: Callable[[], None], member_timeout_s: float = 5.0) -> None:
        groups = (
            Group(MEMBERS, self._take_members, member_timeout_s),
            Group(CONFIG_REGIONS, self._take_regions),
            Group(PLACEMENT, self._take_placements),
        )
        super().__init__(registry, groups, on_change)
        self.members: Mapping[str, MemberInfo] = {}
        self.regions: Mapping[str, RegionAttributes] = {}
        self.generations: list[int] = []
        """Of the regions, in their order."""
        self.placements: Mapping[str, RegionPlacement] = {}

    @property
    def receivers(self) -> list[ReceiverInfo] | None:
        """The running gateway receivers of the site; None while the registry can't be read."""
        if not self.is_current(MEMBERS):
            return None
        return [member.receiver for member in self.members.values() if member.receiver is not None]

    def _take_members(self, entries: Entries) -> None:
        self.members = decoded(entries, MEMBERS, MemberInfo)

    def _take_regions(self, entries: Entries) -> None:
        regions = decoded(entries, CONFIG_REGIONS, RegionEntry)
        self.regions = {name: entry.attributes for name, entry in regions.items()}
        self.generations = [entry.generation for entry in regions.values()]

    def _take_placements(self, entries: Entries) -> None:
        self.placements = decoded(entries, PLACEMENT, RegionPlacement)


def decoded(items: Mapping[str, Item], prefix: str, kind: type[T]) -> dict[str, T]:
    """Decode the entries below a prefix, by what follows it; one that can't be read is logged and hides no other."""
    values: dict[str, T] = {}
    for key, item in items.items():
        if key.startswith(prefix + "."):
            try:
                values[key.removeprefix(prefix + ".")] = decode_entry(item.value, kind)
            except HeliographError as exc:
                _log.warning("registry entry unreadable key=%s error=%s", key, exc)
    return values
