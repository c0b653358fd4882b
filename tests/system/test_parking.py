"""Events that the other site can never take, while the server that parks them is killed."""

from __future__ import annotations

import signal

import heliograph
from heliograph.model.keys import Key
from tests.system.sites import Daemon, Site, Sites
from tests.system.waiting import until

KILLS = 3
ROUNDS_MAX = 9
PER_ROUND = 600
BATCH = 5
"""Events of a batch: so few that parking takes a while, in which the server is found at work."""


def parked(site: Site) -> list[str]:
    """The keys of the events that are parked."""
    result = site.run("list parked-events --id=ny")
    assert result.status == "OK", result
    return [row[3].strip("'") for table in result.tables for row in table.rows]


def put(site: Site, entries: dict[Key, int]) -> None:
    """Put entries in small portions, so that they make many records."""
    keys = list(entries)
    with heliograph.connect(site.everywhere) as client:
        for start in range(0, len(keys), 20):
            client.region("r").put_all({key: entries[key] for key in keys[start : start + 20]})


def killed_while_it_parks(site: Site, server: Daemon, bad: set[str]) -> bool:
    """Freeze a server when it has begun to park, and kill it if it has not yet parked all that is bad."""
    known = len(parked(site))
    site.do("resume gateway-sender --id=ny")
    until(lambda: len(parked(site)) > known, "an event is parked")
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    in_between = len(parked(site)) < len(bad)
    if in_between:
        server.kill()
        server.start()
        site.wait_joined()
    else:
        server.process.send_signal(signal.SIGCONT)
    return in_between


def test_a_server_that_is_killed_while_it_parks_loses_no_event_and_parks_none_twice(sites: Sites) -> None:
    here, there = sites.start({1: 1, 2: 1})
    there.receive()
    there.do("create region --name=r --type=PARTITION_PERSISTENT --partition-resolver=string-prefix")
    here.do(
        "create gateway-sender --id=ny --remote-distributed-system-id=2 --parallel=true --enable-persistence=true"
        f" --batch-size={BATCH}",
        "create region --name=r --type=PARTITION_PERSISTENT --gateway-sender-id=ny",
    )
    good: dict[Key, int] = {}
    bad: dict[str, int] = {}
    kills = rounds = 0
    while kills < KILLS and rounds < ROUNDS_MAX:
        rounds += 1
        here.do("pause gateway-sender --id=ny")
        more_good: dict[Key, int] = {f"{rounds}.{number}|x": number for number in range(PER_ROUND)}
        more_bad = {f"bad{rounds}.{number}": number for number in range(PER_ROUND)}
        pairs = zip(more_good.items(), more_bad.items(), strict=True)
        put(here, {key: value for pair in pairs for key, value in pair})
        good |= more_good
        bad |= more_bad
        kills += killed_while_it_parks(here, here.servers[0], set(bad))
    assert kills == KILLS, f"all was parked before the server was frozen, {rounds - kills} times of {rounds}"
    here.wait_drained()
    until(lambda: there.entries("r") == good, "the other site has all that it can take")
    assert sorted(parked(here)) == sorted(bad)

    some = sorted(here.run("list parked-events --id=ny").tables[0].rows)[:2]
    here.do(f"drop parked-events --id=ny --event={some[0][1]},{some[1][1]}")
    there.do("destroy region --name=r", "create region --name=r --type=PARTITION_PERSISTENT")
    here.do("redrive parked-events --id=ny --all")
    dropped = {row[3].strip("'") for row in some}
    assert there.entries("r") == {key: value for key, value in bad.items() if key not in dropped}
    assert parked(here) == []
