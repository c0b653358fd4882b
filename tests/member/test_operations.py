from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from heliograph.errors import (
    DiskStoreFullError,
    NotPrimaryError,
    OverloadedError,
    RegionNotFoundError,
    TooLargeError,
    UnavailableError,
    UnreachableError,
)
from heliograph.link import frames
from heliograph.link.hello import Hello
from heliograph.link.messages import Changed
from heliograph.member.operations import Operations
from heliograph.member.region import HostedRegion
from heliograph.member.service import MemberService
from heliograph.member.state import SiteState
from heliograph.model.attributes import RegionAttributes
from heliograph.model.batch import CLEARED
from heliograph.model.ids import Address
from heliograph.model.keys import bucket_of
from heliograph.model.members import BucketPlacement, MemberInfo, RegionPlacement
from heliograph.model.registry import RegionEntry
from heliograph.model.requests import Identities
from heliograph.net.link import LinkServer, serve_links
from heliograph.net.links import Links
from heliograph.net.sim import SimNetwork
from tests.member.copies import REGION, SITE, Host, Members, simulate, until

BUCKETS = 4
TIMEOUT_S = 3.0
ATTRIBUTES = RegionAttributes(name=REGION, type="PARTITION", total_num_buckets=BUCKETS)
KEYS: list[Any] = [f"k-{number}" for number in range(12)]
VALUES = [key.encode() for key in KEYS]


def placed(*primaries: str, secondaries: tuple[str, ...] = ()) -> RegionPlacement:
    """The primary of each bucket, and the same secondaries for all."""
    return RegionPlacement(REGION, tuple(BucketPlacement(name, secondaries) for name in primaries))


class Server:
    """A member of which only the operations are real."""

    links: LinkServer

    def __init__(self, host: Host, network: SimNetwork, state: SiteState) -> None:
        self.host = host
        self.region = HostedRegion(ATTRIBUTES, 0, store=host.store, host=host, sink=host.region_sink)
        self.regions = {REGION: self.region}
        self.network = network.host(host.name)
        self.peers = Links(self.network, self._hello)
        identities = Identities(zlib.crc32(host.name.encode()), host.clock.now_ms)
        self.operations = Operations(
            host.name, self.regions, lambda: state, self.peers, host.backlog, TIMEOUT_S, identities
        )
        self.service = MemberService(host.name, self.operations, {})

    async def serve(self) -> Address:
        self.links = await serve_links(self.network, "", 0, self._hello, lambda _hello: self.service)
        return Address(self.host.name, self.links.port)

    async def close(self) -> None:
        await self.peers.close("stopped")
        await self.links.close()

    def _hello(self) -> Hello:
        return Hello("member", self.host.name, SITE)


class OneSite:
    """Two members, "a" and "b"; `place` says who is primary of each bucket."""

    def __init__(self, members: Members) -> None:
        self.members = members
        self.network = SimNetwork()
        self.state = SiteState(regions={REGION: RegionEntry(ATTRIBUTES, 0)})
        self.servers: list[Server] = []

    async def start(self) -> tuple[Server, Server]:
        for age, name in enumerate("ab"):
            server = Server(await self.members.join(name), self.network, self.state)
            address = await server.serve()
            self.state.members[name] = MemberInfo(
                name=name, kind="server", incarnation=name, joined_ms=age, address=address, pid=1
            )
            self.servers.append(server)
        one, other = self.servers
        return one, other

    def arrange(self, *primaries: str, secondaries: tuple[str, ...] = ()) -> None:
        for server in self.servers:
            server.region.arrange(placed(*primaries, secondaries=secondaries))

    async def place(self, *primaries: str, secondaries: tuple[str, ...] = ()) -> None:
        self.arrange(*primaries, secondaries=secondaries)
        await until(lambda: all(server.region.settled for server in self.servers))

    async def close(self) -> None:
        for server in self.servers:
            await server.close()


def play(scenario: Callable[[OneSite, Server, Server], Coroutine[Any, Any, None]]) -> None:
    async def whole(members: Members) -> None:
        site = OneSite(members)
        one, other = await site.start()
        await scenario(site, one, other)
        await site.close()

    simulate(whole)


def test_a_write_is_done_by_the_primaries_wherever_it_is_asked_for() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place("a", "b", "a", "b")
        await one.operations.put_all(REGION, KEYS, VALUES)
        for server in (one, other):
            assert await server.operations.get_all(REGION, KEYS) == VALUES
            assert sorted(await server.operations.keys(REGION)) == sorted(KEYS)
            assert await server.operations.size(REGION) == len(KEYS)
        assert {copy.bucket for copy in one.region.accepting()} == {0, 2}

    play(scenario)


def test_a_region_is_cleared_by_the_primaries_and_shows_it_when_that_returns() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place("a", "b", "a", "b", secondaries=("a", "b"))
        await one.operations.put_all(REGION, KEYS, VALUES)
        assert (await other.operations.change(REGION, "invalidate", KEYS[0], b"", b"")).done
        await one.operations.clear(REGION)
        copies = [copy for server in (one, other) for copy in server.region.copies.values()]
        await until(lambda: not any(copy.view.values for copy in copies))
        assert await one.operations.size(REGION) == 0
        await other.operations.clear(REGION)
        records = [record for bucket in range(BUCKETS) for record in site.members.records(one.region.subject(bucket))]
        assert sum(removal.kind == CLEARED for record in records for removal in record.removals) == BUCKETS

    play(scenario)


def test_what_does_not_fit_into_a_frame_is_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place(*"bbbb")
        keys: list[Any] = [f"key-{number}" for number in range(400)]
        values = [key.encode() * 10 for key in keys]
        await other.operations.put_all(REGION, keys, values)
        monkeypatch.setattr(frames, "FRAME_BYTES_MAX", 2_000)
        assert await one.operations.get_all(REGION, keys) == values
        assert sorted(await one.operations.keys(REGION)) == sorted(keys)
        assert await one.operations.size(REGION) == 400
        monkeypatch.setattr(frames, "FRAME_BYTES_MAX", 500)  # the keys of one bucket are more
        assert sorted(await one.operations.keys(REGION)) == sorted(keys)
        await other.operations.put_all(REGION, ["large"], [bytes(600)])
        with pytest.raises(TooLargeError, match="a message may have 500"):
            await one.operations.get_all(REGION, [*keys, "large"])

    play(scenario)


def test_a_write_shows_in_the_own_copy_when_it_returns() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place(*"aaaa", secondaries=("b",))
        for key, value in zip(KEYS, VALUES, strict=True):
            await other.operations.put_all(REGION, [key], [value])
            assert other.region.copies[bucket_of(key, BUCKETS)].view.values[key] == value
            changed = await other.operations.change(REGION, "replace", key, b"new", b"")
            assert (changed.done, changed.old) == (True, value)
            assert other.region.copies[bucket_of(key, BUCKETS)].view.values[key] == b"new"

    play(scenario)


def test_a_write_waits_for_the_primary_that_is_being_made() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place(*"aaaa")
        site.members.engine.stop()
        site.arrange(*"bbbb")
        task = asyncio.create_task(one.operations.put_all(REGION, KEYS, VALUES))
        await asyncio.sleep(1)
        assert not task.done()
        site.members.engine.start()
        await task
        assert await other.operations.get_all(REGION, KEYS) == VALUES

    play(scenario)


def test_a_deposed_primary_passes_its_writes_on() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place(*"aaaa")
        other.region.arrange(placed(*"bbbb"))
        await until(lambda: other.region.settled)
        assert one.region.settled  # it does not know yet
        task = asyncio.create_task(one.operations.put_all(REGION, KEYS, VALUES))
        changing = asyncio.create_task(one.operations.change(REGION, "put_if_absent", "new", b"v", b""))
        await asyncio.sleep(0.5)
        one.region.arrange(placed(*"bbbb"))
        await task
        assert (await changing).done
        assert await other.operations.get_all(REGION, [*KEYS, "new"]) == [*VALUES, b"v"]

    play(scenario)


def test_without_a_primary_a_write_fails_after_the_timeout() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place(*"bbbb")
        site.network.crash("b")
        started = asyncio.get_running_loop().time()
        with pytest.raises(UnavailableError, match="has no primary that answers"):
            await one.operations.put_all(REGION, KEYS, VALUES)
        assert TIMEOUT_S <= asyncio.get_running_loop().time() - started < 2 * TIMEOUT_S
        with pytest.raises(UnavailableError, match="can't be read"):
            await one.operations.size(REGION)

    play(scenario)


def test_a_write_whose_answer_was_lost_is_sent_again_and_done_once() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place(*"bbbb")
        await one.operations.put_all(REGION, ["k"], [b"old"])

        async def lose_the_answer() -> None:
            await asyncio.sleep(0.0007)  # the request is there, the answer is not yet here
            site.network.crash("a")
            await other.operations.put_all(REGION, ["k", "l", "m"], [b"by another"] * 3)

        for write, answer in (
            (one.operations.change(REGION, "replace", "k", b"new", b""), b"old"),
            (one.operations.change(REGION, "remove", "k", b"", b""), b"by another"),
            (one.operations.change(REGION, "put_if_absent", "n", b"new", b""), b""),
            (one.operations.put_all(REGION, ["l"], [b"v"]), None),
            (one.operations.put_all(REGION, ["l", "m"], [b"w", b"w"]), None),
        ):
            await one.operations.size(REGION)  # so that there is a link
            _, outcome = await asyncio.gather(lose_the_answer(), write)
            if answer is not None:
                assert isinstance(outcome, Changed)
                assert (outcome.done, outcome.old) == (True, answer)
            # What another has written since was not undone by the repeat.
            assert await one.operations.get_all(REGION, ["k", "l", "m"]) == [b"by another"] * 3
        assert await one.operations.get_all(REGION, ["n"]) == [b"new"]

    play(scenario)


def test_a_write_that_no_answer_came_for_is_unknown() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place(*"bbbb")
        await one.operations.size(REGION)
        site.network.cut("a", "b")
        for write in (
            one.operations.change(REGION, "replace", "k", b"new", b""),
            one.operations.put_all(REGION, ["l"], [b"v"]),
        ):
            with pytest.raises(UnavailableError, match="it is unknown whether the write to bucket"):
                await write
        site.network.heal("a", "b")

    play(scenario)


def test_a_primary_that_does_not_answer_is_given_up_for_the_next_one() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place(*"bbbb")
        await one.operations.size(REGION)
        site.network.cut("a", "b")
        write = asyncio.create_task(one.operations.put_all(REGION, ["l"], [b"v"]))
        await asyncio.sleep(0.1)
        await site.place(*"aaaa")
        await write
        assert one.operations.region(REGION).copies[bucket_of("l", BUCKETS)].view.values == {"l": b"v"}
        site.network.heal("a", "b")

    play(scenario)


def test_what_did_certainly_not_reach_the_primary_is_repeated_whatever_it_is() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place(*"bbbb")
        await other.links.close()
        task = asyncio.create_task(one.operations.change(REGION, "put_if_absent", "k", b"v", b""))
        await asyncio.sleep(1)
        assert not task.done()
        address = await other.serve()
        site.state.members["b"] = msgspec.structs.replace(site.state.members["b"], address=address)
        assert (await task).done
        assert await one.operations.get_all(REGION, ["k"]) == [b"v"]

    play(scenario)


def test_a_region_that_is_unknown_is_named_with_those_there_are() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        with pytest.raises(RegionNotFoundError, match=r"'nowhere' does not exist at this site \(regions: r\)"):
            await one.operations.size("nowhere")

    play(scenario)


def test_a_member_that_has_just_started_sends_nobody_away_for_good() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place(*"bbbb")
        region = other.regions.pop(REGION)
        with pytest.raises(NotPrimaryError, match="b has not taken up region 'r' yet"):
            await other.operations.size(REGION)
        task = asyncio.create_task(one.operations.put_all(REGION, KEYS, VALUES))
        await asyncio.sleep(1)
        other.regions[REGION] = region
        await task

    play(scenario)


def test_many_members_that_ask_for_one_key_agree() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place("a", "b", "a", "b")
        rng = random.Random(1)
        changes = [
            rng.choice((one, other)).operations.change(REGION, "put_if_absent", key, b"%d" % number, b"")
            for number in range(50)
            for key in KEYS[:3]
        ]
        assert [changed.done for changed in await asyncio.gather(*changes)].count(True) == 3

    play(scenario)


def test_callers_wait_for_a_slow_engine_and_nothing_more_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member's own callers wait for room in it; what others ask of it they ask again."""

    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place("a", "b", "a", "b")
        site.members.engine.faults.latency_s = (0.05, 0.1)
        for server in (one, other):
            server.host.backlog.limit_bytes = 10_000
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, *(server.host.backlog.used_bytes for server in (one, other)))
                await asyncio.sleep(0.001)

        watching = asyncio.create_task(watch())
        keys: list[Any] = [f"key-{number}" for number in range(100)]
        value = bytes(1_000)
        singles = [one.operations.put_all(REGION, [key], [value]) for key in keys]
        await asyncio.gather(*singles, one.operations.put_all(REGION, [f"of-all-{key}" for key in keys], [value] * 100))
        watching.cancel()
        assert 10_000 <= most < 10_000 + 2 * 40_000  # one put_all's share of a bucket may come on top
        assert [server.host.backlog.used_bytes for server in (one, other)] == [0, 0]
        assert await one.operations.get_all(REGION, keys) == [value] * 100

    play(scenario)


def test_a_caller_who_waited_for_too_long_is_told_that_nothing_was_written() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place(*"aaaa")
        site.members.engine.stop()
        one.host.backlog.limit_bytes = 100
        first = asyncio.create_task(one.operations.put_all(REGION, ["k"], [bytes(1_000)]))
        await asyncio.sleep(0.1)
        for server in (one, other):
            started = asyncio.get_running_loop().time()
            with pytest.raises(OverloadedError, match="bytes of writes wait for the engine"):
                await server.operations.put_all(REGION, ["l"], [b"v"])
            assert TIMEOUT_S - 0.5 < asyncio.get_running_loop().time() - started < TIMEOUT_S + 0.5
            assert await server.operations.get_all(REGION, ["l"]) == [b""]
        site.members.engine.start()
        await first
        await one.operations.put_all(REGION, ["l"], [b"v"])

    play(scenario)


def test_a_put_all_of_which_a_part_was_done_is_not_told_that_it_was_not() -> None:
    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place("a", "b", "a", "b")
        full = one.region.copies[bucket_of(KEYS[0], BUCKETS)]
        bucket_2, bucket_1 = KEYS[1], KEYS[4]

        def refuse() -> None:
            raise DiskStoreFullError("full: the write was not done")

        full._check_room = refuse  # type: ignore[method-assign]
        with pytest.raises(
            DiskStoreFullError, match="a part of the write was done, or may be, and another was not: full"
        ):
            await one.operations.put_all(REGION, KEYS, VALUES)
        with pytest.raises(DiskStoreFullError, match="was not done") as caught:
            await one.operations.put_all(REGION, [KEYS[0]], [VALUES[0]])
        assert "a part" not in str(caught.value)
        site.network.crash("b")
        with pytest.raises(UnavailableError, match="a part of the write was done") as lost:
            await one.operations.put_all(REGION, [bucket_1, bucket_2], [b"v", b"v"])
        assert not isinstance(lost.value, UnreachableError), "which says that nothing was done"

    play(scenario)


def test_a_write_is_refused_when_its_region_was_created_anew_with_other_buckets() -> None:
    """The bucket was reckoned for the old one: in the new one nobody would look for the entry there."""

    async def scenario(site: OneSite, one: Server, other: Server) -> None:
        await site.place(*"bbbb")
        site.arrange("", "", "", "")
        writing = asyncio.create_task(one.operations.put_all(REGION, KEYS[:1], VALUES[:1]))
        await asyncio.sleep(0.2)
        anew = HostedRegion(
            msgspec.structs.replace(ATTRIBUTES, total_num_buckets=1), 7,
            store=one.host.store, host=one.host, sink=one.host.region_sink,
        )  # fmt: skip
        one.regions[REGION] = anew
        with pytest.raises(NotPrimaryError, match="created anew"):
            await writing
        one.regions[REGION] = one.region

    play(scenario)
