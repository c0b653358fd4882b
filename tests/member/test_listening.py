"""What members tell listeners, from their copies and from the log, over the simulated engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from heliograph.errors import (
    EventsLostError,
    NotPrimaryError,
    RegionNotFoundError,
    UnavailableError,
    UsageError,
)
from heliograph.link.messages import FROM_NOW, Heard, Listen
from heliograph.member import listening as listening_module
from heliograph.member.listening import LINGER_S, Listening
from heliograph.member.region import HostedRegion
from heliograph.model.batch import Record, decode_columns
from heliograph.model.ids import Seq
from tests.member.copies import REGION, SITE, SUBJECT, Host, Members, put, simulate, until
from tests.member.test_region import placed, region_at


class Teller:
    """A member of which the copies of one region and its listening are real."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.listening = Listening(host.name, SITE, self.find)
        host.region_sink = self._sink  # type: ignore[method-assign]
        host.on_restored = lambda region, bucket, seq: self.listening.on_restored(region, bucket)  # type: ignore[method-assign]
        self.region: HostedRegion | None = region_at(host)

    def find(self, name: str) -> HostedRegion:
        if self.region is None or name != REGION:
            raise RegionNotFoundError(f"no region {name}")
        return self.region

    @property
    def copies(self) -> dict[int, Any]:
        return self.find(REGION).copies

    def _sink(self, region: str, bucket: int, seq: Seq, previous: Seq, record: Record) -> None:
        if self.listening.active:
            self.listening.on_record(region, bucket, seq, record)

    async def hear(self, *after: int, wait_ms: int = 5_000, generation: int = 0) -> Heard:
        """Ask about bucket 0, or with more cursors about more."""
        return await self.listening.hear(Listen(REGION, generation, list(range(len(after))), list(after), wait_ms))

    async def follow(self) -> int:
        """Listen to bucket 0 from now on."""
        return (await self.hear(FROM_NOW)).reached[0]


async def two_tellers(members: Members) -> tuple[Teller, Teller]:
    """ "a" is primary, "b" has the redundant copies."""
    tellers = Teller(await members.join("a")), Teller(await members.join("b"))
    for teller in tellers:
        teller.find(REGION).arrange(placed("a", "b"))
    await until(lambda: all(teller.find(REGION).settled for teller in tellers))
    return tellers


def events(heard: Heard) -> list[tuple[Any, bytes, bytes | None]]:
    """(key, value, old value) of every event."""
    found: list[tuple[Any, bytes, bytes | None]] = []
    for told in heard.records:
        assert not told.removals
        for part, before in zip(told.parts, told.replaced, strict=True):
            columns = decode_columns(part.columns)
            found += zip(columns.keys, columns.values, before, strict=True)
    return found


def play(scenario: Callable[[Members, Teller, Teller], Coroutine[Any, Any, None]]) -> None:
    async def whole(members: Members) -> None:
        await scenario(members, *await two_tellers(members))

    simulate(whole)


def test_the_primary_and_a_redundant_copy_tell_the_same_with_old_values() -> None:
    async def scenario(members: Members, one: Teller, other: Teller) -> None:
        await put(one.copies[0], "k", b"before")
        await until(lambda: "k" in other.copies[0].view.values)
        assert await one.follow() == await other.follow() == one.copies[0].view.seq
        cursor = await one.follow()
        asked = [asyncio.create_task(teller.hear(cursor)) for teller in (one, other)]
        await asyncio.sleep(1.0)
        assert not any(task.done() for task in asked), "there is nothing to tell"
        await put(one.copies[0], "k", b"after")
        heard = [await task for task in asked]
        for each in heard:
            assert events(each) == [("k", b"after", b"before")]
            assert each.reached == [one.copies[0].view.seq]
        assert heard[0].records == heard[1].records

    play(scenario)


def test_without_news_the_answer_comes_when_the_wait_is_over() -> None:
    async def scenario(members: Members, one: Teller, other: Teller) -> None:
        cursor = await one.follow()
        begun = asyncio.get_running_loop().time()
        heard = await one.hear(cursor, wait_ms=3_000)
        assert (heard.reached, heard.records) == ([cursor], [])
        assert 3.0 <= asyncio.get_running_loop().time() - begun < 3.1

    play(scenario)


def test_who_goes_on_at_another_member_is_told_the_rest_from_the_log() -> None:
    async def scenario(members: Members, one: Teller, other: Teller) -> None:
        cursor = await one.follow()
        for value in (b"1", b"2", b"3"):
            await put(one.copies[0], "k", value)
        await until(lambda: other.copies[0].view.seq == one.copies[0].view.seq)
        heard = await other.hear(cursor)
        assert events(heard) == [("k", b"1", b""), ("k", b"2", b"1"), ("k", b"3", b"2")]
        behind = await other.hear(heard.records[0].seq)
        assert events(behind) == [("k", b"2", None), ("k", b"3", b"2")], "what was before the reading is not known"
        await put(one.copies[0], "k", b"4")
        assert events(await other.hear(heard.reached[0])) == [("k", b"4", b"3")]

    play(scenario)


def test_a_log_that_was_cut_above_the_cursor_is_told_as_lost() -> None:
    async def scenario(members: Members, one: Teller, other: Teller) -> None:
        cursor = one.copies[0].view.seq
        for value in (b"1", b"2", b"3"):
            await put(one.copies[0], "k", value)
        newest = one.copies[0].view.seq
        await one.host.store.log.truncate(SUBJECT, below=Seq(newest - 1))
        with pytest.raises(EventsLostError, match="bucket 0 of region r were cut"):
            await one.hear(cursor)
        assert events(await one.hear(newest - 1)) == [("k", b"3", None)]

    play(scenario)


def test_a_copy_that_jumps_to_a_snapshot_leaves_no_gap() -> None:
    async def scenario(members: Members, one: Teller, other: Teller) -> None:
        cursor = await other.follow()
        other.copies[0].following = False  # it falls behind
        for value in (b"1", b"2"):
            await put(one.copies[0], "k", value)
        copy = one.copies[0]
        await one.host.store.snapshots.store(REGION, 0, 0, copy.view)
        await put(one.copies[0], "k", b"3")
        found = await other.host.store.snapshots.load(REGION, 0, 0, Seq(copy.view.seq - 1))
        assert found is not None
        other.copies[0].restore(*found)
        heard = await other.hear(cursor)
        assert [value for _, value, _ in events(heard)] == [b"1", b"2"]
        other.copies[0].following = True
        other.copies[0].on_entry(await one.host.store.log.last(SUBJECT))
        assert events(await other.hear(heard.reached[0])) == [("k", b"3", b"2")]

    play(scenario)


def test_a_slow_listener_is_told_in_pieces_and_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliograph.bucket.history.ANSWER_BYTES_MAX", 1_000)
    monkeypatch.setattr(listening_module, "ANSWER_BYTES_MAX", 1_000)

    async def scenario(members: Members, one: Teller, other: Teller) -> None:
        cursor, answers, told = await one.follow(), 0, []
        reread = cursor
        for number in range(20):
            await put(one.copies[0], f"k{number}")
        while cursor < one.copies[0].view.seq:
            heard = await one.hear(cursor)
            (cursor,) = heard.reached
            answers += 1
            told += events(heard)
        assert [key for key, _, _ in told] == [f"k{number}" for number in range(20)]
        assert answers > 3
        again = []
        while reread < one.copies[0].view.seq:
            heard = await other.hear(reread)
            (reread,) = heard.reached
            again += events(heard)
        assert again == told

    play(scenario)


def test_who_waits_for_a_bucket_that_goes_elsewhere_is_told_to_ask_there() -> None:
    async def scenario(members: Members, one: Teller, other: Teller) -> None:
        asked = asyncio.create_task(other.hear(await other.follow()))
        other.find(REGION).arrange(placed("a"))
        await until(lambda: not other.copies)
        other.listening.look()
        with pytest.raises(NotPrimaryError, match="b does not hold bucket 0"):
            await asked
        with pytest.raises(NotPrimaryError):
            await other.follow()

    play(scenario)


def test_who_waits_is_told_when_the_region_is_destroyed_or_the_member_stops() -> None:
    async def scenario(members: Members, one: Teller, other: Teller) -> None:
        asked = [asyncio.create_task(teller.hear(await teller.follow())) for teller in (one, other)]
        await asyncio.sleep(0.1)
        one.region = None
        one.listening.look()
        with pytest.raises(RegionNotFoundError):
            await asked[0]
        other.listening.close()
        with pytest.raises(UnavailableError, match="b stops"):
            await asked[1]

    play(scenario)


def test_a_region_that_was_created_anew_says_so() -> None:
    async def scenario(members: Members, one: Teller, other: Teller) -> None:
        cursor = await one.follow()
        one.find(REGION).generation = 5
        heard = await one.hear(cursor)
        assert (heard.generation, heard.reached, heard.records) == (5, [cursor], [])

    play(scenario)


def test_nothing_is_kept_for_listeners_that_are_gone() -> None:
    async def scenario(members: Members, one: Teller, other: Teller) -> None:
        assert not one.listening.active
        await put(one.copies[0], "k")
        assert one.copies[0].view.replaced is None
        asked = asyncio.create_task(one.hear(await one.follow(), wait_ms=60_000))
        await asyncio.sleep(50)
        one.listening.look()
        assert one.listening.active
        await asked
        await asyncio.sleep(LINGER_S - 1)
        one.listening.look()
        assert one.listening.active
        await asyncio.sleep(2)
        one.listening.look()
        assert not one.listening.active
        assert one.copies[0].view.replaced is None

    play(scenario)


def test_questions_that_make_no_sense_are_refused() -> None:
    async def scenario(members: Members, one: Teller, other: Teller) -> None:
        for buckets, after in (([0], []), ([0, 0], [1, 1]), ([0], [-2])):
            with pytest.raises(UsageError, match="one cursor for each"):
                await one.listening.hear(Listen(REGION, 0, buckets, after, 10))
        with pytest.raises(NotPrimaryError):
            await one.listening.hear(Listen(REGION, 0, [99], [0], 10))
        with pytest.raises(RegionNotFoundError):
            await one.listening.hear(Listen("nowhere", 0, [0], [0], 10))

    play(scenario)


def test_no_more_readings_of_the_log_go_on_than_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening_module, "REREADS_AT_ONCE", 2)

    async def scenario(members: Members, one: Teller, other: Teller) -> None:
        cursor = one.copies[0].view.seq
        await put(one.copies[0], "k")
        one.listening = Listening("a", SITE, one.find)
        heard = await asyncio.gather(*(one.hear(cursor) for _ in range(10)))
        assert all(events(each) == [("k", b"v", b"")] for each in heard)

    play(scenario)
