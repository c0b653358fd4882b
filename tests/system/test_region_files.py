"""export data and import data in real processes: a file of a server, and who is told."""

from __future__ import annotations

import heliograph
from tests.system.sites import Sites

ENTRIES = {f"key{number}": {"number": number, "text": "x" * 1_000} for number in range(20_000)}


def test_a_region_goes_to_files_and_comes_back(sites: Sites) -> None:
    here, there = sites.start({1: 2, 2: 1})
    there.receive()
    there.do("create region --name=r --type=PARTITION")
    here.do("create region --name=r --type=PARTITION_REDUNDANT")
    one = here.servers[0]
    with heliograph.connect(here.everywhere) as client:
        client.region("r").put_all(ENTRIES)
    here.do(
        "create gateway-sender --id=s --remote-distributed-system-id=2 --parallel",
        "alter region --name=r --gateway-sender-id=s",
    )

    export = f"export data --region=r --member={one.name} --file=backup/r.gfd"
    result = here.run(export)
    path = one.directory / "backup" / "r.gfd"
    assert result.tables[0].rows == [(one.name, "OK", f"Entries exported: {len(ENTRIES)} to {path}")]
    assert path.stat().st_size > 20_000_000
    again = here.run(export)
    assert (again.status, "choose another name, or remove it" in again.tables[0].rows[0][2]) == ("ERROR", True)
    here.do("remove --region=r --all")
    assert not here.entries("r")
    damaged = one.directory / "damaged.gfd"
    damaged.write_bytes(path.read_bytes()[:-1_000])
    refused = here.run(f"import data --region=r --member={one.name} --file=damaged.gfd")
    assert (refused.status, "damaged at offset" in refused.tables[0].rows[0][2]) == ("ERROR", True)
    assert not here.entries("r")
    imported = here.run(f"import data --region=r --member={one.name} --file={path}")
    assert imported.tables[0].rows == [(one.name, "OK", f"Entries imported: {len(ENTRIES)} from {path}")]
    assert here.entries("r") == ENTRIES
    with heliograph.connect(here.everywhere) as client:
        client.region("r").put("last", 1)
    here.wait_drained()
    assert there.entries("r") == {"last": 1}
    here.run(f"import data --region=r --member={one.name} --file={path} --invoke-callbacks")
    here.wait_drained()
    assert there.entries("r") == ENTRIES | {"last": 1}
