"""The async iterator of a thin client when members fail, move and come back; on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from heliograph.api.client import Client
from heliograph.api.entry_event import EntryEvent
from heliograph.api.events import BEGIN_S, Events
from heliograph.errors import EventsLostError, NotPrimaryError, RegionNotFoundError, UnavailableError, UsageError
from heliograph.link.messages import Heard, Listen
from heliograph.model.keys import bucket_of
from tests.api.site import FakeSite, answer_with, hang, lose_request, run_sim

ENTRIES = {f"key{number}": number for number in range(40)}
HERE = next(key for key in ENTRIES if bucket_of(key, 16) % 2 == 0)
"""A key whose primary is server1."""


@asynccontextmanager
async def listening(site: FakeSite) -> AsyncIterator[tuple[Client, Events]]:
    async with site.client() as client, client.region("customer").events() as events:
        yield client, events


async def take(events: Events, count: int) -> list[EntryEvent]:
    async with asyncio.timeout(60):
        return [await anext(events) for _ in range(count)]


async def nothing_more(events: Events) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(30):
            raise AssertionError(await anext(events))


async def write(client: Client, value: int) -> None:
    await client.region("customer").put_all(dict.fromkeys(ENTRIES, value))


def values(events: list[EntryEvent], value: int) -> bool:
    return {event.key for event in events} == set(ENTRIES) and {event.new_value for event in events} == {value}


def test_every_bucket_is_asked_for_once_at_its_primary() -> None:
    async def scenario(site: FakeSite) -> None:
        async with listening(site) as (client, events):
            await write(client, 1)
            assert values(await take(events, 40), 1)
            await nothing_more(events)
            first = {name: next(m for m in site.servers[name].asked if isinstance(m, Listen)) for name in site.servers}
            assert {name: ask.buckets for name, ask in first.items()} == {
                "server1": list(range(0, 16, 2)),
                "server2": list(range(1, 16, 2)),
            }
            assert site.locator.asked > 1, "when nothing happens the site is looked at now and then"

    run_sim(scenario)


def test_a_killed_member_costs_no_event_and_brings_none_twice() -> None:
    async def scenario(site: FakeSite) -> None:
        async with listening(site) as (client, events):
            await write(client, 1)
            first = await take(events, 7)
            await site.kill("server1")
            site.view = site.seen("server1")
            await write(client, 2)
            rest = await take(events, 73)
            await nothing_more(events)
            by_key = {key: [e.new_value for e in [*first, *rest] if e.key == key] for key in ENTRIES}
            assert by_key == {key: [1, 2] for key in ENTRIES}

    run_sim(scenario)


@pytest.mark.parametrize(
    "fault", [lose_request, answer_with(NotPrimaryError("moved")), answer_with(UnavailableError("x"))]
)
def test_a_question_that_failed_is_asked_again_from_the_same_place(fault: object) -> None:
    async def scenario(site: FakeSite) -> None:
        async with listening(site) as (client, events):
            site.servers["server1"].faults[Listen] = fault  # type: ignore[assignment]
            for value in (1, 2, 3):
                await write(client, value)
            told = await take(events, 120)
            assert [event.new_value for event in told if event.key == HERE] == [1, 2, 3]
            await nothing_more(events)

    run_sim(scenario)


def test_no_answer_at_all_is_given_up_after_a_while() -> None:
    async def scenario(site: FakeSite) -> None:
        async with listening(site) as (client, events):
            site.servers["server1"].faults[Listen] = hang
            await write(client, 1)
            assert values(await take(events, 40), 1)

    run_sim(scenario)


def test_a_reader_that_stops_waiting_misses_nothing() -> None:
    async def scenario(site: FakeSite) -> None:
        async with listening(site) as (client, events):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await anext(events)
            await write(client, 1)
            assert values(await take(events, 40), 1)

    run_sim(scenario)


def test_a_reader_that_goes_away_leaves_nothing_behind() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            region = client.region("customer")
            writing = asyncio.create_task(_write_later(client))
            async for event in region.events():
                assert event.new_value == 1
                break
            await writing
            await asyncio.sleep(60)
            before = site.asked(Listen)
            await asyncio.sleep(60)
            assert site.asked(Listen) == before

    run_sim(scenario)


async def _write_later(client: Client) -> None:
    await asyncio.sleep(1)
    await write(client, 1)


def test_closing_ends_the_waiting() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client, aclosing(client.region("customer").events()) as events:
            await events.begin()
            waiting = asyncio.create_task(_all_of(events))
            await asyncio.sleep(1)
            await events.aclose()
            assert await waiting == []
            assert await _all_of(events) == []

    run_sim(scenario)


async def _all_of(events: Events) -> list[EntryEvent]:
    return [event async for event in events]


def test_a_closed_client_says_so_to_who_waits() -> None:
    async def scenario(site: FakeSite) -> None:
        client = site.client()
        await client.open()
        events = client.region("customer").events()
        await events.begin()
        waiting = asyncio.create_task(_all_of(events))
        await asyncio.sleep(1)
        await client.close()
        with pytest.raises(UsageError, match="the client is closed"):
            await waiting
        assert await _all_of(events) == []

    run_sim(scenario)


@pytest.mark.parametrize("error", [EventsLostError("cut"), UsageError("no")])
def test_what_can_not_be_mended_ends_it(error: EventsLostError | UsageError) -> None:
    async def scenario(site: FakeSite) -> None:
        async with listening(site) as (client, events):
            site.servers["server2"].faults[Listen] = answer_with(error)
            await write(client, 1)
            with pytest.raises(type(error), match=str(error)):
                await _all_of(events)
            assert await _all_of(events) == []

    run_sim(scenario)


def test_a_region_that_is_gone_or_another_ends_it() -> None:
    async def scenario(site: FakeSite) -> None:
        async with listening(site) as (client, events):
            site.servers["server1"].faults[Listen] = answer_with(RegionNotFoundError("gone"))
            await write(client, 1)
            assert values(await take(events, 40), 1), "the locator knows the region: it may be new there"
            other = Heard(2, 1, [], [])
            site.servers["server1"].faults[Listen] = answer_with(other)
            await write(client, 2)
            with pytest.raises(RegionNotFoundError, match="created anew"):
                await _all_of(events)
        async with site.client() as client:
            with pytest.raises(RegionNotFoundError):
                await client.region("nowhere").events().begin()

    run_sim(scenario)


def test_beginning_takes_no_longer_than_it_may() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            await client.region("customer").put("k", 1)
            await site.servers["server1"].server.close("killed")
            begun = asyncio.get_running_loop().time()
            with pytest.raises(UnavailableError, match="not all buckets answered"):
                await anext(client.region("customer").events())
            assert asyncio.get_running_loop().time() - begun < BEGIN_S + 1

    run_sim(scenario)


def test_a_locator_that_is_gone_does_not_matter() -> None:
    async def scenario(site: FakeSite) -> None:
        async with listening(site) as (client, events):
            await site.locator.server.close()
            site.servers["server1"].faults[Listen] = lose_request
            await write(client, 1)
            assert values(await take(events, 40), 1)

    run_sim(scenario)
