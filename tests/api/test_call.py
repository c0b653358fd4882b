"""What a thin client does when members fail, move and come back; on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from heliograph.api import operations, writes
from heliograph.api.call import LOOK_S
from heliograph.api.client import Client
from heliograph.api.locators import REFRESH_S
from heliograph.errors import (
    DiskStoreFullError,
    ForgottenError,
    HeliographError,
    NotPrimaryError,
    PeerError,
    RegionNotFoundError,
    UnavailableError,
    UnreachableError,
    UsageError,
)
from heliograph.link import messages
from heliograph.link.hello import Hello
from heliograph.link.messages import Change, GetAll, Keys, PutAll, Size
from heliograph.model.attributes import RegionAttributes
from heliograph.model.ids import Address
from heliograph.model.keys import Key, bucket_of, encode_value, key_bytes
from heliograph.model.members import MemberInfo
from heliograph.net.link import Link, serve_links
from tests.api.site import Answer, FakeServer, FakeSite, Fault, answer_with, hang, lose_answer, lose_request, run_sim

ENTRIES = {f"key{number}": number for number in range(100)}
HERE = next(key for key in ENTRIES if bucket_of(key, 16) % 2 == 0)
"""A key whose primary is server1."""


def now() -> float:
    return asyncio.get_running_loop().time()


def test_each_request_goes_to_the_primary() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            region = client.region("customer")
            await region.put_all(ENTRIES)
            assert site.asked(PutAll) == {"server1": 8, "server2": 8}
            assert await region.get_all(ENTRIES) == ENTRIES
            assert site.asked(GetAll) == {"server1": 1, "server2": 1}
            assert sorted(await region.keys()) == sorted(ENTRIES)
            assert await region.size() == 100
            assert site.asked(Keys) == site.asked(Size) == {"server1": 1, "server2": 1}
            await region.remove(HERE)
            assert site.asked(Change) == {"server1": 1}
            assert {key: value async for key, value in region.items()} == {
                key: value for key, value in ENTRIES.items() if key != HERE
            }
            assert site.locator.asked == 1

    run_sim(scenario)


def test_a_forwarded_write_teaches_the_primary() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            region = client.region("customer")
            site.primaries["customer"] = ["server2"] * 16
            await region.put(HERE, 1)
            await region.put(HERE, 2)
            await region.put_if_absent(HERE, 3)
            assert site.asked(PutAll) == {"server1": 1, "server2": 1}
            assert site.asked(Change) == {"server2": 1}
            assert site.locator.asked == 1

    run_sim(scenario)


def test_a_read_refused_by_a_member_that_holds_no_copy_finds_the_new_one() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            region = client.region("customer")
            await region.put_all(ENTRIES)
            site.primaries["customer"] = ["server2"] * 16
            assert await region.size() == 100
            assert len(await region.keys()) == 100
            assert site.locator.asked == 2

    run_sim(scenario)


def test_a_dead_primary_is_replaced_once_the_locator_has_seen_it() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            region = client.region("customer")
            await region.put_all(ENTRIES)
            await site.kill("server1")
            await asyncio.sleep(0.1)  # so that the links are known to be closed, and nothing is lost on them
            calls = [
                asyncio.create_task(region.put_all(dict.fromkeys(ENTRIES, "new"))),
                asyncio.create_task(region.remove(HERE)),
                asyncio.create_task(region.put_if_absent("fresh", 1)),
            ]
            await asyncio.sleep(5)
            assert not calls[0].done()
            site.view = site.seen("server1")
            await asyncio.gather(*calls)
            assert set((await region.get_all(ENTRIES)).values()) == {"new"}

    run_sim(scenario)


@pytest.mark.parametrize("server", ["server1", "server2"])
def test_a_secondary_answers_when_the_primary_is_dead(server: str) -> None:
    async def scenario(site: FakeSite) -> None:
        site.redundant = True
        async with site.client() as client:
            region = client.region("customer")
            await region.put_all(ENTRIES)
            await site.kill(server)
            started = now()
            assert await region.get_all(ENTRIES) == ENTRIES
            assert now() - started < 0.1

    run_sim(scenario)


@pytest.mark.parametrize("read", [GetAll, Keys, Size])
def test_a_read_whose_answer_was_lost_is_asked_again(read: type[messages.Request]) -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            region = client.region("customer")
            await region.put_all(ENTRIES)
            site.servers["server1"].faults[read] = lose_answer
            assert await region.get_all(ENTRIES) == ENTRIES
            assert sorted(await region.keys()) == sorted(ENTRIES)
            assert await region.size() == len(ENTRIES)
            assert site.asked(read) == {"server1": 2, "server2": 1}

    run_sim(scenario)


def test_a_write_whose_answer_was_lost_does_not_undo_what_others_did_since() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client, site.client() as other:
            server = site.servers["server1"]

            def lose_it_late(_server: FakeServer, link: Link, message: messages.Request) -> Answer:
                server.answer(message)
                asyncio.get_running_loop().call_later(1, link.close, "lost")
                return asyncio.get_running_loop().create_future()

            server.faults[PutAll] = lose_it_late
            put = asyncio.create_task(client.region("customer").put(HERE, 1))
            await asyncio.sleep(0.5)
            assert await other.region("customer").remove(HERE) == 1
            await put
            assert await other.region("customer").get(HERE) is None
            assert site.asked(PutAll) == {"server1": 2}

    run_sim(scenario)


@pytest.mark.parametrize("fault", [lose_request, lose_answer, answer_with(UnavailableError("the engine is slow"))])
def test_every_write_is_sent_again_until_it_is_answered(fault: Fault) -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            region = client.region("customer")
            calls: list[tuple[Callable[[], Awaitable[object]], object]] = [
                (lambda: region.put(HERE, 1), None),
                (lambda: region.replace(HERE, 2), 1),
                (lambda: region.replace(HERE, 3, expected=2), True),
                (lambda: region.replace(HERE, 4, expected=2), False),
                (lambda: region.put_if_absent(HERE, 5), 3),
                (lambda: region.remove(HERE, expected=3), True),
                (lambda: region.put_if_absent(HERE, 6), None),
                (lambda: region.remove(HERE), 6),
            ]
            for call, answer in calls:
                site.servers["server1"].faults[PutAll] = site.servers["server1"].faults[Change] = fault
                assert await call() == answer
            requests = [message for message in site.servers["server1"].asked if isinstance(message, PutAll | Change)]
            ids = [request.id for request in requests if request.id is not None]
            assert len(ids) == 2 * len(calls)
            for first, second in zip(ids[::2], ids[1::2], strict=True):
                assert second == msgspec.structs.replace(first, repeated=True)

    run_sim(scenario)


def test_an_answered_write_is_told_to_be_so() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            region = client.region("customer")
            site.servers["server1"].faults[Change] = hang
            held_up = asyncio.create_task(region.remove(HERE))
            await asyncio.sleep(0.1)
            for number in range(3):
                await region.put(HERE, number)
            held_up.cancel()
            await asyncio.wait([held_up])
            await region.put(HERE, 3)
        ids = [m.id for m in site.servers["server1"].asked if isinstance(m, PutAll | Change) and m.id is not None]
        assert [(name.number, name.oldest) for name in ids] == [(1, 1), (2, 1), (3, 1), (4, 1), (5, 5)]
        assert len({name.client for name in ids}) == 1

    run_sim(scenario)


def test_a_site_that_has_forgotten_the_client_leaves_it_unknown() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            region = client.region("customer")
            server = site.servers["server1"]

            def lose_and_forget(server: FakeServer, link: Link, message: messages.Request) -> Answer:
                server.faults[PutAll] = answer_with(ForgottenError("it is unknown whether the write was done"))
                return lose_request(server, link, message)

            server.faults[PutAll] = lose_and_forget
            with pytest.raises(UnavailableError, match="unknown whether the write was done; read the entry before"):
                await region.put(HERE, 1)
            # What was never under way otherwise goes under another name.
            server.faults[PutAll] = answer_with(ForgottenError("it is unknown whether the write was done"))
            await region.put(HERE, 2)
            assert await region.get(HERE) == 2

    run_sim(scenario)


def test_a_write_does_not_go_from_one_region_to_another_of_its_name() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            region = client.region("customer")
            await region.put(HERE, 0)

            def lose_then_create_anew(server: FakeServer, link: Link, message: messages.Request) -> Answer:
                server.answer(message)
                create_anew()
                return lose_request(server, link, message)

            def create_anew() -> None:
                site.generations["customer"] = site.generations.get("customer", 0) + 1
                site.backend.data["customer"].clear()

            site.servers["server1"].faults[PutAll] = lose_then_create_anew
            with pytest.raises(UnavailableError, match=r"unknown whether .* destroyed and created anew"):
                await region.put(HERE, 1)
            assert await region.get(HERE) is None
            create_anew()
            await region.put(HERE, 2)  # nothing was under way: it goes to the region that there is
            create_anew()
            assert await region.put_if_absent(HERE, 3) is None
            assert await region.get(HERE) == 3

    run_sim(scenario)


def test_a_refusal_after_a_lost_answer_leaves_it_unknown() -> None:
    def lose_then_refuse(server: FakeServer, link: Link, message: messages.Request) -> Answer:
        server.faults[Change] = answer_with(UsageError("the disk store is full"))
        return lose_request(server, link, message)

    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            site.servers["server1"].faults[Change] = lose_then_refuse
            with pytest.raises(
                UnavailableError, match="unknown whether the operation was done: the disk store is full"
            ):
                await client.region("customer").put_if_absent(HERE, 1)

    run_sim(scenario)


def test_the_deadline_goes_along() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client(timeout_s=4) as client:
            region = client.region("customer")
            for message in (PutAll, Change, GetAll):
                site.servers["server1"].faults[message] = lose_request
            await region.put(HERE, 1)
            await region.remove(HERE)
            await region.get(HERE)
            asked = [m for m in site.servers["server1"].asked if isinstance(m, PutAll | Change | GetAll)]
            assert len(asked) == 6
            for first, second in zip(asked[::2], asked[1::2], strict=True):
                assert 3_800 < second.timeout_ms < first.timeout_ms <= 4_000

    run_sim(scenario)


@pytest.mark.parametrize("error", [NotPrimaryError("no"), RegionNotFoundError("not yet"), UnreachableError("no room")])
def test_what_certainly_did_nothing_is_asked_again(error: HeliographError) -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            region = client.region("customer")
            site.servers["server1"].faults[Change] = answer_with(error)
            assert await region.put_if_absent(HERE, 2) is None
            assert site.asked(Change) == {"server1": 2}
            site.servers["server1"].faults[PutAll] = answer_with(error)
            await region.put(HERE, 3)
            assert site.asked(PutAll) == {"server1": 2}

    run_sim(scenario)


def test_an_answer_that_does_not_come() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client(timeout_s=3) as client:
            region = client.region("customer")
            started = now()
            for fault in (PutAll, GetAll, Change):
                site.servers["server1"].faults[fault] = hang
            with pytest.raises(UnavailableError, match="unknown whether the operation was done: no answer within 3 s"):
                await region.put(HERE, 1)
            with pytest.raises(UnavailableError, match="region customer: no answer within 3 s"):
                await region.get(HERE)
            with pytest.raises(UnavailableError, match="unknown whether the operation was done: no answer within 3 s"):
                await region.replace(HERE, 1)
            assert now() - started == pytest.approx(9, abs=0.2)
            await region.put(HERE, "the link is still good")

    run_sim(scenario)


def test_nobody_there_ends_with_the_reason() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            region = client.region("customer")
            await site.kill("server1")
            started = now()
            with pytest.raises(UnavailableError, match=r"no answer within 15 s .*connection refused"):
                await region.put(HERE, 1)
            with pytest.raises(UnavailableError, match="region customer: no answer") as raised:
                await region.put_if_absent(HERE, 1)
            assert "unknown" not in str(raised.value)
            assert now() - started == pytest.approx(30, abs=0.2)
            assert site.locator.asked < 80

    run_sim(scenario)


def test_a_site_without_servers() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client(timeout_s=1) as client:
            with pytest.raises(UnavailableError, match=r"the site has no server: start one \(`helio start server`\)"):
                await client.region("customer").get("k")

    run_sim(scenario, servers=0)


def test_a_member_that_is_cut_off_is_given_up_for_the_next_primary() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            region = client.region("customer")
            await region.put(HERE, 1)
            assert site.network is not None
            site.network.cut("client", "server1")
            site.primaries["customer"] = ["server2"] * 16
            site.view = site.seen("server1")
            await region.put(HERE, 2)
            assert now() < 3
            await region.put(HERE, 3)
            assert await region.get(HERE) == 3
            assert now() < 10
            site.network.heal("client", "server1")

    run_sim(scenario)


def test_a_client_outlives_its_locator() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            region = client.region("customer")
            port = site.locator.server.port
            await site.locator.server.close()
            site.servers["server1"].faults[PutAll] = answer_with(NotPrimaryError("not now"))
            await region.put(HERE, 1)
            with pytest.raises(UnavailableError, match="no locator answers"):
                await client.regions()
            await site.start_locator(port)
            assert await client.regions() == ["customer"]

    run_sim(scenario)


def test_the_next_locator_is_asked_when_one_does_not_answer() -> None:
    async def scenario(site: FakeSite) -> None:
        client = Client(f"nowhere[1], {site.address}", network=site.network_of("client"))
        async with client:
            assert await client.regions() == ["customer"]
            assert site.locator.asked == 2

    run_sim(scenario)


def test_a_region_is_known_as_soon_as_it_is_created() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            with pytest.raises(RegionNotFoundError, match=r"region 'orders' does not exist .*\(regions: customer\)"):
                await client.region("orders").get(1)
            site.backend.regions["orders"] = RegionAttributes(name="orders")
            site.backend.data["orders"] = {}
            site.primaries["orders"] = ["server1"] * 16
            await client.region("/orders").put(1, "x")
            assert await client.regions() == ["customer", "orders"]

    run_sim(scenario)


def test_a_region_that_is_gone() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            region = client.region("customer")
            await region.put(HERE, 1)
            del site.backend.regions["customer"], site.backend.data["customer"]
            for _ in range(2):
                with pytest.raises(RegionNotFoundError, match=r"'customer' does not exist at this site .*none"):
                    await region.get(HERE)

    run_sim(scenario)


def test_a_refusal_is_no_reason_to_ask_again() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            site.servers["server1"].faults[PutAll] = answer_with(DiskStoreFullError("the disk store is full"))
            with pytest.raises(DiskStoreFullError, match=r"a part of the write was done.*the disk store is full"):
                await client.region("customer").put_all(ENTRIES)
            assert site.asked(PutAll) == {"server1": 8, "server2": 8}
            for server in site.servers.values():
                server.faults[PutAll] = answer_with(DiskStoreFullError("the disk store is full"))
            with pytest.raises(DiskStoreFullError, match=r"^the disk store is full"):
                await client.region("customer").put("one", 1)

    run_sim(scenario)


def test_an_answer_of_another_kind_is_a_broken_peer() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            site.servers["server1"].faults[GetAll] = answer_with(messages.Count(1))
            with pytest.raises(PeerError, match="server1 answered Count to GetAll"):
                await client.region("customer").get(HERE)

    run_sim(scenario)


def test_answers_too_large_for_a_frame_are_asked_for_in_smaller_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "KEY_PARTS_MAX", 8)

    async def scenario(site: FakeSite) -> None:
        site.get_keys_max = 9
        async with site.client() as client:
            region = client.region("customer")
            await region.put_all(ENTRIES)
            assert await region.get_all(ENTRIES) == ENTRIES
            assert sorted(await region.keys()) == sorted(ENTRIES)
            site.get_keys_max = 3  # of a bucket there are more
            assert len(ENTRIES) / len(site.primaries["customer"]) > 3
            assert sorted(await region.keys()) == sorted(ENTRIES)
            assert {message.parts for server in site.servers.values() for message in server.asked
                    if isinstance(message, messages.Keys)} >= {1, 2, 4}  # fmt: skip
            site.get_keys_max = 0
            with pytest.raises(UsageError, match="too large"):
                await region.get_all(ENTRIES)
            with pytest.raises(UsageError, match="too large"):
                await region.keys()

    run_sim(scenario)


def test_a_put_all_of_any_size_goes_in_bounded_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "PUT_BYTES_MAX", 1_000)
    monkeypatch.setattr(writes, "PUT_KEYS_MAX", 20)
    monkeypatch.setattr(writes, "WINDOW_BYTES", 3_000)
    entries: dict[Key, bytes] = {number: b"x" * (number % 150) for number in range(3_000)}
    entries[-1] = b"y" * 5_000
    entries.update({f"{number:0400}": b"z" for number in range(40)})

    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            region = client.region("customer")
            await region.put_all(entries)
            assert await region.get_all(entries) == entries
        requests = [m for server in site.servers.values() for m in server.asked if isinstance(m, PutAll)]
        assert sum(len(request.keys) for request in requests) == len(entries)
        for request in requests:
            assert len(request.keys) <= 20
            size = sum(map(len, request.values)) + key_bytes(request.keys)
            assert len(request.keys) == 1 or size <= 1_000 + 20 * 4, "digits of an int among other keys count, too"

    run_sim(scenario)


def test_a_cancelled_call_is_forgotten() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            region = client.region("customer")
            site.servers["server1"].faults[Change] = hang
            call = asyncio.create_task(region.put_if_absent(HERE, 1))
            await asyncio.sleep(1)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            site.servers["server1"].faults[PutAll] = answer_with(NotPrimaryError("lost"))
            call = asyncio.create_task(region.put_all(ENTRIES))
            await asyncio.sleep(0.005)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await region.put(HERE, 2)

    run_sim(scenario)


def test_a_cancelled_caller_does_not_cut_off_others_who_wait_for_the_same_link() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            region = client.region("customer")
            calls = [asyncio.create_task(region.put(HERE, number)) for number in range(20)]
            await asyncio.sleep(0)
            calls[0].cancel()
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert isinstance(results[0], asyncio.CancelledError)
            assert results[1:] == [None] * 19
            assert len(site.servers["server1"].server.links) == 1

    run_sim(scenario)


def test_closing_ends_calls_under_way() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            region = client.region("customer")
            site.servers["server1"].faults[PutAll] = hang
            site.servers["server1"].faults[Change] = hang
            put = asyncio.create_task(region.put(HERE, 1))
            change = asyncio.create_task(region.replace(HERE, 1))
            await asyncio.sleep(0.1)
        for write in (put, change):
            with pytest.raises(UnavailableError, match=r"unknown whether .* the client is closed"):
                await write
        with pytest.raises(UsageError, match="the client is closed"):
            await region.get(HERE)

    run_sim(scenario)


def test_closing_ends_a_connecting_call() -> None:
    async def scenario(site: FakeSite) -> None:
        assert site.network is not None
        async with site.client() as client:
            site.network.cut("client", "server1")
            call = asyncio.create_task(client.region("customer").put(HERE, 1))
            await asyncio.sleep(0.1)
        with pytest.raises(UsageError, match="the client is closed"):
            await call
        site.network.heal("client", "server1")

    run_sim(scenario)


def test_popitem_takes_an_entry_as_it_is_now() -> None:
    def change_first(server: FakeServer, _link: object, _message: object) -> None:
        server.site.backend.data["customer"][HERE] = encode_value(2)

    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            region = client.region("customer")
            await region.put(HERE, 1)
            site.servers["server1"].faults[Change] = change_first
            assert await region.popitem() == (HERE, 2)
            with pytest.raises(KeyError, match="customer is empty"):
                await region.popitem()

    run_sim(scenario)


def test_a_region_may_have_a_time_of_its_own() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            for request in (PutAll, GetAll):
                site.servers["server1"].faults[request] = hang
            started = now()
            hurried = client.region("customer", timeout_s=0.5)
            with pytest.raises(UnavailableError, match=r"no answer within 0\.5 s"):
                await hurried.put(HERE, 1)
            with pytest.raises(UnavailableError, match=r"no answer within 0\.5 s"):
                await hurried.get(HERE)
            assert now() - started == pytest.approx(1, abs=0.1)
            await client.region("customer").put(HERE, 2)
            assert await hurried.get(HERE) == 2
            assert len(site.servers["server1"].server.links) == 1  # the same one
            for wrong in (0, -1, float("inf"), "soon"):
                with pytest.raises(UsageError, match="timeout_s="):
                    client.region("customer", timeout_s=wrong)  # type: ignore[arg-type]

    run_sim(scenario)


def test_a_member_that_hangs_is_left_when_the_site_says_so() -> None:
    """Its link is as good as ever: only the locator tells that another one is primary."""

    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            region = client.region("customer")
            await region.put_all(ENTRIES)
            for request in (PutAll, Change, GetAll):
                site.servers["server1"].faults[request] = hang
            calls = [
                asyncio.create_task(region.put(HERE, "new")),
                asyncio.create_task(region.replace(HERE, "newer")),
                asyncio.create_task(region.get_all(ENTRIES)),
            ]
            await asyncio.sleep(1)
            site.primaries["customer"] = ["server2"] * 16
            await asyncio.gather(*calls)
            assert now() < 2 * LOOK_S
            assert site.asked(PutAll)["server2"] == 9
            assert site.asked(Change) == {"server1": 1, "server2": 1}

    run_sim(scenario)


def test_what_is_known_of_a_site_is_refreshed_beside_the_calls() -> None:
    async def scenario(site: FakeSite) -> None:
        async with site.client() as client:
            region = client.region("customer")
            await region.put(HERE, 1)
            await asyncio.sleep(REFRESH_S - 1)
            await region.get(HERE)
            assert site.locator.asked == 1
            await asyncio.sleep(2)
            started = now()
            await asyncio.gather(*(region.get(HERE) for _ in range(10)))
            assert now() - started < 0.01
            await asyncio.sleep(0.1)
            assert site.locator.asked == 2

    run_sim(scenario)


def test_a_locator_that_the_site_has_besides_is_asked_when_the_given_one_is_gone() -> None:
    async def scenario(site: FakeSite) -> None:
        hello = Hello("locator", "locator2", 1)
        second = await serve_links(site.network_of("locator2"), "", 0, hello, lambda _peer: site.locator)
        other = MemberInfo(
            name="locator2",
            kind="locator",
            incarnation="1",
            joined_ms=1,
            address=Address("locator2", second.port),
            pid=1,
        )
        site.view = site.seen()
        site.view.members.append(other)
        async with site.client() as client:
            await site.locator.server.close()
            assert await client.regions() == ["customer"]
            started = now()
            assert await client.regions() == ["customer"]
            assert now() - started < 0.1  # the dead one is not asked first
            assert site.locator.asked == 3
        await second.close()

    run_sim(scenario)
