"""wan-copy region in real processes: a site that joins late, and a server that is killed in the middle."""

from __future__ import annotations

import threading

import heliograph
from heliograph.model.results import Result
from tests.system.sites import Sites
from tests.system.waiting import until

ENTRIES = {f"key{number}": number for number in range(4_000)}
COPY = "wan-copy region --region=r --sender-id=s"


def test_a_late_site_is_seeded_though_a_server_is_killed(sites: Sites) -> None:
    here, there = sites.start({1: 2, 2: 1})
    here.do("create region --name=r --type=PARTITION_REDUNDANT --total-num-buckets=16")
    with heliograph.connect(here.everywhere) as client:
        client.region("r").put_all(ENTRIES)
    there.receive()
    there.do("create region --name=r --type=PARTITION --total-num-buckets=16")
    here.do(
        "create gateway-sender --id=s --remote-distributed-system-id=2 --parallel=true",
        "alter region --name=r --gateway-sender-id=s",
    )
    results: list[Result] = []
    command = threading.Thread(target=lambda: results.append(here.run(f"{COPY} --max-rate=20 --batch-size=50")))
    command.start()
    until(lambda: len(there.entries("r")) >= 100, "both servers copy")
    victim = here.servers[1]
    victim.kill()
    copied = len(there.entries("r"))
    assert copied < len(ENTRIES), "all was copied before the server was killed"
    until(lambda: here.primaries("r") == {here.servers[0].name}, "its buckets are moved")
    here.wait_joined()
    assert here.run(f"{COPY} --cancel").status == "OK"
    command.join(timeout=60)
    [result] = results
    rows = {row[0]: row for row in result.tables[0].rows}
    assert result.status == "ERROR"
    assert "is gone" in rows[victim.name][2]
    assert rows[here.servers[0].name][2].startswith("Operation cancelled")
    again = here.run(COPY)
    assert again.status == "OK"
    assert again.tables[0].rows == [(here.servers[0].name, "OK", f"Entries copied: {len(ENTRIES)}")]
    assert there.entries("r") == ENTRIES
