"""`locate entry`: which servers have an entry (gfsh.md §4.4).

Where the placement has the bucket's copies is not enough to tell: a copy may still be loading, or be a moment behind.
So every server is asked about its own copy, and the placement only says whose answer is missing.
"""

from __future__ import annotations

from collections.abc import Mapping

from heliograph.engine.patience import patiently
from heliograph.errors import HeliographError, UnavailableError, UsageError
from heliograph.link.messages import Locate, Located
from heliograph.locator.cluster import Cluster, Row
from heliograph.locator.site_data import ENTRY_S, checked_key, refused
from heliograph.model.results import Result, Table
from heliograph.placement.holders import unheld

LOCATE_S = 10.0
"""How long to look for a bucket's primary that is just moving."""


class LocationAdmin:
    """Where entries of one site are. Raises UnavailableError, and UsageError when no server runs."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def locate(self, region: str, key: str, key_class: str = "") -> Result:
        """Show the servers that have an entry. key_class: see `EntryAdmin`."""
        try:
            entry = await patiently(lambda: self._cluster.region_entry(region), ENTRY_S)
            meant = checked_key(key, key_class)
        except UsageError as exc:
            return refused(key, str(exc))
        if reason := unheld(entry.attributes, await self._cluster.servers()):
            raise UnavailableError(reason)
        return await patiently(lambda: self._look(entry.attributes.name, meant), LOCATE_S)

    async def _look(self, region: str, key: str | int) -> Result:
        servers = {server.name: server for server in await self._cluster.servers()}
        answers = dict(await self._cluster.query(list(servers.values()), Locate(region, key), Located))
        located = {name: answer for name, answer in answers.items() if isinstance(answer, Located)}
        primary = max(located, key=lambda name: located[name].epoch, default="")
        if not primary or not located[primary].epoch:
            errors = [answer for answer in answers.values() if isinstance(answer, HeliographError)]
            if not located and any(isinstance(error, UsageError) for error in errors):
                return refused(str(key), str(errors[0]))  # there is no such region any more, or the key finds no bucket
            raise UnavailableError(f"no server is primary of the bucket of {key!r} now: {(*errors, 'it moves')[0]}")
        if not located[primary].exists:
            return refused(str(key), "the key does not exist in the region")
        bucket = located[primary].bucket
        found = sorted(name for name, answer in located.items() if answer.exists)
        rows: list[Row] = [
            (name, servers[name].id, "true" if name == primary else "false", str(bucket)) for name in found
        ]
        return Result(
            data={"Result": "true", "Key": str(key), "Locations Found": str(len(rows))},
            tables=[Table(("MemberName", "MemberId", "Primary", "BucketId"), rows)],
            info=await self._missing(region, bucket, found, answers),
        )

    async def _missing(
        self, region: str, bucket: int, found: list[str], answers: Mapping[str, Located | HeliographError]
    ) -> list[str]:
        """Name the servers that are given a copy of the bucket, and did not say that they have the entry."""
        placement = await self._cluster.placement(region)
        if placement is None:
            return []
        missing = sorted(set(placement.buckets[bucket].holders) - set(found))
        return [f"{name} is given a copy of the bucket, too, and {_why(answers.get(name))}" for name in missing]


def _why(answer: Located | HeliographError | None) -> str:
    if isinstance(answer, Located):
        return "does not have the entry yet."
    return "is gone." if answer is None else f"does not answer: {answer}"
