"""Gateway receivers: their ports and names, their life, and what they do with what they can't apply now."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from heliograph.errors import PeerError, UsageError
from heliograph.link.hello import Hello
from heliograph.link.messages import Receivers, ReceiversQuery, SiteQuery, SiteView
from heliograph.locator.cluster import Targets
from heliograph.member.receiver import GatewayReceiver
from heliograph.model.attributes import GatewayReceiverAttributes
from heliograph.model.members import ReceiverInfo
from heliograph.net.link import BaseHandler, call_once, connect_link
from tests.scenarios.sites import Site, passes, scenario, until


def receiver_of(site: Site, letter: str = "a") -> GatewayReceiver:
    """Return a member's gateway receiver."""
    receiver = site[letter].member.gateways.receiver
    assert receiver is not None
    return receiver


def port_of(site: Site, letter: str = "a") -> int:
    return site[letter].member.gateways.port


async def advertised(at: Site, site: Site) -> list[ReceiverInfo]:
    """Return the receivers of a site that another site's locator tells its senders of."""
    network, address = at.network.host("asking"), at.locator.locator.address
    answer = await call_once(network, address, Hello("client", "c"), ReceiversQuery(site.dsid), timeout_s=5)
    assert isinstance(answer, Receivers)
    return answer.receivers


async def until_advertised(at: Site, site: Site, *members: str) -> None:
    """Wait until exactly these members' receivers are told of."""

    async def there() -> bool:
        return {info.member for info in await advertised(at, site)} == set(members)

    await until(there)


@scenario(ny=1)
async def test_receiver_explicit_attributes(ny: Site) -> None:
    """Without transport filters."""
    given: dict[str, Any] = {
        "start_port": 1530,
        "end_port": 1551,
        "bind_address": "1-a",
        "hostname_for_senders": "gateway",
        "socket_buffer_size": 65_536,
        "maximum_time_between_pings": 7_000,
        "manual_start": True,
    }
    await ny.create_receiver(**given)
    assert receiver_of(ny).attributes == GatewayReceiverAttributes(**given)


@pytest.mark.parametrize("ports", [{"end_port": 2500}, {"start_port": 6000}, {"start_port": 6000, "end_port": 4000}])
def test_receiver_port_range_validation(ports: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"start-port .* is above end-port"):
        GatewayReceiverAttributes(**ports)


@scenario(ny=1)
async def test_receiver_one_per_member(ny: Site) -> None:
    await ny.create_receiver()
    with pytest.raises(AssertionError, match="a gateway receiver exists already on 1-a"):
        await ny.create_receiver()


@scenario(ny=1)
async def test_receiver_port_selection(ny: Site) -> None:
    """A port drawn at random is tried first, then upward with wrap, each once."""
    network = ny.network.host("1-a")
    taken = [await network.listen("", port, asyncio.Protocol) for port in (7000, 7001, 7003)]
    await ny.create_receiver(start_port=7000, end_port=7003)
    assert port_of(ny) == 7002
    await ny.operate(lambda admin: admin.receivers.destroy())
    taken.append(await network.listen("", 7002, asyncio.Protocol))
    result = await ny.inside(
        ny.locator,
        ny.locator.locator.site.receivers.create(GatewayReceiverAttributes(start_port=7000, end_port=7003)),
    )
    assert result.status == "ERROR"
    assert "no port of 7000 to 7003 can be listened on" in result.tables[0].rows[0][2]


@scenario(ny=1)
async def test_receiver_start_io_error(ny: Site) -> None:
    await ny.create_receiver(start_port=7000, end_port=7000, manual_start=True)
    await ny.network.host("1-a").listen("", 7000, asyncio.Protocol)
    result = await ny.inside(ny.locator, ny.locator.locator.site.receivers.act("start"))
    assert result.tables[0].rows[0][1] == "Error"
    assert "no port of 7000 to 7000 can be listened on" in result.tables[0].rows[0][2]
    assert port_of(ny) == 0


@pytest.mark.parametrize("given", [{}, {"end_port": 5003}, {"start_port": 5490}])
@scenario(ny=3)
async def test_receiver_ephemeral_in_range(ny: Site, given: dict[str, int]) -> None:
    await ny.create_receiver(**given)
    ports = [port_of(ny, letter) for letter in "abc"]
    assert all(given.get("start_port", 5000) <= port <= given.get("end_port", 5500) for port in ports)


@scenario(ny=1, ln=1)
async def test_receiver_host_name(ny: Site, ln: Site) -> None:
    """One that does not run is told to nobody."""
    await ny.create_receiver(hostname_for_senders="gateway", manual_start=True)
    await passes(10)
    assert receiver_of(ny).info() is None
    assert await advertised(ln, ny) == []
    await ny.start_receivers()
    await until_advertised(ln, ny, "1-a")
    assert [info.address.host for info in await advertised(ln, ny)] == ["gateway"]


@scenario(ny=1)
async def test_receiver_destroy_rules(ny: Site) -> None:
    """One that runs is stopped and destroyed."""
    await ny.create_receiver()
    port = port_of(ny)
    await ny.operate(lambda admin: admin.receivers.destroy())
    assert ny["a"].member.gateways.receiver is None
    await ny.network.host("1-a").listen("", port, asyncio.Protocol)  # it is free again


@scenario(ny=2, ln=1)
async def test_receiver_destroy_updates_profile(ny: Site, ln: Site) -> None:
    await ny.create_receiver()
    await until_advertised(ln, ny, "1-a", "1-b")
    await ny.operate(lambda admin: admin.receivers.destroy(Targets(members=("1-a",))))
    await until_advertised(ln, ny, "1-b")
    await ny.operate(lambda admin: admin.receivers.destroy(if_exists=True))
    await until_advertised(ln, ny)


@scenario(ny=2, ln=1)
async def test_receiver_recreate_after_destroy(ny: Site, ln: Site) -> None:
    await ny.create_receiver()
    await ny.stop_receivers()
    await ny.operate(lambda admin: admin.receivers.destroy())
    await until_advertised(ln, ny)
    await ny.receives("r")
    await until_advertised(ln, ny, "1-a", "1-b")
    await ln.create_sender("ny", to=ny)
    await ln.create_region("r", senders="ny")
    await ln.put("r", range(100))
    await ny.until_size("r", 100)


@scenario(ny=2)
async def test_receiver_destroy_unstarted(ny: Site) -> None:
    await ny.create_receiver(manual_start=True)
    await ny.operate(lambda admin: admin.receivers.destroy())


@scenario(ny=2)
async def test_receiver_hidden_from_clients(ny: Site) -> None:
    """Clients are told members and their addresses; a receiver turns one away that comes all the same."""
    await ny.create_receiver()
    network, hello = ny.network.host("client"), Hello("client", "c")
    view = await call_once(network, ny.locator.locator.address, hello, SiteQuery(), timeout_s=5)
    assert isinstance(view, SiteView)
    offered = {(member.address.host, member.address.port) for member in view.members}
    receivers = [receiver_of(ny, letter).info() for letter in "ab"]
    for info in receivers:
        assert info is not None
        assert (info.address.host, info.address.port) not in offered
        with pytest.raises(PeerError, match="a client has nothing to do here"):
            await connect_link(network, info.address, hello, BaseHandler(), timeout_s=5)


@scenario(ln=1, ny=1)
async def test_receiver_ping_timeout_disconnects_sender(ln: Site, ny: Site) -> None:
    """The receiver asks for a sign of life itself: a sender that is merely idle keeps its links."""
    await ny.create_receiver(maximum_time_between_pings=4_000)
    await ny.create_region("r")
    await ln.create_sender("ny", to=ny)
    await ln.create_region("r", senders="ny")
    await ln.put("r", range(10))
    await ln.until_drained("ny")
    links = ny.received("currentClientConnections")
    await passes(60)
    assert ny.received("currentClientConnections") == links >= 1
    assert ny.received("connectionsTimedOut") == 0
    ln.cut(ny)
    await passes(6)
    assert ny.received("connectionsTimedOut") == links
    ln.heal(ny)
    await ln.put("r", range(20))
    await ny.until_size("r", 20)


@scenario(ln=1, ny=1)
async def test_receiver_missing_region_retry_forever(ln: Site, ny: Site) -> None:
    await ny.create_receiver()
    await ln.create_sender("ny", to=ny)
    await ln.create_region("r", senders="ny")
    await ln.put("r", range(10))
    await until(lambda: ny.received("batchesRefused") > 10)
    assert ln.queued("ny") == 10
    await ny.create_region("r")
    await ny.until_size("r", 10)
    await ln.until_drained("ny")


@scenario(ln=2, ny=2)
async def test_receiver_partition_offline_retry(ln: Site, ny: Site) -> None:
    await ny.receives("r", kind="PARTITION_PERSISTENT")
    await ln.create_sender("ny", to=ny, parallel=True, enable_persistence=True)
    await ln.create_region("r", "PARTITION_PERSISTENT", senders="ny")
    done = asyncio.Event()

    async def put() -> int:
        number = 0
        while not done.is_set():
            await ln.put("r", range(number, number + 10))
            await asyncio.sleep(0.05)
            number += 10
        return number

    putting = asyncio.ensure_future(put())
    for _ in range(3):
        ny.kill("b")
        await passes(5)
        await ny.join("b")
        await passes(5)
    done.set()
    written = await putting
    assert written > 100
    await ln.until_drained("ny")
    await ny.until_size("r", written)


@scenario(ln=1, ny=2)
async def test_receiver_cache_closing(ln: Site, ny: Site) -> None:
    """Members leave one after the other in the middle of batches: what they did not acknowledge goes to the other."""
    await ny.receives("r", kind="REPLICATE_PERSISTENT")
    await ln.create_sender("ny", to=ny, batch_size=5)
    await ln.create_region("r", senders="ny")
    done = asyncio.Event()

    async def put() -> int:
        number = 0
        while not done.is_set():
            await ln.put("r", range(number, number + 50))
            number += 50
        return number

    putting = asyncio.ensure_future(put())
    for letter in "ab":
        await until(lambda: ny.received("eventsReceived") > 200)
        await ny.leave(letter)
        await ny.join(letter)
    done.set()
    written = await putting
    await ln.until_drained("ny")
    await ny.until_size("r", written)


@scenario(ln=1, ny=1)
async def test_receiver_metric_counts_events(ln: Site, ny: Site) -> None:
    await ny.receives("r")
    await ln.create_sender("ny", to=ny)
    await ln.create_region("r", senders="ny")
    await ln.put("r", range(30))
    await ln.put("r", range(20), "again")
    await ln.remove("r", range(10))
    await ln.until_drained("ny")
    counted = [ny.received(name) for name in ("createRequests", "updateRequest", "destroyRequest", "eventsReceived")]
    assert counted == [30, 20, 10, 60]


@scenario(ln=1, ny=1)
async def test_receiver_create_on_existing_key(ln: Site, ny: Site) -> None:
    await ny.receives("r")
    await ny.put("r", ["k"], "of an earlier life")
    await ln.create_sender("ny", to=ny)
    await ln.create_region("r", senders="ny")
    await ln.put("r", ["k", "missing"], "new")
    await ln.until_drained("ny")
    assert await ny.contents("r") == {"k": "new", "missing": "new"}
    await ny.remove("r", ["missing"])
    await ln.remove("r", ["missing"])
    await ln.until_drained("ny")
    assert (ny.received("createRequests"), ny.received("destroyRequest")) == (2, 1)
    assert await ny.contents("r") == {"k": "new"}
    assert (ny.received("exceptionsOccurred"), ny.received("batchesRefused")) == (0, 0)
