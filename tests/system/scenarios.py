"""The scenarios in which nothing may be lost; `test_planted_bugs` runs some of them on programs that do lose.

Each starts its sites, lets clients write through what happens, and compares both sites with what was acknowledged.
settle_s: how long what is not right yet may take.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from typing import Any

import heliograph
from heliograph.errors import UnavailableError
from heliograph.model.keys import Key
from tests.system.ledger import assert_right
from tests.system.sites import Site, Sites
from tests.system.waiting import PATIENCE_S, eventually, until
from tests.system.writers import CLIENT_TIMEOUT_S, MANY, Contender, Writer, ledgers, progress, writing

SETTLE_S = 20.0
"""How long the rest may take when all queues seem empty: a server may not have heard yet of what is in the log."""
BRIEF_S = 1.0
"""How long a client waits that is to give up."""
LATE_KEYS = [f"late.{number}" for number in range(10 * MANY)]
REGIONS = {
    "alone": ("PARTITION", "parallel"),
    "redundant": ("PARTITION_REDUNDANT", "parallel"),
    "everywhere": ("REPLICATE", "serial"),
}
"""Region -> its type, and how its gateway sender ships."""
KEPT = {name: (f"{kind}_PERSISTENT", sender) for name, (kind, sender) in REGIONS.items()}
"""The same, kept when no server of a site is left."""


def connect_sites(
    sites: Sequence[Site],
    sends: Mapping[int, Sequence[int]],
    regions: Mapping[str, tuple[str, str]] = REGIONS,
    *,
    options: str = "",
    region_options: str = "",
) -> None:
    """Create receivers, senders and regions at every site.

    sends: site -> the sites that it sends to. options: of every sender, which is named like `parallel2`, to site 2.
    """
    kinds = sorted({kind for _, kind in regions.values()})
    for site in sites:
        if any(site.number in remotes for remotes in sends.values()):
            site.receive()
    for site in sites:
        remotes = sends.get(site.number, ())
        site.do(
            *(
                f"create gateway-sender --id={kind}{remote} --remote-distributed-system-id={remote}"
                f" --parallel={str(kind == 'parallel').lower()} --enable-persistence=true {options}"
                for remote in remotes
                for kind in kinds
            ),
            *(
                f"create region --name={region} --type={kind} {region_options}"
                + (f" --gateway-sender-id={','.join(f'{sender}{remote}' for remote in remotes)}" if remotes else "")
                for region, (kind, sender) in regions.items()
            ),
        )


def writers_of(site: Site, regions: Mapping[str, tuple[str, str]] = REGIONS, *, padding: int = 0) -> list[Writer]:
    """Return two writers a region."""
    return [Writer(site.address, region, f"w{number}", padding=padding) for region in regions for number in (1, 2)]


def assert_all_there(writers: Sequence[Writer], here: Site, there: Site, *, settle_s: float = SETTLE_S) -> None:
    """Check, when nobody writes any more, that both sites hold exactly what was acknowledged."""
    regions = sorted({writer.region for writer in writers})
    for region in regions:
        assert_right(ledgers(writers, region), here.entries(region), f"site {here.number} in {region}")
    here.wait_drained()

    def arrived() -> None:
        for region in regions:
            assert_right(ledgers(writers, region), there.entries(region), f"site {there.number} in {region}")

    eventually(arrived, within_s=settle_s)
    for region in regions:
        assert_equal(there.entries(region), here.entries(region), f"site {there.number} in {region}")


def assert_readable_at_every_server(writers: Sequence[Writer], site: Site, *, settle_s: float = SETTLE_S) -> None:
    """Ask every server for every entry that a client finds."""

    def readable() -> None:
        for region in sorted({writer.region for writer in writers}):
            known = [ledger.acknowledged.keys() | ledger.unknown.keys() for ledger in ledgers(writers, region)]
            keys = sorted(set().union(*known), key=str)
            entries = site.entries(region)
            for server in site.live_servers():
                assert_equal(site.entries_at(server, region, keys), entries, f"{server.name} in {region}")

    eventually(readable, within_s=settle_s)


def assert_equal(found: Mapping[Key, Any], wanted: Mapping[Key, Any], where: str) -> None:
    """Raise AssertionError that counts the differences and shows one."""
    different = [key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key)]
    told = [f"{key!r} is {found.get(key)!r} and not {wanted.get(key)!r}" for key in different[:1]]
    assert not different, f"{len(different)} entries differ at {where}: {told}"


def primaries_are_killed(sites: Sites, *, settle_s: float = SETTLE_S) -> None:
    """Kill a server that holds primaries, then the oldest one, and start them again."""
    here, there = sites.start({1: 3, 2: 1})
    connect_sites([here, there], {1: [2]})
    writers = writers_of(here)
    with writing(writers):
        progress(writers, 100, within_s=PATIENCE_S)
        assert all("server1-2" in here.primaries(region) for region in REGIONS)
        here.server("server1-2").kill()
        progress(writers, 100, within_s=PATIENCE_S)
        here.wait_joined()
        assert not any("server1-2" in here.primaries(region) for region in REGIONS)
        here.server("server1-2").start()
        here.wait_joined()
        oldest = min(here.live_servers(), key=lambda server: server.age).name
        here.server(oldest).kill()
        progress(writers, 100, within_s=PATIENCE_S)
    assert_all_there(writers, here, there, settle_s=settle_s)
    assert_readable_at_every_server(writers, here, settle_s=settle_s)
    here.server(oldest).start()
    here.wait_joined()
    assert_readable_at_every_server(writers, here, settle_s=settle_s)


def serial_sender_is_killed(sites: Sites, *, settle_s: float = SETTLE_S) -> None:
    """Kill the server that runs a serial sender, with events in its queue."""
    here, there = sites.start({1: 2, 2: 1})
    regions = {"alone": ("PARTITION", "serial"), "everywhere": ("REPLICATE", "serial")}
    connect_sites([here, there], {1: [2]}, regions)
    running = here.serial_primary("serial2")
    writers = writers_of(here, regions)
    with writing(writers):
        progress(writers, 50, within_s=PATIENCE_S)
        here.do("pause gateway-sender --id=serial2")
        progress(writers, 50, within_s=PATIENCE_S)
        running.kill()
        progress(writers, 50, within_s=PATIENCE_S)
    here.wait_joined()
    (left,) = here.live_servers()
    until(lambda: here.serial_primary("serial2").name == left.name, "the other server runs the sender")
    here.do("resume gateway-sender --id=serial2")
    assert_all_there(writers, here, there, settle_s=settle_s)


def remote_site_is_away(sites: Sites, *, settle_s: float = SETTLE_S) -> None:
    """Stop the remote site for a load that is larger than the senders' memory; then let both sites write."""
    here, there = sites.start({1: 1, 2: 1})
    regions = {name: KEPT[name] for name in ("alone", "everywhere")}
    connect_sites([here, there], {1: [2], 2: [1]}, regions, options="--maximum-queue-memory=1")
    writers = writers_of(here, regions, padding=2_000)
    with writing(writers):
        progress(writers, 30, within_s=PATIENCE_S)
        there.stop()
        progress(writers, 250, within_s=PATIENCE_S)
    there.start()
    assert_all_there(writers, here, there, settle_s=settle_s)
    conflicts_converge([here, there], regions)


def conflicts_converge(sites: Sequence[Site], regions: Mapping[str, tuple[str, str]]) -> None:
    """Have clients at all sites write and remove the same entries, and wait until all sites hold the same."""
    contenders = contenders_at(sites, regions)
    with writing(contenders):
        progress(contenders, 100, within_s=PATIENCE_S)
    wait_equal(sites, regions)


def contenders_at(sites: Sequence[Site], regions: Mapping[str, tuple[str, str]]) -> list[Contender]:
    """Return one contender a site and region, all for the same keys."""
    keys = [f"contested.{number}" for number in range(40)]
    return [Contender(site.address, region, f"site{site.number}", keys) for site in sites for region in regions]


def wait_equal(sites: Sequence[Site], regions: Mapping[str, tuple[str, str]]) -> None:
    """Wait until all queues are empty and all sites hold the same entries."""

    def equal() -> bool:
        return all(site.drained() for site in sites) and not differences()

    def differences() -> list[str]:
        held = {region: [site.entries(region) for site in sites] for region in regions}
        return [region for region, each in held.items() if any(entries != each[0] for entries in each)]

    until(equal, lambda: f"all sites are equal: they differ in {differences()}", within_s=PATIENCE_S)
    assert all(sites[0].entries(region) for region in regions)


def site_is_killed(sites: Sites, *, settle_s: float = SETTLE_S) -> None:
    """Kill every process of a site at once, with events in its queues, and start it again."""
    here, there = sites.start({1: 2, 2: 1})
    connect_sites([here, there], {1: [2]}, KEPT)
    writers = writers_of(here)
    with writing(writers):
        progress(writers, 30, within_s=PATIENCE_S)
        here.do("pause gateway-sender --id=serial2", "pause gateway-sender --id=parallel2")
        progress(writers, 50, within_s=PATIENCE_S)
        here.kill()
        here.start()
        progress(writers, 50, within_s=PATIENCE_S)
    here.wait_joined()
    here.do("resume gateway-sender --id=serial2", "resume gateway-sender --id=parallel2")
    assert_all_there(writers, here, there, settle_s=settle_s)


def primary_is_frozen(sites: Sites, *, settle_s: float = SETTLE_S) -> None:
    """Freeze a server that holds primaries, and let it go on when its buckets were written elsewhere.

    It finds requests that their clients gave up, and whose entries were written again by others; what it makes of them
    must not get into the log.
    """
    here, there = sites.start({1: 2, 2: 1})
    regions = {"alone": ("PARTITION", "parallel"), "everywhere": ("REPLICATE", "serial")}
    connect_sites([here, there], {1: [2]}, regions)
    writers = [Writer(here.address, region, f"w{number}", keys=5 * MANY) for region in regions for number in (1, 2, 3)]
    frozen = here.servers[1]
    assert frozen.process is not None
    with heliograph.connect(str(here.address), timeout_s=BRIEF_S) as hasty:
        late = hasty.region(writers[0].region)
        late.put_all(dict.fromkeys(LATE_KEYS, "before"))
        with writing(writers):
            progress(writers, 50, within_s=PATIENCE_S)
            frozen.process.send_signal(signal.SIGSTOP)
            try:
                late.put_all(dict.fromkeys(LATE_KEYS, "late"))
            except UnavailableError:
                pass  # half of it waits at the frozen server
            else:
                raise AssertionError("the frozen server answered")
            progress(writers, 100, within_s=PATIENCE_S)
        with heliograph.connect(str(here.address), timeout_s=CLIENT_TIMEOUT_S) as patient:
            patient.region(late.name).put_all(dict.fromkeys(LATE_KEYS, "after"))
        writers[0].ledger.acknowledge(dict.fromkeys(LATE_KEYS, "after"))
        frozen.process.send_signal(signal.SIGCONT)
        here.wait_joined()
    assert_readable_at_every_server(writers, here, settle_s=settle_s)
    assert_all_there(writers, here, there, settle_s=settle_s)
