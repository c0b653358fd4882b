from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from heliograph.engine.seam import LogEntry
from heliograph.errors import HeliographError, NotPrimaryError, PeerError, UsageError
from heliograph.member.region import ENDS_AT_ONCE, HostedRegion
from heliograph.model.attributes import RegionAttributes
from heliograph.model.ids import NO_SEQ, Seq
from heliograph.model.members import BucketPlacement, RegionPlacement
from tests.member.copies import REGION, Host, Members, put, simulate, until

BUCKETS = 2


def region_at(host: Host, **attributes: object) -> HostedRegion:
    given = {"name": REGION, "type": "PARTITION_REDUNDANT", "total_num_buckets": BUCKETS, **attributes}
    return HostedRegion(RegionAttributes(**given), 0, store=host.store, host=host, sink=host.region_sink)  # type: ignore[arg-type]


def placed(primary: str, *secondaries: str) -> RegionPlacement:
    """All buckets at the same members."""
    return RegionPlacement(REGION, (BucketPlacement(primary, secondaries),) * BUCKETS)


async def two_regions(members: Members) -> tuple[HostedRegion, HostedRegion]:
    """A region at two members: "a" is primary, "b" has the redundant copies."""
    one, other = region_at(await members.join("a")), region_at(await members.join("b"))
    for region in (one, other):
        region.arrange(placed("a", "b"))
    await until(lambda: one.settled and other.settled)
    return one, other


def test_the_primary_writes_and_the_redundant_copy_follows() -> None:
    async def scenario(members: Members) -> None:
        one, other = await two_regions(members)
        assert [copy.bucket for copy in one.accepting()] == [0, 1]
        assert other.accepting() == []
        for number in range(20):
            await put(one.copies[number % BUCKETS], f"k-{number}")
        await until(lambda: all(other.copies[n].view.seq == one.copies[n].view.seq for n in range(BUCKETS)))
        for bucket in range(BUCKETS):
            assert other.copies[bucket].view.values == one.copies[bucket].view.values
            assert other.copies[bucket].readable

    simulate(scenario)


def test_roles_are_exchanged_and_nothing_is_lost() -> None:
    async def scenario(members: Members) -> None:
        one, other = await two_regions(members)
        await put(one.copies[0], "before")
        for region in (one, other):
            region.arrange(placed("b", "a"))
        await until(lambda: other.settled and not one.accepting())
        with pytest.raises(NotPrimaryError):
            put(one.copies[0], "too late")
        await put(other.copies[0], "after")
        await until(lambda: one.copies[0].view.values == {"before": b"v", "after": b"v"})
        assert other.copies[0].view.values == one.copies[0].view.values
        assert (one.primary_of(0), other.copies[0].epoch) == ("b", 2)

    simulate(scenario)


def test_who_took_over_late_by_an_old_placement_gives_way_again() -> None:
    """The placement went from "a" to "b" and back while "a" did not look; nobody writes, so no append tells "a"."""

    async def scenario(members: Members) -> None:
        one, other = await two_regions(members)
        other.arrange(placed("b", "a"))
        await until(lambda: other.settled)
        other.arrange(placed("a", "b"))
        assert one.settled
        for copy in one.accepting():
            await copy.verify()
        assert not one.settled
        one.arrange(placed("a", "b"))
        await until(lambda: one.settled)
        await put(one.copies[0], "k")
        await until(lambda: other.copies[0].view.values == {"k": b"v"})
        assert one.copies[0].epoch == 3

    simulate(scenario)


def test_a_new_copy_is_read_only_when_it_holds_what_the_log_held() -> None:
    async def scenario(members: Members) -> None:
        one = region_at(await members.join("a"))
        one.arrange(placed("a"))
        await until(lambda: one.settled)
        for number in range(200):
            await put(one.copies[0], f"k-{number}")
        other = region_at(await members.join("b"))
        other.arrange(placed("a", "b"))
        assert not other.copies[0].readable
        await until(lambda: other.copies[0].readable)
        assert len(other.copies[0].view.values) == 200

    simulate(scenario)


def test_a_take_over_waits_for_the_engine() -> None:
    async def scenario(members: Members) -> None:
        one, other = await two_regions(members)
        await put(one.copies[0], "k")
        members.engine.stop()
        other.arrange(placed("b"))
        await asyncio.sleep(20)
        assert not other.settled
        members.engine.start()
        await until(lambda: other.settled)
        assert other.copies[0].view.values == {"k": b"v"}

    simulate(scenario)


def test_a_take_over_that_is_not_wanted_any_more_ends() -> None:
    async def scenario(members: Members) -> None:
        one, other = await two_regions(members)
        members.engine.stop()
        other.arrange(placed("b", "a"))
        await asyncio.sleep(1)
        other.arrange(placed("a", "b"))
        members.engine.start()
        await asyncio.sleep(5)
        assert not other.accepting()
        await put(one.copies[1], "k")
        await until(lambda: other.copies[1].view.values == {"k": b"v"})

    simulate(scenario)


def test_a_copy_that_belongs_elsewhere_is_dropped_when_its_last_append_is_answered() -> None:
    async def scenario(members: Members) -> None:
        one, _ = await two_regions(members)
        flying = put(one.copies[0], "k")
        await asyncio.sleep(0)
        one.arrange(placed("b"))
        assert set(one.copies) == {0}
        await flying
        one.arrange(placed("b"))
        assert one.copies == {}

    simulate(scenario)


def test_a_closed_region_finishes_what_is_under_way() -> None:
    async def scenario(members: Members) -> None:
        one, _ = await two_regions(members)
        flying = put(one.copies[0], "k")
        await asyncio.sleep(0)
        one.close()
        assert not one.drained
        await flying
        assert one.drained
        with pytest.raises(NotPrimaryError):
            put(one.copies[0], "l")

    simulate(scenario)


def test_log_ends_are_known_of_buckets_that_others_hold() -> None:
    async def scenario(members: Members) -> None:
        one, other = await two_regions(members)
        await put(one.copies[0], "k")
        ends = await one.log_ends()
        assert ends == await other.log_ends()
        assert ends[0] == one.copies[0].view.seq
        many = region_at(members.hosts[0], total_num_buckets=ENDS_AT_ONCE + 1)
        assert await many.log_ends() == ends + [NO_SEQ] * (ENDS_AT_ONCE + 1 - len(ends))

    simulate(scenario)


@pytest.mark.parametrize("error", [UsageError("maximum consumers limit reached"), PeerError("unreadable")])
def test_whatever_the_engine_answers_the_log_is_followed_again(
    error: HeliographError, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(members: Members) -> None:
        one = region_at(await members.join("a"))
        one.arrange(placed("a", "b"))
        await until(lambda: one.settled)
        host = await members.join("b")

        async def refused(subjects: Sequence[str], *, after: Seq) -> AsyncGenerator[list[LogEntry], None]:
            raise error
            yield []

        other = region_at(host)
        with monkeypatch.context() as patch:
            patch.setattr(host.store.log, "read", refused)
            patch.setattr(host.store.log, "follow", refused)
            other.arrange(placed("a", "b"))
            await asyncio.sleep(5)
            assert not other.copies[0].readable
        await put(one.copies[0], "k")
        await until(lambda: other.copies[0].view.values == {"k": b"v"})
        with monkeypatch.context() as patch:
            patch.setattr(host.store.log, "last", lambda subject: anext(refused([subject], after=Seq(0))))
            other.arrange(placed("b", "a"))
            await asyncio.sleep(5)
            assert not other.accepting()
        await until(lambda: other.settled)

    simulate(scenario)
