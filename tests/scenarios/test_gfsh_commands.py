"""Commands about plug-ins and async event queues, as the locator does them."""

from __future__ import annotations

import pytest

from heliograph.errors import UsageError
from tests.scenarios.plugins import listening
from tests.scenarios.sites import Site, scenario

PLUGINS = "tests.scenarios.plugins:"
FILTERS = (PLUGINS + "ByNumber", PLUGINS + 'Telling{"name": "commands"}')


def loaded(ln: Site) -> list[list[str]]:
    """Return the classes of the event filters that each member's sender has loaded, in order."""
    return [
        [type(each).__name__ for each in slot.member.gateways._senders["ny"]._plugins._loaded] for slot in ln.running
    ]


@scenario(ln=2)
async def test_gfsh_create_sender_filters(ln: Site) -> None:
    await ln.create_sender("ny", to=2, gateway_event_filters=FILTERS, gateway_transport_filters=(PLUGINS + "Checksum",))
    assert loaded(ln) == [["ByNumber", "Telling", "Checksum"]] * 2


@scenario(ln=2)
async def test_gfsh_alter_sender_filters(ln: Site) -> None:
    await ln.create_sender("ny", to=2)
    await ln.alter_sender("ny", gateway_event_filters=FILTERS)
    assert loaded(ln) == [["ByNumber", "Telling"]] * 2
    await ln.alter_sender("ny", batch_size=7)
    assert loaded(ln) == [["ByNumber", "Telling"]] * 2
    await ln.alter_sender("ny", gateway_event_filters=("CLEAR",))
    assert loaded(ln) == [[]] * 2


@scenario(ln=2)
async def test_gfsh_alter_region_async(ln: Site) -> None:
    """Regions that share a parallel queue need not be colocated, as of a parallel sender."""
    await ln.create_queue("p", listening("alter"), parallel=True)
    for region, kind in (("part", "PARTITION"), ("other", "PARTITION"), ("kept", "PARTITION_PERSISTENT")):
        await ln.create_region(region, kind)
    await ln.create_region("replicated")
    await ln.alter_region("part", queues="p")
    await ln.alter_region("other", queues="p")
    with pytest.raises(UsageError, match="region kept is persistent and can't use the parallel async event queue p"):
        await ln.alter_region("kept", queues="p")
    with pytest.raises(
        UsageError, match="region replicated is replicated and can't use the parallel async event queue"
    ):
        await ln.alter_region("replicated", queues="p")
    assert ln.region_attributes("part").async_event_queue_ids == ("p",)
    assert ln.region_attributes("kept").async_event_queue_ids == ()
