"""Sites behind something: one proxy in front of all receivers, and addresses that are of use outside only."""

from __future__ import annotations

import asyncio

import pytest

from heliograph.locator.config import LOCATOR_PORT
from heliograph.model.ids import Address
from tests.net.balancer import Balancer
from tests.scenarios.sites import LATE, Site, passes, scenario, until

PORT = 5_000


def links(site: Site) -> list[int]:
    """Return how many links each running receiver has."""
    receivers = [slot.member.gateways.receiver for slot in site.running]
    infos = [receiver.info() for receiver in receivers if receiver is not None]
    return [info.links for info in infos if info is not None]


@scenario(ln=1, ny=3)
async def test_receivers_behind_one_proxy(ln: Site, ny: Site) -> None:
    """They give the same host and port; which one a lane is at is the proxy's choice, and each is told apart."""
    proxy = Balancer(ny.network.host("proxy"), *(Address(f"2-{letter}", PORT) for letter in "abc"))
    await proxy.start("", PORT)
    for host in ("1-locator", "1-a"):
        for letter in "abc":
            ny.network.cut(host, f"2-{letter}")
    await ny.create_receiver(start_port=PORT, end_port=PORT, hostname_for_senders="proxy")
    await ny.create_region("r", "PARTITION")
    await ln.create_sender("ny", to=ny, parallel=True, dispatcher_threads=6)
    await ln.create_region("r", "PARTITION", senders="ny")
    await ln.put("r", range(200))
    await ny.until_size("r", 200)
    await ln.until_drained("ny")
    await until(lambda: links(ny) == [2, 2, 2])
    assert {status.receiver for status in ln.statuses("ny").values()} == {"proxy[5000]"}
    ny.kill("b")
    await until(lambda: sum(links(ny)) == 6)
    assert max(links(ny)) <= 4
    await ln.put("r", range(400))
    await ln.until_drained("ny")
    await ny.until_size("r", 400)
    await ny.stop_receivers("a")
    await ln.put("r", range(600))
    await ln.until_drained("ny")
    assert links(ny) == [6]
    proxy.close()
    await passes(20)
    await ln.put("r", range(800))
    await proxy.start("", PORT)
    await ln.until_drained("ny")
    await ny.until_size("r", 800)


@scenario(ln=LATE, ny=LATE)
async def test_sites_that_know_only_each_other_s_outside_addresses(ln: Site, ny: Site) -> None:
    """Each site is behind an address of its own; nothing inside one can be reached from inside the other."""
    network = ln.network
    for here in ("1-locator", "1-a", "1-b"):
        for there in ("2-locator", "2-a", "2-b"):
            network.cut(here, there)
    for site, dsid in ((ln, 1), (ny, 2)):
        outside = network.host(f"nat{dsid}")
        await Balancer(outside, Address(f"{dsid}-locator", LOCATOR_PORT)).start("", LOCATOR_PORT)
        await Balancer(outside, Address(f"{dsid}-a", PORT), Address(f"{dsid}-b", PORT)).start("", PORT)
        site.outside = f"nat{dsid}"
        site.remote_locators = (Address(f"nat{3 - dsid}", LOCATOR_PORT),)
    for site, other in ((ln, ny), (ny, ln)):
        await site.start(2)
        await site.create_receiver(start_port=PORT, end_port=PORT, hostname_for_senders=site.outside)
        await site.create_sender("away", to=other, parallel=True)
        await site.create_region("r", "PARTITION", senders="away")
    await ln.put("r", range(100), "ln")
    await ny.put("r", range(100, 200), "ny")
    for site in (ln, ny):
        await site.until_size("r", 200)
        await site.until_drained("away")
    known = [word.address for word in ln.locator.locator._directory.locators() if word.dsid == ny.dsid]
    assert known == [Address("nat2", LOCATOR_PORT)]
    ny.locator.kill()
    ln.locator.kill()
    ny.locator.start()
    ln.locator.start()
    await until(lambda: ny.locator.ready and ln.locator.ready)
    ny.kill("a")
    await ln.put("r", range(300), "ln")
    await ln.until_drained("away")
    await ny.until_size("r", 300)


@scenario(ln=1, ny=LATE)
async def test_receivers_take_each_port_once_and_say_when_there_is_none_left(ln: Site, ny: Site) -> None:
    """Members of one machine share its ports."""
    del ny
    host = ln.network.host("1-a")
    taken = [await host.listen("", port, _nothing) for port in range(PORT, PORT + 7)]
    await ln.create_receiver(start_port=PORT, end_port=PORT + 7)
    assert ln["a"].member.gateways.port == PORT + 7
    await ln.stop_receivers("a")
    taken.append(await host.listen("", PORT + 7, _nothing))
    with pytest.raises(AssertionError, match="no port of 5000 to 5007 can be listened on"):
        await ln.start_receivers("a")
    taken.pop(3).close()
    await ln.start_receivers("a")
    assert ln["a"].member.gateways.port == PORT + 3


def _nothing() -> asyncio.Protocol:
    raise AssertionError("nobody connects")
