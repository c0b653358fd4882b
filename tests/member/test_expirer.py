"""Entries that expire at two members, on virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from heliograph.bucket.expiration import SLOT_MS
from heliograph.member.expirer import LOOK_S, Expirer
from heliograph.member.region import READS_LATE_MS
from heliograph.model.attributes import RegionAttributes
from heliograph.model.batch import EXPIRED
from heliograph.model.keys import NO_VALUE
from tests.member.copies import REGION, until
from tests.member.test_operations import BUCKETS, KEYS, VALUES, OneSite, Server, play

LATE_S = SLOT_MS / 1000 + LOOK_S + 0.05
"""By how much an entry expires late at most, and its removal takes to show."""
READS_LATE_S = READS_LATE_MS / 1000


def attributes(kind: str = "PARTITION_REDUNDANT", **options: Any) -> RegionAttributes:
    return RegionAttributes(name=REGION, type=kind, total_num_buckets=BUCKETS, **options)


def expire(site: OneSite, **options: Any) -> None:
    """Alter the region of every member, and have what expires there looked after."""
    for server in site.servers:
        server.region.alter(attributes(**options))
        server.host.spawn(Expirer(server.regions.values, server.operations.tell_reads).run())


def held(server: Server) -> dict[Any, bytes]:
    return {key: value for copy in server.region.copies.values() for key, value in copy.view.values.items()}


def test_entries_expire_at_every_member_in_their_time_and_not_before() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        loop = asyncio.get_running_loop()
        await site.place("a", "b", "a", "b", secondaries=("a", "b"))
        expire(site, entry_time_to_live_expiration=5, entry_time_to_live_expiration_action="destroy")
        began = loop.time()
        await one.operations.put_all(REGION, KEYS, VALUES)
        await asyncio.sleep(began + 3 - loop.time())
        await other.operations.put_all(REGION, KEYS[:2], VALUES[:2])
        await asyncio.sleep(began + 4.99 - loop.time())
        assert held(one) == held(other) == dict(zip(KEYS, VALUES, strict=True))
        await asyncio.sleep(LATE_S + 0.01)
        assert held(one) == held(other) == dict(zip(KEYS[:2], VALUES[:2], strict=True)), "written since"
        assert await one.operations.size(REGION) == 2
        await asyncio.sleep(began + 8 + LATE_S - loop.time())
        assert held(one) == held(other) == {}
        records = [record for bucket in range(BUCKETS) for record in site.members.records(one.region.subject(bucket))]
        removed = [key for record in records for removal in record.removals for key in removal.keys]
        assert sorted(removed) == sorted(KEYS), "each once"
        assert {removal.kind for record in records for removal in record.removals} == {EXPIRED}

    play(scenario)


def test_an_entry_that_is_read_at_any_copy_does_not_become_idle() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        loop = asyncio.get_running_loop()
        await site.place(*"aaaa", secondaries=("b",))
        expire(site, entry_idle_time_expiration=2)
        began = loop.time()
        await one.operations.put_all(REGION, KEYS, VALUES)
        await asyncio.sleep(0.1)
        for number in range(20):
            assert await other.operations.get_all(REGION, KEYS[:1]) == VALUES[:1]
            assert await one.operations.get_all(REGION, KEYS[1:2]) == VALUES[1:2]
            await asyncio.sleep(0.5)
            if loop.time() - began < 2:
                assert NO_VALUE not in held(one).values(), number
        kept = dict(zip(KEYS[:2], VALUES[:2], strict=True))
        assert held(one) == dict.fromkeys(KEYS, NO_VALUE) | kept
        await asyncio.sleep(2 + READS_LATE_S + LATE_S)
        assert held(one) == held(other) == dict.fromkeys(KEYS, NO_VALUE)

    play(scenario)


def test_a_primary_that_does_not_answer_holds_up_nothing_here() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place("a", "b", "a", "b", secondaries=("a", "b"))
        asked: list[int] = []

        async def never(region: str, bucket: int, keys: list[Any]) -> None:
            asked.append(bucket)
            await asyncio.Event().wait()

        for server in site.servers:
            server.region.alter(attributes(entry_idle_time_expiration=2))
        one.host.spawn(Expirer(one.regions.values, never).run())
        await one.operations.put_all(REGION, KEYS, VALUES)
        for _ in range(3):
            await one.operations.get_all(REGION, KEYS)
            await asyncio.sleep(1)
        assert asked
        assert len(asked) == len(set(asked)), "a bucket's primary is told one thing at a time"
        await asyncio.sleep(2 + READS_LATE_S + LATE_S)
        mine = {copy.bucket for copy in one.region.accepting()}
        assert mine
        expired = [copy.view.values for copy in one.region.copies.values() if copy.bucket in mine]
        assert {value for values in expired for value in values.values()} == {NO_VALUE}

    play(scenario)


def test_reads_are_told_to_the_next_primary_when_the_last_one_is_gone() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place(*"aaaa", secondaries=("b",))
        expire(site, entry_idle_time_expiration=5)
        await one.operations.put_all(REGION, KEYS, VALUES)
        await until(lambda: len(held(other)) == len(KEYS))
        site.arrange(*[""] * BUCKETS, secondaries=("a", "b"))  # nobody is told to be primary
        await other.operations.get_all(REGION, KEYS)
        await asyncio.sleep(2)
        assert all(copy.upkeep.has_reads_to_tell for copy in other.region.copies.values())
        await site.place(*"aaaa", secondaries=("b",))
        await until(lambda: not any(copy.upkeep.has_reads_to_tell for copy in other.region.copies.values()))

    play(scenario)


def test_expiration_is_altered_and_goes_on_at_the_next_primary() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place(*"aaaa", secondaries=("b",))
        expire(site, entry_time_to_live_expiration=1)
        for server in site.servers:
            server.region.alter(attributes())
        await one.operations.put_all(REGION, KEYS, VALUES)
        await asyncio.sleep(60)
        assert held(one) == dict(zip(KEYS, VALUES, strict=True)), "it expires no more"
        for server in site.servers:
            server.region.alter(
                attributes(entry_time_to_live_expiration=70, entry_time_to_live_expiration_action="destroy")
            )
        await site.place(*"bbbb", secondaries=("a",))
        await asyncio.sleep(9)
        assert len(held(other)) == len(KEYS)
        await asyncio.sleep(1 + LATE_S)
        assert held(one) == held(other) == {}

    play(scenario)


def test_what_expires_while_the_engine_is_away_is_taken_away_when_it_is_back() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place(*"aaaa")
        for server in site.servers:
            server.region.alter(msgspec.structs.replace(attributes(), redundant_copies=0))
        expire(site, entry_time_to_live_expiration=2, entry_time_to_live_expiration_action="destroy")
        await one.operations.put_all(REGION, KEYS, VALUES)
        site.members.engine.stop()
        await asyncio.sleep(10)
        assert len(held(one)) == len(KEYS)
        site.members.engine.start()
        await until(lambda: not held(one))

    play(scenario)
