"""Members in this process, with a real locator and engine."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import httpx
import pytest

import heliograph
from heliograph.admin.client import AdminClient
from heliograph.api.cache_config import CacheOptions, read_options
from heliograph.api.options import Addresses
from heliograph.errors import DiskStoreFullError, UnavailableError, UsageError
from heliograph.link.hello import Hello
from heliograph.link.messages import SiteQuery, SiteView
from heliograph.locator.config import LOCATOR_PORT
from heliograph.locator.requests import RegionAlteration
from heliograph.model.attributes import GatewayReceiverAttributes, RegionAttributes
from heliograph.model.ids import Address
from heliograph.net.link import call_once
from heliograph.net.real import RealNetwork
from tests.api.conftest import start_cache


def test_options_of_a_cache_that_joins() -> None:
    config = read_options("app1", {"locators": "a[1],b:2", "groups": ["g1"], "timeout_s": 1.5, "server_port": 40404})
    assert config.locator is None
    assert config.member.locators == (Address("a", 1), Address("b", 2))
    assert config.member.groups == ("g1",)
    assert config.member.write_timeout_ms == 1500
    assert config.member.server_port == 40404


def test_options_in_a_cache_xml_file_give_way_to_those_given(tmp_path: Path) -> None:
    path = tmp_path / "cache.xml"
    path.write_text(
        '<cache><cache-server port="40777" bind-address="127.0.0.1"><group>a</group></cache-server></cache>'
    )
    config = read_options("app1", {"locators": "a[1]", "cache_xml_file": str(path), "groups": "b"})
    assert (config.member.server_port, config.member.bind_address, config.member.groups) == (40777, "127.0.0.1", ("b",))


def test_a_cache_xml_file_is_given_to_the_site_where_it_lacks_it(cache: heliograph.Cache, tmp_path: Path) -> None:
    path = tmp_path / "cache.xml"
    sender = '<cache><gateway-sender id="xml9" remote-distributed-system-id="9" batch-size="{}"/>'
    region = '<region name="xml"><region-attributes gateway-sender-ids="xml9">{}</region-attributes></region></cache>'
    options: CacheOptions = {
        "locators": cache.locators, "bind_address": "127.0.0.1", "directory": str(tmp_path / "more"),
        "cache_xml_file": str(path),
    }  # fmt: skip
    for batch_size in (7, 8):  # what could be altered is left as the site has it
        path.write_text(sender.format(batch_size) + region.format(""))
        with heliograph.Cache("more", **options) as more:
            more.region("xml").put("k", "v")
            assert cache.region("xml").get("k") == "v"
    path.write_text(sender.format(7) + region.format('<partition-attributes total-num-buckets="3"/>'))
    with (
        pytest.raises(UsageError, match="region xml exists with other attributes"),
        heliograph.Cache("more", **options),
    ):
        pass


def test_options_of_a_cache_with_its_own_locator() -> None:
    config = read_options("app1", {"distributed_system_id": 2, "remote_locators": "a[1],b[2]", "http_service_port": 0})
    assert config.locator is not None
    assert (config.locator.name, config.locator.port, config.locator.directory) == (
        "app1-locator",
        LOCATOR_PORT,
        "app1",
    )
    assert config.locator.remote_locators == (Address("a", 1), Address("b", 2))
    config = read_options("app1", {"start_locator": "127.0.0.1[7]", "directory": "/data"})
    assert config.locator is not None
    assert (config.locator.bind_address, config.locator.port, config.locator.directory) == ("127.0.0.1", 7, "/data")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"locators": "here"}, "'here' is not an address"),
        ({"locators": "a[1]", "start_locator": "b[1]"}, "start_locator: for a cache that starts a locator of its own"),
        ({"locators": "a[1]", "distributed_system_id": 1, "remote_locators": "b[1]"}, "distributed_system_id, remote"),
        ({"locators": "a[1]", "server_port": 70000}, "server-port 70000"),
        ({"locators": "a[1]", "server_port": "40404"}, r"^server_port='40404': expected int, got str$"),
        (
            {"locators": "a[1]", "colour": "red"},
            "^Cache has no option colour; its options are bind_address, cache_xml_file, directory, ",
        ),
        ({"locators": 5}, r"^locators=5: give host\[port\], several of them separated by commas, or a list"),
        ({"locators": ("127.0.0.1", 10334)}, r"^locators=\('127.0.0.1', 10334\): give host"),
        ({"remote_locators": [5]}, r"^remote_locators=\[5\]: give host"),
        ({"start_locator": "a[1],b[1]"}, "start_locator: one locator is started, so give one address"),
        ({"locators": "a[1]", "groups": 5}, "^groups=5: give a name, several of them separated by commas, or a list"),
        ({"locators": "a[1]", "groups": "a b"}, "'a b' can't name a group"),
        ({"locators": "a[1]", "timeout_s": "5"}, "^timeout_s='5': give seconds, more than 0"),
        ({"locators": "a[1]", "timeout_s": float("inf")}, "^timeout_s=inf: give seconds"),
        ({"distributed_system_id": "1"}, "^distributed_system_id='1': expected int or None, got str$"),
        ({"distributed_system_id": 256}, "distributed-system-id 256 is out of range"),
        ({"remote_locators": "b[1]"}, "remote-locators needs a distributed-system-id"),
    ],
)
def test_options_that_are_refused(options: CacheOptions, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        heliograph.Cache("app1", **options)


@pytest.mark.parametrize(
    "locators", ["a[1],b:2", ["a[1]", "b:2"], (Address("a", 1), "b[2]"), iter([Address("a", 1), Address("b", 2)])]
)
def test_addresses_are_texts_or_addresses_one_or_many(locators: Addresses) -> None:
    assert read_options("app1", {"locators": locators}).member.locators == (Address("a", 1), Address("b", 2))


def test_one_address() -> None:
    config = read_options("app1", {"start_locator": Address("a", 1), "remote_locators": (), "groups": "g1, g2"})
    assert config.member.locators == (Address("a", 1),)
    assert config.member.groups == ("g1", "g2")


@pytest.mark.parametrize("name", ["app 1", "", 5])
def test_a_name_that_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="can't name a member"):
        heliograph.Cache(name, locators="a[1]")


def test_a_cache_serves_http_and_clients(cache: heliograph.Cache) -> None:
    cache.create_region("http_and_clients")["k"] = "v"
    with heliograph.connect(cache.locators) as client:
        assert client.region("http_and_clients")["k"] == "v"
        view = asyncio.run(_view(cache.locators[0]))
        assert "http_and_clients" in client.regions()
    answer = httpx.get(f"{view}/api/v1/members", timeout=10)
    assert answer.status_code == 200
    assert cache.name in answer.text
    assert repr(cache) == "<heliograph cache app1>"


async def _view(locator: Address) -> str:
    view = await call_once(RealNetwork(), locator, Hello("client", "test"), SiteQuery(), timeout_s=5)
    assert isinstance(view, SiteView)
    return view.http_url


def test_what_exists_with_the_same_definition_is_left_as_it_is(cache: heliograph.Cache) -> None:
    region = cache.create_region("twice", total_num_buckets=4)
    region["k"] = 1
    assert cache.create_region("/twice", "PARTITION", total_num_buckets=4)["k"] == 1
    differing = r"\(total-num-buckets: 4 there, 5 here\): alter region changes"
    with pytest.raises(UsageError, match=f"region twice exists already with other attributes {differing}"):
        cache.create_region("twice", total_num_buckets=5)


def test_a_region_in_a_disk_store_of_its_own_is_limited_by_it(cache: heliograph.Cache) -> None:
    cache.create_disk_store("small", max_disk=1)
    cache.create_disk_store("small", max_disk=1)
    with pytest.raises(UsageError, match="disk-store small exists already with other attributes"):
        cache.create_disk_store("small", max_disk=2)
    region = cache.create_region("in_small", disk_store="small")
    for number in range(100):
        try:
            region[number] = bytes(100_000)
        except DiskStoreFullError as exc:
            assert "disk store small is full" in str(exc)  # noqa: PT017
            break
    assert 5 < number < 30
    assert region[0] == bytes(100_000)
    del region[0]
    assert 0 not in region
    with heliograph.connect(str(cache.locators[0])) as client, pytest.raises(DiskStoreFullError):
        client.region("in_small").put("k", 1)


def test_a_receiver_that_finds_no_free_port_is_taken_back(tmp_path: Path) -> None:
    with start_cache(tmp_path) as cache, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=str(port)):
            cache.create_gateway_receiver(start_port=port, end_port=port)
        with socket.create_server(("127.0.0.1", 0)) as free:
            good = free.getsockname()[1]
        cache.create_gateway_receiver(start_port=good, end_port=good)
        with socket.create_connection(("127.0.0.1", good), timeout=5):
            pass
        with pytest.raises(UsageError, match=f"start-port: {good} there, {port} here"):
            cache.create_gateway_receiver(start_port=port, end_port=port)


def test_a_site_without_an_id_has_no_gateways(tmp_path: Path) -> None:
    with start_cache(tmp_path, distributed_system_id=0) as cache:
        with pytest.raises(UsageError, match="gateway-sender s2: this site has no distributed-system-id"):
            cache.create_gateway_sender("s2", remote_distributed_system_id=2)
        with pytest.raises(UsageError, match="gateway-receiver: this site has no distributed-system-id"):
            cache.create_gateway_receiver()


def test_a_destroyed_region_comes_back_empty_and_every_change_is_told(tmp_path: Path) -> None:
    with start_cache(tmp_path) as cache:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]

        def told(method: str, path: str, body: object = None) -> str:
            return admin.call(method, path, body=body).tables[0].rows[0][2]

        with AdminClient(asyncio.run(_view(cache.locators[0]))) as admin:
            region, plain = RegionAttributes(name="plain", total_num_buckets=4), "/regions/plain"
            for _ in range(2):
                assert told("POST", "/regions", region) == "region plain created on app1"
                entries = cache.region("plain")
                assert len(entries) == 0
                entries["k"] = 1
                altered = RegionAlteration(gateway_sender_ids=())
                assert told("PATCH", plain, altered) == "region plain changed on app1"
                assert entries["k"] == 1
                assert told("DELETE", plain) == "region plain destroyed on app1"
            receiver = GatewayReceiverAttributes(start_port=port, end_port=port)
            listening = f"gateway-receiver created on app1, listening on port {port}"
            assert told("POST", "/gateway-receivers", receiver) == listening
            assert told("DELETE", "/gateway-receivers") == "the gateway receiver is destroyed on member app1"
            receiver = GatewayReceiverAttributes(manual_start=True)
            assert told("POST", "/gateway-receivers", receiver) == "gateway-receiver created on app1, not started"


def test_gateways(cache: heliograph.Cache) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    cache.create_gateway_sender("sender2", remote_distributed_system_id=2, parallel=True, batch_size=500)
    cache.create_gateway_sender("sender2", remote_distributed_system_id=2, parallel=True, batch_size=500)
    cache.create_gateway_receiver(start_port=port, end_port=port)
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass
    cache.create_region("sent", gateway_sender_ids=["sender2"])["k"] = 1
    cache.create_region("sent", gateway_sender_ids="sender2")


class Collecting:
    """A listener that collects the events of all its instances, and the threads that it was called in."""

    events: ClassVar[list[heliograph.GatewayEvent]] = []
    threads: ClassVar[set[int]] = set()

    def __init__(self, only: str = "") -> None:
        self.only = only

    def process_events(self, events: Sequence[heliograph.GatewayEvent]) -> bool:
        Collecting.threads.add(threading.get_ident())
        Collecting.events += [event for event in events if str(event.key).startswith(self.only)]
        return True


def test_an_async_event_queue_calls_its_listener_in_a_thread(cache: heliograph.Cache) -> None:
    Collecting.events.clear()
    cache.create_async_event_queue("q", listener=f'{__name__}:Collecting{{"only": "a"}}', batch_time_interval=0)
    region = cache.create_region("audited", async_event_queue_ids="q")
    region.put_all({"a1": 1, "b1": 2, "a2": 3})
    del region["a1"]
    deadline = time.monotonic() + 30
    while len(Collecting.events) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sorted((event.key, event.operation) for event in Collecting.events) == [
        ("a1", "create"),
        ("a1", "destroy"),
        ("a2", "create"),
    ]
    assert threading.get_ident() not in Collecting.threads


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda c: c.create_region("x", type="PARTED"), "region type 'PARTED' is not known"),
        (
            lambda c: c.create_region("x", gateway_sender_ids=["nobody"]),
            "sender nobody, which does not exist: create it",
        ),
        (lambda c: c.create_region("x", total_num_buckets="9"), "^total_num_buckets='9': expected int, got str$"),
        (lambda c: c.create_region("x", gateway_sender_ids=5), "^gateway_sender_ids=5: give a name"),
        (
            lambda c: c.create_region("x", entry_idle_time_expiration="5"),
            "^entry_idle_time_expiration='5': expected int",
        ),
        (
            lambda c: c.create_region("x", entry_idle_time=5),
            "^create_region has no option entry_idle_time; its options",
        ),
        (lambda c: c.create_region("x", groups=7), "^groups=7: give a name"),
        (lambda c: c.create_region("x", groups="east, west"), "no members found: no server of this site is in east, w"),
        (lambda c: c.create_region(5), "5 can't name a region"),
        (lambda c: c.create_region("x", disk_store="none"), "names disk store 'none', which does not exist: create it"),
        (lambda c: c.create_disk_store("x", max_disk=-1), "max-disk -1: use 1 to"),
        (lambda c: c.create_disk_store("a/b"), "can't name a disk store"),
        (lambda c: c.region(5), "5 can't name a region"),
        (lambda c: c.create_gateway_sender("s", remote_distributed_system_id=1), "this site's own"),
        (
            lambda c: c.create_gateway_sender("s", remote_distributed_system_id=2, batch=1),
            "^create_gateway_sender has no option batch; its options are .*batch_size, ",
        ),
        (lambda c: c.create_gateway_sender("s", remote_distributed_system_id=2, dispatcher_threads=0), "use 1 to 64"),
        (
            lambda c: c.create_async_event_queue("e", listener="nothing:Here"),
            "the listener nothing:Here can't be loaded",
        ),
        (
            lambda c: c.create_async_event_queue("e", listener="no plug-in"),
            "listener 'no plug-in': write module:object",
        ),
        (
            lambda c: c.create_gateway_sender("s", remote_distributed_system_id=2, gateway_event_filters="a:b{"),
            "what follows 'a:b' is no JSON object",
        ),
        (lambda c: c.create_gateway_receiver(start_port=9, end_port=8), "start-port 9 is above end-port 8"),
    ],
)
def test_mistakes_are_named(cache: heliograph.Cache, mistake: Callable[[heliograph.Cache], None], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        mistake(cache)


def test_a_second_member_shares_the_regions(cache: heliograph.Cache) -> None:
    region = cache.create_region("shared", "REPLICATE")
    region.put_all({str(number): number for number in range(100)})
    with heliograph.Cache("app2", locators=cache.locators, bind_address="127.0.0.1") as second:
        shared = second.region("shared")
        assert dict(shared.items()) == {str(number): number for number in range(100)}
        shared["100"] = 100
        assert region["100"] == 100
        with pytest.raises(UsageError, match="app2 runs in this site already"):
            heliograph.Cache("app2", locators=str(cache.locators[0]), bind_address="127.0.0.1")
    assert len(region) == 101
    with pytest.raises(UsageError, match="cache app2 is"):
        shared.get("k")
    with pytest.raises(UsageError, match="cache app2 is"):
        second.region("shared")


def test_awaited(cache: heliograph.Cache) -> None:
    locator = str(cache.locators[0])

    async def main() -> None:
        async with heliograph.aio.Cache("app3", locators=locator, bind_address="127.0.0.1") as member:
            region = await member.create_region("awaited", total_num_buckets=4)
            async with heliograph.aio.connect(locator) as client:
                seen = client.region("awaited")
                await region.put_all({number: [number] for number in range(50)})
                await asyncio.gather(*(seen.put(number, [number, "!"]) for number in range(50)))
                assert await region.get_all(range(60)) == {number: [number, "!"] for number in range(50)}
                assert await seen.size() == await region.size() == 50
                assert await seen.contains(7)
                assert await region.replace(7, 8, expected=[7, "!"]) is True
                assert await seen.remove(7) == 8
                assert "awaited" in await client.regions()
                assert {key: value async for key, value in region.items()} == await seen.get_all(range(50))
                assert repr(client) == f"<heliograph.aio.Client of {locator}>"
                assert repr(member) == "<heliograph.aio.Cache app3>"
        with pytest.raises(UsageError, match="cache app3 is not open"):
            member.region("awaited")

    asyncio.run(main())


def test_no_locator_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(UnavailableError, match=rf"no locator answers at 127\.0\.0\.1\[{port}\]"):
        heliograph.Cache("app9", locators=f"127.0.0.1[{port}]", locator_wait_time=0)


def test_data_outlive_the_cache(tmp_path: Path) -> None:
    for expected in (None, 1):
        with start_cache(tmp_path / "engine") as cache:
            region = cache.create_region("kept", "PARTITION_PERSISTENT")
            assert region.get("k") == expected
            region["k"] = 1
