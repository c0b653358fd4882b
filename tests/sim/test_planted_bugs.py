"""A test that can't fail is a defect: bugs planted in the product are found by the campaign within a few seeds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import count, islice
from typing import Any

import msgspec
import pytest

from heliograph.bucket.judging import Judging
from heliograph.bucket.primary import BucketPrimary
from heliograph.bucket.requests import RequestMemory
from heliograph.bucket.view import BucketView
from heliograph.engine.seam import LogEntry
from heliograph.engine.sim.store import LogStore
from heliograph.errors import FencedError, HeliographError
from heliograph.gateway.queue import BucketQueue, Flight
from heliograph.link.messages import Copies
from heliograph.member import copy, snapshotter
from heliograph.member.copy import BucketCopy
from heliograph.member.operations import Operations
from heliograph.member.placer import Placer
from heliograph.member.receiver import GatewayReceiver
from heliograph.member.region import HostedRegion
from heliograph.model.ids import Seq
from tests.sim.campaign import simulate
from tests.sim.checkers import anomalies
from tests.sim.plan import Plan, draw_plan

SEEDS_MAX = 60
"""Tried for each bug, until one shows it."""


def found_within(some: Iterable[int], wanted: set[str]) -> set[str]:
    """Return the anomalies of seeds, of so many as are needed to find those wanted."""
    found: set[str] = set()
    for seed in some:
        found |= set(anomalies(simulate(seed)))
        if found >= wanted:
            break
    return found


def seeds(fit: Callable[[Plan], bool]) -> Iterator[int]:
    """Yield the seeds whose plans fit."""
    return (seed for seed in count() if fit(draw_plan(random.Random(seed))))


def quarrels(plan: Plan) -> bool:
    """One site with several members: primaries contend for a bucket, and nothing else goes on."""
    return plan.topology == "alone" and plan.sites[0].members > 1


def grows(plan: Plan) -> bool:
    """One site, which members join late."""
    return plan.topology == "alone" and plan.sites[0].late > 0


def exchanges(plan: Plan) -> bool:
    """Several sites."""
    return len(plan.sites) > 1


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
    monkeypatch.setattr(BucketQueue, "on_ack", lambda self, flight, parked: None)


def plant_acknowledged_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """The receiver acknowledges what it has only handed on, and forgets what becomes of it."""
    handed_on: set[asyncio.Future[None]] = set()

    def hand_on(self: GatewayReceiver, run: Any) -> None:
        async def apply() -> None:
            with suppress(HeliographError):
                await self._host.apply_parts(run.batch.body.region, run.bucket, run.parts)

        handed_on.add(asyncio.ensure_future(apply()))
        self._answered(run, None)

    monkeypatch.setattr(GatewayReceiver, "_apply", hand_on)


def plant_nothing_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was in flight on a link that broke is taken for delivered some day."""
    monkeypatch.setattr(BucketQueue, "rewind", lambda self: None)


def plant_versions_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A primary takes every event from another site for new."""
    monkeypatch.setattr(Judging, "_all_newer", lambda self, *args: True)
    monkeypatch.setattr(Judging, "_newer_positions", lambda self, keys, versions: list(range(len(keys))))


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

    async def all_of_it(registry: object, region: object, copy: BucketCopy) -> Seq:
        return copy.view.seq

    monkeypatch.setattr(snapshotter, "delivered", all_of_it)


def plant_gaps_are_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy takes what the log still holds for all that it lacks, and asks for no snapshot."""
    on_entry = BucketCopy.on_entry

    def take_it(self: BucketCopy, entry: LogEntry) -> None:
        on_entry(self, msgspec.structs.replace(entry, previous=min(entry.previous, self.view.seq)))

    async def nothing(self: HostedRegion, copies: object) -> None:
        return None

    monkeypatch.setattr(BucketCopy, "on_entry", take_it)
    monkeypatch.setattr(HostedRegion, "_restore", nothing)


def plant_ids_are_forgotten_at_a_take_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new primary knows nothing of what the ones before it were sent."""

    def without_memory(view: BucketView, *args: Any, **more: Any) -> BucketPrimary:
        view.requests = RequestMemory()
        return BucketPrimary(view, *args, **more)

    monkeypatch.setattr(copy, "BucketPrimary", without_memory)


def plant_repeats_are_new_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A primary does whatever comes."""
    monkeypatch.setattr(RequestMemory, "recall", lambda self, request: None)


def plant_nobody_says_what_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buckets never arrive where they are on their way to."""
    monkeypatch.setattr(Placer, "copies", lambda self, query: Copies({}))


@pytest.mark.parametrize(
    ("plant", "expected", "fit"),
    [
        (plant_no_fencing, {"two primaries", "no order"}, quarrels),
        (plant_cursor_moves_at_sending, {"lost write", "divergence"}, exchanges),
        (plant_acknowledged_too_early, {"lost write", "divergence"}, exchanges),
        (plant_nothing_is_sent_again, {"stuck"}, exchanges),
        (plant_versions_are_ignored, {"duplicate effect"}, exchanges),
        (plant_unknown_means_not_done, {"false answer"}, quarrels),
        (plant_own_copy_not_waited_for, {"stale read"}, quarrels),
        (plant_cut_without_regard_to_cursors, {"lost write", "divergence"}, exchanges),
        (plant_gaps_are_not_seen, {"divergence"}, exchanges),
        (plant_ids_are_forgotten_at_a_take_over, {"false answer"}, quarrels),
        (plant_repeats_are_new_writes, {"false answer"}, quarrels),
        (plant_nobody_says_what_is_loaded, {"stuck"}, grows),
    ],
)
def test_a_planted_bug_is_found(
    plant: Callable[[pytest.MonkeyPatch], None],
    expected: set[str],
    fit: Callable[[Plan], bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(monkeypatch)
    assert found_within(islice(seeds(fit), SEEDS_MAX), expected) >= expected
