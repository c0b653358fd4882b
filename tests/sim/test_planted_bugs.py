"""A test that can't fail is a defect: bugs planted in the product are found by the campaign within a few seeds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from heliograph.bucket.primary import _Drafting
from heliograph.engine.seam import LogEntry
from heliograph.engine.sim.store import LogStore
from heliograph.errors import FencedError, HeliographError
from heliograph.gateway.queue import BucketQueue, Flight
from heliograph.member.copy import BucketCopy
from heliograph.member.gateways import Gateways
from heliograph.member.operations import Operations
from heliograph.member.receiver import GatewayReceiver
from heliograph.member.region import HostedRegion
from heliograph.member.snapshotter import Snapshotter
from heliograph.model.batch import Part
from heliograph.model.ids import Seq
from tests.sim.campaign import simulate
from tests.sim.checkers import anomalies

SEEDS_MAX = 12
"""Tried for each bug, from its own first seed on, which spares the time of seeds that are known not to show it."""


def found_within(seeds: range) -> set[str]:
    """Return the anomalies of the first seed that has any."""
    for seed in seeds:
        found = anomalies(simulate(seed))
        if found:
            return set(found)
    return set()


def plant_no_fencing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log takes every append, whatever it expected."""
    append = LogStore.append

    def append_anyway(self: LogStore, subject: str, payload: bytes, expected: Seq, batch_id: str) -> Seq:
        last = self.last(subject)
        return append(self, subject, payload, last.seq if last is not None else Seq(0), batch_id)

    monkeypatch.setattr(LogStore, "append", append_anyway)


def plant_cursor_moves_at_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    """The floor passes what was put out, not what was acknowledged."""
    take, on_ack = BucketQueue.take, BucketQueue.on_ack

    def take_and_forget(self: BucketQueue, *args: object) -> Flight | None:
        flight = take(self, *args)  # type: ignore[arg-type]
        if flight is not None:
            on_ack(self, flight)
        return flight

    monkeypatch.setattr(BucketQueue, "take", take_and_forget)
    monkeypatch.setattr(BucketQueue, "on_ack", lambda self, flight: None)


def plant_acknowledged_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """The receiver acknowledges what it has only handed on, and forgets what becomes of it."""
    handed_on: set[asyncio.Future[None]] = set()

    def hand_on(self: GatewayReceiver, batch: Any, region: str, bucket: int, parts: tuple[Part, ...]) -> None:
        async def apply() -> None:
            with suppress(HeliographError):
                await self._host.apply_parts(region, bucket, parts)

        handed_on.add(asyncio.ensure_future(apply()))
        self._answered(batch, None)

    monkeypatch.setattr(GatewayReceiver, "_apply", hand_on)


def plant_nothing_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was in flight on a link that broke is taken for delivered some day."""
    monkeypatch.setattr(BucketQueue, "rewind", lambda self: None)


def plant_versions_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A primary takes every event from another site for new."""
    monkeypatch.setattr(_Drafting, "_all_newer", lambda self, *args: True)
    monkeypatch.setattr(_Drafting, "_newer_positions", lambda self, keys, versions: list(range(len(keys))))


def plant_unknown_means_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """An append whose answer is lost is taken for one that was refused."""

    async def refuse(self: BucketCopy, *args: object) -> None:
        self._refused(FencedError("no answer"))

    monkeypatch.setattr(BucketCopy, "_settle", refuse)


def plant_own_copy_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write returns when the primary has it, whatever the asked member's copy shows."""

    async def at_once(self: Operations, region: str, bucket: int, seq: int) -> None:
        return None

    monkeypatch.setattr(Operations, "_shown", at_once)


def plant_cut_without_regard_to_cursors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log is cut below its newest snapshot, whatever a gateway sender still needs."""

    async def newest_snapshot(self: Snapshotter, region: object, copy: BucketCopy) -> Seq:
        return copy.snapshot_seq

    monkeypatch.setattr(Snapshotter, "_passed", newest_snapshot)


def plant_gaps_are_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy takes what the log still holds for all that it lacks, and asks for no snapshot."""
    on_entry = BucketCopy.on_entry

    def take_it(self: BucketCopy, entry: LogEntry) -> None:
        on_entry(self, msgspec.structs.replace(entry, previous=min(entry.previous, self.view.seq)))

    async def nothing(self: HostedRegion, copies: object) -> None:
        return None

    monkeypatch.setattr(BucketCopy, "on_entry", take_it)
    monkeypatch.setattr(HostedRegion, "_restore", nothing)


def plant_senders_do_not_hear_of_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy starts from a snapshot, and its gateway senders wait for records that nobody offers."""
    monkeypatch.setattr(Gateways, "on_restored", lambda self, *args: None)


@pytest.mark.parametrize(
    ("plant", "expected", "first_seed"),
    [
        (plant_no_fencing, {"two primaries"}, 0),
        (plant_cursor_moves_at_sending, {"lost write", "divergence"}, 0),
        (plant_acknowledged_too_early, {"lost write", "divergence"}, 0),
        (plant_nothing_is_sent_again, {"stuck"}, 0),
        (plant_versions_are_ignored, {"duplicate effect"}, 0),
        (plant_unknown_means_not_done, {"false answer"}, 20),
        (plant_own_copy_not_waited_for, {"stale read"}, 0),
        (plant_cut_without_regard_to_cursors, {"lost write", "divergence"}, 0),
        (plant_senders_do_not_hear_of_snapshots, {"stuck"}, 30),
        (plant_gaps_are_not_seen, {"divergence"}, 0),
    ],
)
def test_a_planted_bug_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], expected: set[str], first_seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    assert found_within(range(first_seed, first_seed + SEEDS_MAX)) >= expected
