"""What docs/plugins.md shows works as it says, at simulated sites: its classes are the module `shop`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import pytest

from heliograph.model.plugins import read_plugin
from tests.scenarios.sites import Site, queue_of, scenario

DOCUMENT = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def option(name: str) -> str:
    """Return the value that the document gives an option."""
    match = re.search(rf"--{name}='([^']+)'", DOCUMENT)
    assert match is not None, name
    return match[1]


@pytest.fixture(autouse=True)
def shop(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("shop")
    monkeypatch.setitem(sys.modules, "shop", module)
    for block in BLOCK.findall(DOCUMENT):
        exec(compile(block, "plugins.md", "exec"), module.__dict__)
    return module


@scenario(ln=2, ny=1)
async def test_the_filter_ships_what_begins_with_its_prefixes(ln: Site, ny: Site) -> None:
    await ny.receives("r")
    await ln.create_sender("ny", to=ny, gateway_event_filters=(option("gateway-event-filter"),))
    await ln.create_region("r", senders="ny")
    await ln.put("r", ["eu-1", "us-1", "uk-1"])
    await ln.until_drained("ny")
    assert {*await ny.contents("r")} == {"eu-1", "uk-1"}


@scenario(ln=1, ny=1)
async def test_batches_go_compressed(ln: Site, ny: Site) -> None:
    filters = ("shop:Compress",)
    assert f"--gateway-transport-filter={filters[0]}" in DOCUMENT
    await ny.create_receiver(gateway_transport_filters=filters)
    await ny.create_region("r")
    await ln.create_sender("ny", to=ny, gateway_transport_filters=filters)
    await ln.create_region("r", senders="ny")
    await ln.put("r", ["1"], "x" * 10_000)
    await ln.until_drained("ny")
    assert await ny.contents("r") == {"1": "x" * 10_000}
    assert ny.received("receivedBytes") < 1_000


@scenario(ln=1)
async def test_the_listener_writes_a_line_for_every_event(ln: Site) -> None:
    listener = option("listener")
    assert "'path': 'audit.jsonl'" in str(read_plugin("listener", listener).parameters)
    with TemporaryDirectory() as directory:
        path = Path(directory) / "audit.jsonl"
        await ln.create_queue("audit", listener.replace("audit.jsonl", str(path)), persistent=True)
        await ln.create_region("order", "PARTITION_PERSISTENT", queues="audit")
        await ln.put("order", [1, 2], "tea", writers=1)
        await ln.remove("order", [1])
        await ln.until_drained(queue_of("audit"))
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        expected = [[1, "create", "tea", False], [2, "create", "tea", False], [1, "destroy", None, False]]
        assert sorted(lines, key=str) == sorted(expected, key=str)
        await ln.alter_region("order", queues="")
        await ln.destroy_queue("audit")


@scenario(ln=2, ny=1)
async def test_the_substitution_filter_masks_fields(ln: Site, ny: Site) -> None:
    await ny.receives("r")
    masked = option("gateway-event-substitution-filter")
    await ln.create_sender("ny", to=ny, gateway_event_substitution_filter=masked)
    await ln.create_region("r", senders="ny")
    ada = {"name": "Ada", "card": "4111"}
    await ln.put("r", ["1"], ada)
    await ln.until_drained("ny")
    assert await ny.contents("r") == {"1": {"name": "Ada"}}
    assert await ln.contents("r") == {"1": ada}
