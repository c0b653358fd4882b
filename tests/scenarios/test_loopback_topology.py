"""Events that come back: which sites forward what, so that everything arrives everywhere and nothing goes round."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.sites import Site, passes, scenario, until

LN, NY, TK = range(100), range(100, 200), range(200, 300)
"""Keys that are put at one site each."""
PARALLEL: dict[str, Any] = {"parallel": True, "enable_persistence": True}
KIND = "PARTITION_REDUNDANT_PERSISTENT"


async def connect(links: dict[Site, list[Site]], kind: str = KIND, **options: Any) -> None:
    """Give every site a receiver, a gateway sender to each site that it leads to, and the region r."""
    for site, remotes in links.items():
        await site.create_receiver()
        for remote in remotes:
            await site.create_sender(remote.name, to=remote, **options)
        await site.create_region("r", kind, senders=" ".join(remote.name for remote in remotes))


async def until_all_have(sites: list[Site], size: int) -> None:
    for site in sites:
        await site.until_size("r", size)


def queued_ever(site: Site, sender: str) -> int:
    """Return how many events a sender has taken up to be sent, since its site started."""
    return site.count(sender, "eventsQueued")


def kinds(site: Site) -> tuple[int, int]:
    """Return how many events of the site's log created an entry, and how many updated one."""
    keys = [written.key for written in site.written("r")]
    return len(set(keys)), len(keys) - len(set(keys))


@scenario(ln=2, ny=2)
async def test_loopback_two_sites_parallel(ln: Site, ny: Site) -> None:
    await connect({ln: [ny], ny: [ln]}, **PARALLEL)
    await ln.pause_sender("ny")
    await ny.pause_sender("ln")
    await ln.put("r", LN)
    await ny.put("r", NY)
    await ln.until_queued("ny", 100)
    await ny.until_queued("ln", 100)
    await ln.resume_sender("ny")
    await ny.until_size("r", 200)
    await ln.until_drained("ny")
    await passes(5)
    await ny.until_queued("ln", 100)  # what came from there does not go back
    await ny.resume_sender("ln")
    await until_all_have([ln, ny], 200)
    await ny.until_drained("ln")
    assert (queued_ever(ln, "ny"), queued_ever(ny, "ln")) == (100, 100)


@scenario(ln=2, ny=2, tk=2)
async def test_loopback_three_site_ring_serial(ln: Site, ny: Site, tk: Site) -> None:
    ring = {ln: [ny], ny: [tk], tk: [ln]}
    await connect(ring, "REPLICATE")
    for site in ring:
        await site.put("r", [site.name])
    await until_all_have([ln, ny, tk], 3)
    for site, [remote] in ring.items():
        await site.until_drained(remote.name)
        assert queued_ever(site, remote.name) == 2  # its own, and one that it forwards
        assert kinds(site) == (3, 0)


@scenario(ln=2, ny=2, tk=2)
async def test_loopback_three_site_ring_parallel(ln: Site, ny: Site, tk: Site) -> None:
    await connect({ln: [ny], ny: [tk], tk: [ln]}, **PARALLEL)
    await ln.pause_sender("ny")
    await tk.pause_sender("ln")
    await ln.put("r", LN)
    await tk.put("r", TK)
    await ln.until_queued("ny", 100)
    await tk.until_queued("ln", 100)
    await ln.resume_sender("ny")
    await ny.until_size("r", 100)
    await tk.until_size("r", 200)
    await ny.until_drained("tk")
    await passes(5)
    await tk.until_queued("ln", 100)  # and not 200: what was born at LN is not sent back there
    assert await ln.sizes("r") == [100, 100]
    await tk.resume_sender("ln")
    await until_all_have([ln, ny, tk], 200)
    for site, remote in ((ln, "ny"), (ny, "tk"), (tk, "ln")):
        await site.until_drained(remote)


@scenario(ln=2, ny=2, tk=2)
async def test_loopback_full_mesh_put_in_all_serial(ln: Site, ny: Site, tk: Site) -> None:
    mesh = {ln: [ny, tk], ny: [ln, tk], tk: [ln, ny]}
    await connect(mesh, "REPLICATE")
    for site in mesh:
        await site.put("r", [site.name])
    await until_all_have([ln, ny, tk], 3)
    for site, remotes in mesh.items():
        for remote in remotes:
            await site.until_drained(remote.name)
            assert queued_ever(site, remote.name) == 1
        assert kinds(site) == (3, 0)


@scenario(ln=2, ny=2, tk=2)
async def test_loopback_full_mesh_parallel(ln: Site, ny: Site, tk: Site) -> None:
    mesh = {ln: [ny, tk], ny: [ln, tk], tk: [ln, ny]}
    await connect(mesh, **PARALLEL)
    for site, remotes in mesh.items():
        for remote in remotes:
            await site.pause_sender(remote.name)
    await ln.put("r", LN)
    await ln.resume_sender("ny")
    await ny.until_size("r", 100)
    await tk.put("r", TK)
    await tk.resume_sender("ny")
    await ny.until_size("r", 200)
    await passes(5)
    for other in ("ln", "tk"):  # the senders that are paused count: LN's events go to TK from LN, TK's to LN from TK
        await ny.until_queued(other, 0)
        assert queued_ever(ny, other) == 0
    for site, remotes in mesh.items():
        for remote in remotes:
            if site.states(remote.name) == {"Paused"}:
                await site.resume_sender(remote.name)
    await until_all_have([ln, ny, tk], 200)


@pytest.mark.parametrize("parallel", [True, False])
@scenario(ln=2, ny=2, tk=2)
async def test_mesh_stopped_direct_link_uses_indirect_path(ln: Site, ny: Site, tk: Site, parallel: bool) -> None:
    """And as nothing is ever lost here, what is put meanwhile goes the direct way too when it is open again."""
    await connect({ln: [ny, tk], ny: [tk], tk: []}, parallel=parallel, enable_persistence=True)
    await ln.put("r", range(200))
    await until_all_have([ny, tk], 200)
    assert queued_ever(ny, "tk") == 0
    await ln.stop_sender("tk")
    await until(
        lambda: all("tk" not in info.running_senders for slot in ln.members for info in slot.member._members().values())
    )
    await ln.put("r", range(200, 1000))
    await until_all_have([ny, tk], 1000)
    await ny.until_drained("tk")
    assert queued_ever(ny, "tk") == 800
    await ln.start_sender("tk")
    await ln.until_drained("tk")
    assert tk.received("eventsReceived") == 200 + 2 * 800
    assert kinds(tk) == (1000, 0)  # of the second copies nothing is applied
