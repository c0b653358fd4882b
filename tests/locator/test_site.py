"""The admin operations over a registry in memory and servers that answer as told (gfsh.md §1.4, §3.4, §4, §6)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from heliograph.errors import ConflictError, RegionNotFoundError, UnavailableError, UsageError
from heliograph.link import messages
from heliograph.link.messages import ReceiverStatus, SenderStatus
from heliograph.locator.cluster import STORED, Cluster, Targets
from heliograph.locator.requests import RegionAlteration, SenderAlteration, StoreAlteration
from heliograph.locator.site import SiteAdmin
from heliograph.model.attributes import (
    DiskStoreAttributes,
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
    RegionAttributes,
)
from heliograph.model.ids import NO_SITE_ID, Address
from heliograph.model.keys import encode_value
from heliograph.model.members import BucketPlacement, MemberInfo, RegionPlacement
from heliograph.model.registry import (
    CONFIG_RECEIVER,
    Commanded,
    Cursor,
    RegionEntry,
    commanded_key,
    cursor_key,
    decode_entry,
    encode_entry,
    placement_key,
    region_key,
    sender_key,
    store_key,
)
from heliograph.model.results import Result
from tests.locator.fakes import LOG_ENDS, FakeRegistry, FakeServers, join, member, unreachable

SERVERS = (member("s1", joined_ms=2), member("s2", joined_ms=3, groups=("Blue",)))
SERIAL = GatewaySenderAttributes(id="serial", remote_distributed_system_id=2)
PARALLEL = GatewaySenderAttributes(id="parallel", remote_distributed_system_id=2, parallel=True)
CUSTOMER = RegionAttributes(name="customer", gateway_sender_ids=("parallel",))


class Site:
    """A `SiteAdmin` with the registry and the servers behind it."""

    def __init__(self, dsid: int = 1) -> None:
        self.registry = FakeRegistry()
        self.servers = FakeServers()
        self.admin = SiteAdmin(Cluster(self.registry, self.servers, dsid))

    async def with_customer(self) -> None:
        await self.admin.senders.create(SERIAL)
        await self.admin.senders.create(PARALLEL)
        await self.admin.regions.create(CUSTOMER)
        self.servers.asked.clear()


def on_site(scenario: Callable[[Site], Awaitable[None]], *members: MemberInfo, dsid: int = 1) -> None:
    async def run() -> None:
        site = Site(dsid)
        await join(site.registry, *(members or SERVERS))
        await scenario(site)

    asyncio.run(run())


def rows(result: Result, table: int = 0) -> list[tuple[str, ...]]:
    return result.tables[table].rows


# --- cluster configuration -----------------------------------------------------------------------------------------


def test_a_region_is_written_and_taken_up_by_every_server() -> None:
    async def scenario(site: Site) -> None:
        result = await site.admin.regions.create(RegionAttributes(name="/plain", type="REPLICATE"))
        item = site.registry.entries[region_key("plain")]
        assert decode_entry(item.value, RegionEntry).attributes.name == "plain"
        assert (result.status, result.info) == ("OK", [STORED])
        assert result.tables[0].columns == ("Member", "Status", "Message")
        assert [row[:2] for row in rows(result)] == [("s1", "OK"), ("s2", "OK")]
        applied = messages.Apply("region plain", item.revision, "created")
        assert site.servers.asked == [("s1", applied), ("s2", applied)]

    on_site(scenario)


def test_one_server_is_enough_for_a_creation() -> None:
    async def scenario(site: Site) -> None:
        site.servers.broken["s1"] = unreachable("s1")
        result = await site.admin.regions.create(RegionAttributes(name="plain"))
        assert result.status == "OK"
        assert rows(result)[0] == ("s1", "ERROR", "s1 can't be reached")

    on_site(scenario)


def test_a_creation_that_fails_everywhere_is_taken_back() -> None:
    async def scenario(site: Site) -> None:
        site.servers.broken = {name: unreachable(name) for name in ("s1", "s2")}
        result = await site.admin.regions.create(RegionAttributes(name="plain"))
        assert (result.status, result.info) == ("ERROR", [])
        assert region_key("plain") not in site.registry.entries

    on_site(scenario)


def test_nothing_is_created_without_a_server() -> None:
    async def scenario(site: Site) -> None:
        with pytest.raises(UsageError, match="no members found"):
            await site.admin.regions.create(RegionAttributes(name="plain"))
        assert region_key("plain") not in site.registry.entries

    on_site(scenario, member("locator", kind="locator"))


def test_an_existing_name_is_refused_or_skipped() -> None:
    async def scenario(site: Site) -> None:
        await site.with_customer()
        with pytest.raises(UsageError, match="region customer exists already: alter region changes"):
            await site.admin.regions.create(CUSTOMER)
        other = msgspec.structs.replace(SERIAL, batch_size=10, manual_start=True)
        differing = r"\(manual-start: false there, true here, batch-size: 100 there, 10 here\): alter gateway-sender"
        with pytest.raises(UsageError, match=f"gateway-sender serial exists already with other attributes {differing}"):
            await site.admin.senders.create(other)
        assert (await site.admin.regions.create(CUSTOMER, if_not_exists=True)).info[0].startswith("Skipping")
        assert site.servers.asked == []

    on_site(scenario)


@pytest.mark.parametrize(
    ("type_", "said"),
    [
        ("REPLICATE", "partition there, replicate here"),
        ("PARTITION_PERSISTENT", "partition there, persistent partition here"),
    ],
)
def test_an_existing_region_of_another_kind_is_not_skipped(type_: str, said: str) -> None:
    async def scenario(site: Site) -> None:
        await site.admin.regions.create(RegionAttributes(name="plain"))
        with pytest.raises(UsageError, match=f"another kind of region: {said}"):
            await site.admin.regions.create(RegionAttributes(name="plain", type=type_), if_not_exists=True)
        same_kind = RegionAttributes(name="plain", type="PARTITION_REDUNDANT")
        assert (await site.admin.regions.create(same_kind, if_not_exists=True)).status == "OK"

    on_site(scenario)


def test_cross_rules_of_regions_and_senders() -> None:
    async def scenario(site: Site) -> None:
        await site.with_customer()
        create, alter = site.admin.regions.create, site.admin.regions.alter
        with pytest.raises(UsageError, match="gateway sender none, which does not exist"):
            await create(RegionAttributes(name="r", gateway_sender_ids=("none",)))
        with pytest.raises(UsageError, match="replicated and can't use the parallel"):
            await create(RegionAttributes(name="r", type="REPLICATE", gateway_sender_ids=("parallel",)))
        await create(RegionAttributes(name="r", type="REPLICATE", gateway_sender_ids=("serial",)))
        with pytest.raises(UsageError, match="replicated and can't use the parallel"):
            await alter("r", RegionAlteration(gateway_sender_ids=("parallel",)))
        with pytest.raises(UsageError, match="own distributed-system-id"):
            await site.admin.senders.create(GatewaySenderAttributes(id="loop", remote_distributed_system_id=1))

    on_site(scenario)


def test_a_site_without_an_id_exchanges_nothing() -> None:
    async def scenario(site: Site) -> None:
        with pytest.raises(UsageError, match="no distributed-system-id"):
            await site.admin.senders.create(SERIAL)
        with pytest.raises(UsageError, match="no distributed-system-id"):
            await site.admin.receivers.create(GatewayReceiverAttributes())

    on_site(scenario, dsid=NO_SITE_ID)


def test_a_sender_taken_off_a_region_leaves_no_cursor() -> None:
    async def scenario(site: Site) -> None:
        await site.with_customer()
        gone, other = cursor_key("parallel", "customer", 0, 0), cursor_key("parallel", "other", 0, 0)
        for key in (gone, other):
            await site.registry.put(key, b"x")
        generation = decode_entry(site.registry.entries[region_key("customer")].value, RegionEntry).generation
        result = await site.admin.regions.alter("/customer", RegionAlteration(gateway_sender_ids=("serial",)))
        assert result.status == "OK"
        altered = decode_entry(site.registry.entries[region_key("customer")].value, RegionEntry)
        assert altered == RegionEntry(msgspec.structs.replace(CUSTOMER, gateway_sender_ids=("serial",)), generation)
        assert gone not in site.registry.entries
        assert other in site.registry.entries

    on_site(scenario)


def test_an_alteration_changes_what_is_given_and_shows() -> None:
    async def scenario(site: Site) -> None:
        await site.with_customer()
        await site.admin.regions.alter(
            "customer",
            RegionAlteration(entry_idle_time_expiration=9, entry_idle_time_expiration_action="DESTROY"),
        )
        altered = decode_entry(site.registry.entries[region_key("customer")].value, RegionEntry).attributes
        assert altered == msgspec.structs.replace(
            CUSTOMER, entry_idle_time_expiration=9, entry_idle_time_expiration_action="destroy"
        )
        rows = (await site.admin.regions.describe("customer")).tables[0].rows
        assert ("Region", "entry-idle-time-expiration", "9") in rows
        assert ("Region", "entry-idle-time-expiration-action", "destroy") in rows
        with pytest.raises(UsageError, match="alter region needs an option to change"):
            RegionAlteration()
        with pytest.raises(UsageError, match="entry-idle-time-expiration -1"):
            RegionAlteration(entry_idle_time_expiration=-1)

    on_site(scenario)


def test_an_alteration_that_lost_a_race_is_a_conflict() -> None:
    async def scenario(site: Site) -> None:
        await site.with_customer()
        read = site.registry.get

        async def get(key: str) -> object:
            item = await read(key)
            assert item is not None
            await site.registry.put(key, item.value)
            return item

        site.registry.get = get  # type: ignore[method-assign,assignment]
        with pytest.raises(ConflictError):
            await site.admin.regions.alter("customer", RegionAlteration(gateway_sender_ids=()))

    on_site(scenario)


def test_a_region_is_destroyed_after_those_that_are_colocated_with_it() -> None:
    async def scenario(site: Site) -> None:
        with pytest.raises(UsageError, match="colocated with customer, which does not exist"):
            await site.admin.regions.create(RegionAttributes(name="order", colocated_with="/customer"))
        await site.with_customer()
        await site.admin.regions.create(RegionAttributes(name="order", colocated_with="/customer"))
        shown = rows(await site.admin.regions.describe("order"))
        assert ("Partition", "colocated-with", "customer") in shown
        with pytest.raises(UsageError, match="customer can't be destroyed: destroy order first"):
            await site.admin.regions.destroy("customer")
        await site.admin.regions.destroy("order")
        await site.admin.regions.destroy("customer")

    on_site(scenario)


def test_a_region_created_anew_has_another_generation_so_that_old_data_never_come_back() -> None:
    async def scenario(site: Site) -> None:
        generations = set()
        for _ in range(3):
            await site.admin.regions.create(RegionAttributes(name="plain"))
            generations.add(decode_entry(site.registry.entries[region_key("plain")].value, RegionEntry).generation)
            result = await site.admin.regions.destroy("plain")
            assert result.status == "OK"
            assert region_key("plain") not in site.registry.entries
        assert len(generations) == 3
        with pytest.raises(RegionNotFoundError):
            await site.admin.regions.destroy("plain")
        assert (await site.admin.regions.destroy("plain", if_exists=True)).status == "OK"

    on_site(scenario)


def test_a_destruction_that_fails_changes_nothing() -> None:
    """Neither the definition nor the generation: the region's data stay what they are."""

    async def scenario(site: Site) -> None:
        await site.with_customer()
        before = dict(site.registry.entries)

        async def delete(key: str, *, revision: int | None = None) -> None:
            raise UnavailableError("the engine can't be reached")

        site.registry.delete = delete  # type: ignore[method-assign]
        with pytest.raises(UnavailableError):
            await site.admin.regions.destroy("customer")
        assert site.registry.entries == before

    on_site(scenario)


def test_the_queue_of_a_sender_that_is_added_begins_where_the_logs_end() -> None:
    """Whichever member ships a bucket finds the cursor; nothing that was written before is sent."""

    async def scenario(site: Site) -> None:
        await site.with_customer()
        generation = decode_entry(site.registry.entries[region_key("customer")].value, RegionEntry).generation
        keys = [cursor_key("serial", "customer", generation, bucket) for bucket in range(len(LOG_ENDS))]
        await site.registry.put(keys[0], encode_entry(Cursor(1, 9)))  # of an alteration that failed, say
        both = RegionAlteration(gateway_sender_ids=("parallel", "serial"))
        site.servers.broken = {"s1": unreachable("s1"), "s2": unreachable("s2")}
        with pytest.raises(UnavailableError, match="no server does it"):
            await site.admin.regions.alter("customer", both)
        del site.servers.broken["s2"]
        await site.admin.regions.alter("customer", both)
        cursors = [decode_entry(site.registry.entries[key].value, Cursor) for key in keys]
        assert cursors == [Cursor(seq, 0) for seq in LOG_ENDS]
        there_before = cursor_key("parallel", "customer", generation, 0)
        assert there_before not in site.registry.entries

    on_site(scenario)


def test_a_sender_in_use_is_not_destroyed() -> None:
    async def scenario(site: Site) -> None:
        await site.with_customer()
        await site.registry.put(cursor_key("parallel", "customer", 0, 0), b"x")
        await site.registry.put(commanded_key("parallel", "s1"), encode_entry(Commanded("paused")))
        with pytest.raises(UsageError, match="used by customer"):
            await site.admin.senders.destroy("parallel")
        await site.admin.regions.alter("customer", RegionAlteration(gateway_sender_ids=()))
        await site.admin.senders.destroy("parallel")
        assert not [key for key in site.registry.entries if "parallel" in key]
        with pytest.raises(UsageError, match="does not exist"):
            await site.admin.senders.destroy("parallel")
        assert (await site.admin.senders.destroy("parallel", if_exists=True)).status == "OK"

    on_site(scenario)


def test_alter_sender_changes_only_what_is_given() -> None:
    async def scenario(site: Site) -> None:
        await site.with_customer()
        await site.admin.senders.alter("serial", SenderAlteration(batch_size=7))
        altered = decode_entry(site.registry.entries[sender_key("serial")].value, GatewaySenderAttributes)
        assert (altered.batch_size, altered.batch_time_interval) == (7, SERIAL.batch_time_interval)
        with pytest.raises(UsageError, match="does not exist"):
            await site.admin.senders.alter("none", SenderAlteration(batch_size=7))

    on_site(scenario)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"batch_size": 0},
        {"batch_time_interval": -2},
        {"alert_threshold": -1},
        {"gateway_event_filters": ("no plug-in",)},
    ],
)
def test_unfit_sender_alterations_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        SenderAlteration(**changes)


def test_receiver_is_created_once_and_destroyed() -> None:
    async def scenario(site: Site) -> None:
        receivers = site.admin.receivers
        assert (await receivers.create(GatewayReceiverAttributes())).status == "OK"
        running = messages.Gateways([], ReceiverStatus(member="s", port=5000, status="Running", senders=()))
        site.servers.gateways |= {"s1": running, "s2": running}
        assert (await receivers.create(GatewayReceiverAttributes())).status == "ERROR"
        assert (await receivers.create(GatewayReceiverAttributes(), if_not_exists=True)).status == "OK"
        assert (await receivers.destroy()).status == "OK"
        assert CONFIG_RECEIVER not in site.registry.entries
        site.servers.gateways.clear()
        assert (await receivers.destroy()).status == "ERROR"
        assert (await receivers.destroy(if_exists=True)).status == "OK"

    on_site(scenario)


# --- actions and status --------------------------------------------------------------------------------------------


def test_failed_actions_show_inside_an_ok_result() -> None:
    async def scenario(site: Site) -> None:
        site.servers.broken["s2"] = unreachable("s2")
        for result in (await site.admin.senders.act("serial", "pause"), await site.admin.receivers.act("stop")):
            assert result.status == "OK"
            assert result.tables[0].columns == ("Member", "Result", "Message")
            assert [row[:2] for row in rows(result)] == [("s1", "OK"), ("s2", "Error")]

    on_site(scenario)


def test_actions_reach_only_their_targets() -> None:
    async def scenario(site: Site) -> None:
        await site.admin.senders.act("serial", "start", Targets(members=("S1",)))
        await site.admin.senders.act("serial", "start", Targets(groups=("blue",)))
        assert [name for name, _ in site.servers.asked] == ["s1", "s2"]
        with pytest.raises(UsageError, match="no members found"):
            await site.admin.senders.act("serial", "start", Targets(members=("none",)))
        with pytest.raises(UsageError, match="exclude each other"):
            Targets(("s1",), ("blue",))

    on_site(scenario)


def stopped_everywhere(site: Site, **status: str) -> None:
    """All servers have the serial sender, which runs nowhere but as `status` says."""
    for name in ("s1", "s2"):
        state = SenderStatus(
            id="serial", member=name, remote_dsid=2, type="Serial", policy="Secondary",
            status=status.get(name, "Not Running"), queued=0, receiver="",  # type: ignore[arg-type]
        )  # fmt: skip
        site.servers.gateways[name] = messages.Gateways([state], None)


async def with_serial_customer(site: Site) -> list[str]:
    """The keys of the cursors of the serial sender in a region that uses it."""
    await site.with_customer()
    await site.admin.regions.create(RegionAttributes(name="orders", gateway_sender_ids=("serial",)))
    generation = decode_entry(site.registry.entries[region_key("orders")].value, RegionEntry).generation
    site.servers.asked.clear()
    return [cursor_key("serial", "orders", generation, bucket) for bucket in range(len(LOG_ENDS))]


def test_a_clean_start_moves_every_cursor_to_the_end_of_its_log_and_then_starts_everywhere() -> None:
    async def scenario(site: Site) -> None:
        keys = await with_serial_customer(site)
        await site.registry.put(keys[0], encode_entry(Cursor(2, 5)))
        stopped_everywhere(site)
        result = await site.admin.senders.act("serial", "start", clean_queues=True)
        assert result.status == "OK"
        assert [row[:2] for row in rows(result)] == [("s1", "OK"), ("s2", "OK")]
        cursors = [decode_entry(site.registry.entries[key].value, Cursor) for key in keys]
        assert cursors == [Cursor(7, 5, 1), Cursor(0, 0, 1), Cursor(9, 0, 1)]
        assert not await site.registry.items("cursors.parallel")
        start = messages.SenderCommand("serial", "start")
        assert site.servers.asked[-2:] == [("s1", start), ("s2", start)]
        assert not {kind for _, kind in site.servers.asked[:-2]} & {start}

    on_site(scenario)


@pytest.mark.parametrize(
    ("status", "targets", "broken", "reasons"),
    [
        ({}, Targets(members=("s2",)), (), {"s1": "not targeted"}),
        ({}, Targets(groups=("blue",)), (), {"s1": "not targeted"}),
        ({"s2": "Paused"}, Targets(), (), {"s2": "stop it first"}),
        ({"s1": "Running, not Connected"}, Targets(members=("s1",)), (), {"s1": "stop it first", "s2": "not targeted"}),
        ({}, Targets(), ("s2",), {"s2": "does not say whether it runs"}),
    ],
)
def test_a_clean_start_is_refused_unless_nobody_runs_the_sender_and_all_are_targeted(
    status: dict[str, str], targets: Targets, broken: tuple[str, ...], reasons: dict[str, str]
) -> None:
    async def scenario(site: Site) -> None:
        keys = await with_serial_customer(site)
        stopped_everywhere(site, **status)
        site.servers.broken = {name: unreachable(name) for name in broken}
        result = await site.admin.senders.act("serial", "start", targets, clean_queues=True)
        assert (result.status, result.tables[0].title) == ("ERROR", "Reasons command is rejected")
        assert [name for name, _ in rows(result)] == list(reasons)
        for (_, said), reason in zip(rows(result), reasons.values(), strict=True):
            assert reason in said
        assert not site.registry.entries.keys() & {*keys}
        assert not site.servers.requests(messages.SenderCommand)

    on_site(scenario)


def test_a_clean_start_that_ended_in_the_middle_is_completed_by_the_next() -> None:
    async def scenario(site: Site) -> None:
        keys = await with_serial_customer(site)
        stopped_everywhere(site)
        create = site.registry.create

        async def fails(key: str, value: bytes, *, ttl_s: float | None = None) -> int:
            if key == keys[2]:
                raise UnavailableError("the engine can't be reached")
            return await create(key, value, ttl_s=ttl_s)

        site.registry.create = fails  # type: ignore[method-assign]
        with pytest.raises(UnavailableError):
            await site.admin.senders.act("serial", "start", clean_queues=True)
        assert not site.servers.requests(messages.SenderCommand)
        site.registry.create = create  # type: ignore[method-assign]
        await site.admin.senders.act("serial", "start", clean_queues=True)
        assert [decode_entry(site.registry.entries[key].value, Cursor).seq for key in keys] == list(LOG_ENDS)
        assert len(site.servers.requests(messages.SenderCommand)) == 2

    on_site(scenario)


def test_cleaning_is_for_a_start_of_a_sender_that_exists() -> None:
    async def scenario(site: Site) -> None:
        await site.with_customer()
        with pytest.raises(UsageError, match="does not exist"):
            await site.admin.senders.act("none", "start", clean_queues=True)
        with pytest.raises(UsageError, match="option of start"):
            await site.admin.senders.act("serial", "resume", clean_queues=True)

    on_site(scenario)


def test_a_serial_sender_may_be_of_some_servers_only_and_be_taken_off_one() -> None:
    async def scenario(site: Site) -> None:
        some = msgspec.structs.replace(SERIAL, id="some", members=("S1", "s2"))
        await site.admin.senders.create(some)
        await site.admin.regions.create(RegionAttributes(name="orders", gateway_sender_ids=("some",)))
        await site.admin.senders.destroy("some", Targets(members=("s2",)))
        left = decode_entry(site.registry.entries[sender_key("some")].value, GatewaySenderAttributes)
        assert left.members == ("S1",)
        assert (left.runs_on("s1", ()), left.runs_on("s2", ("Blue",))) == (True, False)
        with pytest.raises(UsageError, match="not on member s2"):
            await site.admin.senders.destroy("some", Targets(members=("s2",)))
        with pytest.raises(UsageError, match="some is used by orders"):
            await site.admin.senders.destroy("some", Targets(members=("s1",)))  # none would be left
        with pytest.raises(UsageError, match="was not created by --group"):
            await site.admin.senders.destroy("some", Targets(groups=("blue",)))
        result = await site.admin.senders.act("some", "start", Targets(members=("s1",)), clean_queues=True)
        assert result.status == "OK"  # s2 does not host it

    on_site(scenario)


@pytest.mark.parametrize("servers", [{"members": ("S1",)}, {"groups": ("blue",)}])
def test_a_command_for_a_sender_of_some_servers_is_about_these_unless_others_are_named(
    servers: dict[str, tuple[str, ...]],
) -> None:
    async def scenario(site: Site) -> None:
        own, other = ("s1", "s2") if "members" in servers else ("s2", "s1")
        await site.admin.senders.create(msgspec.structs.replace(SERIAL, id="some", **servers))
        site.servers.asked.clear()
        assert [row[0] for row in rows(await site.admin.senders.act("some", "pause"))] == [own]
        status = await site.admin.senders.status("some")
        assert rows(status) == [(own, f"gateway sender some is not available on member {own}")], "the fake one has none"
        assert {name for name, _ in site.servers.asked} == {own}
        named = await site.admin.senders.status("some", Targets(members=(other,)))
        assert rows(named) == [(other, f"gateway sender some is not available on member {other}")]
        assert len(rows(await site.admin.senders.act("unknown", "pause"))) == 2

    on_site(scenario)


def test_servers_that_a_sender_names_must_be_there() -> None:
    async def scenario(site: Site) -> None:
        await site.with_customer()
        for names in ({"members": ("s1", "none")}, {"groups": ("none",)}):
            with pytest.raises(UsageError, match="no members found"):
                await site.admin.senders.create(msgspec.structs.replace(SERIAL, id="some", **names))
        await site.admin.senders.create(msgspec.structs.replace(SERIAL, id="some", groups=("BLUE",)))
        with pytest.raises(UsageError, match="is parallel, so every server"):
            await site.admin.senders.destroy("parallel", Targets(members=("s1",)))
        with pytest.raises(UsageError, match="was not created by --member: stop it there"):
            await site.admin.senders.destroy("serial", Targets(members=("s1",)))

    on_site(scenario)


def test_a_disk_store_that_a_sender_names_is_there_and_stays() -> None:
    async def scenario(site: Site) -> None:
        wan = msgspec.structs.replace(SERIAL, id="some", disk_store_name="wan")
        refused = await site.admin.senders.create(wan)
        missing = "gateway sender some names disk store 'wan', which does not exist: create it first"
        assert (refused.status, rows(refused)) == ("ERROR", [(name, "ERROR", missing) for name in ("s1", "s2")])
        assert sender_key("some") not in site.registry.entries
        await site.admin.stores.create(DiskStoreAttributes(name="wan"))
        await site.admin.senders.create(wan)
        with pytest.raises(UsageError, match="named by gateway sender some"):
            await site.admin.stores.destroy("wan")

    on_site(scenario)


def gateways_of_s1() -> messages.Gateways:
    sender = SenderStatus(
        id="serial", member="s1", remote_dsid=2, type="Serial", policy="Primary",
        status="Running, not Connected", queued=3, receiver="", error="no receiver known",
        counters={"eventQueueSize": 3, "eventsAcknowledged": 4},
    )  # fmt: skip
    receiver = ReceiverStatus(
        member="s1", port=1530, status="Running", senders=("a", "b"),
        counters={"eventsReceived": 7, "batchesRefused": 0},
    )  # fmt: skip
    return messages.Gateways([sender], receiver)


def test_status_shows_who_has_the_gateway_and_who_has_not() -> None:
    async def scenario(site: Site) -> None:
        site.servers.gateways["s1"] = gateways_of_s1()
        senders = await site.admin.senders.status("serial")
        assert senders.tables[0].columns == ("Member", "Type", "Runtime Policy", "Status")
        assert rows(senders) == [("s1", "Serial", "Primary", "Running, not Connected (no receiver known)")]
        assert senders.tables[1].columns == ("Statistic", "s1")
        assert rows(senders, 1) == [("eventQueueSize", "3"), ("eventsAcknowledged", "4")]
        assert rows(senders, 2) == [("s2", "gateway sender serial is not available on member s2")]
        receivers = await site.admin.receivers.status()
        assert rows(receivers) == [("s1", "1530", "Running")]
        assert receivers.tables[1].columns == ("Statistic", "s1")
        assert rows(receivers, 1) == [("eventsReceived", "7"), ("batchesRefused", "0")]
        assert rows(receivers, 2) == [("s2", "the gateway receiver is not available on member s2")]

    on_site(scenario)


def test_list_gateways() -> None:
    async def scenario(site: Site) -> None:
        listed = site.admin.receivers.list_gateways
        assert (await listed()).info == ["GatewaySenders or GatewayReceivers are not available."]
        site.servers.gateways["s1"] = gateways_of_s1()
        site.servers.broken["s2"] = unreachable("s2")
        result = await listed()
        assert [table.title for table in result.tables] == [
            "GatewaySender Section", "GatewayReceiver Section", "Not Available Section",
        ]  # fmt: skip
        status = "Running, not Connected (no receiver known)"
        assert rows(result) == [("serial", "s1", "2", "Serial Primary", status, "3", "")]
        assert rows(result, 1) == [("s1", "1530", "2", "a, b", "7")]
        (sender,) = site.servers.gateways["s1"].senders
        for changes, queued in (
            ({"uncounted_buckets": 16}, "3 (16 buckets being counted)"),
            ({"status": "Not Running"}, "not counted"),
        ):
            site.servers.gateways["s1"] = messages.Gateways([msgspec.structs.replace(sender, **changes)], None)
            assert rows(await listed())[0][5] == queued
        site.servers.gateways["s1"] = gateways_of_s1()
        del site.servers.broken["s2"]
        assert [table.title for table in (await listed(senders_only=True)).tables] == ["GatewaySender Section"]
        assert [table.title for table in (await listed(receivers_only=True)).tables] == ["GatewayReceiver Section"]
        with pytest.raises(UsageError, match="exclude each other"):
            await listed(senders_only=True, receivers_only=True)

    on_site(scenario)


# --- entries -------------------------------------------------------------------------------------------------------


def test_put_get_remove() -> None:
    async def scenario(site: Site) -> None:
        await site.with_customer()
        entries = site.admin.entries
        shown = {
            "Result": "true",
            "Key Class": "java.lang.String",
            "Key": "k",
            "Value Class": "java.lang.String",
            "Value": "v",
        }
        assert (await entries.put("/customer", "k", "v")).data == shown
        assert (await entries.get("customer", "k")).data == shown
        assert (await entries.put("customer", "map", {"name": "Ada"})).data["Value"] == '{"name":"Ada"}'
        kept = await entries.put("customer", "k", "w", if_not_exists=True)
        assert (kept.status, kept.data["Result"], kept.data["Value"]) == ("OK", "false", "v")
        assert (await entries.put("customer", "new", "w", if_not_exists=True)).data["Result"] == "true"
        assert (await entries.remove("customer", "k")).data == {"Result": "true", "Key": "k"}
        for result in (await entries.get("customer", "k"), await entries.remove("customer", "k")):
            assert (result.status, result.data["Result"]) == ("OK", "false")
            assert "does not exist" in result.data["Message"]

    on_site(scenario)


def test_keys_and_values_of_other_classes() -> None:
    async def scenario(site: Site) -> None:
        await site.with_customer()
        entries = site.admin.entries
        put = await entries.put("customer", "7", 1.5, key_class="java.lang.Integer")
        assert [*put.data.values()] == ["true", "java.lang.Integer", "7", "java.lang.Double", "1.5"]
        assert site.servers.data["customer", 7] == encode_value(1.5)
        assert (await entries.get("customer", "7")).data["Result"] == "false", "that is the text"
        assert (await entries.get("customer", "7", "long")).data["Value"] == "1.5"
        for result in (await entries.get("customer", "x", "long"), await entries.remove("customer", "1", "x.Y")):
            assert (result.status, result.data["Result"]) == ("OK", "false")
        assert (await entries.remove("customer", "7", "Integer")).data["Result"] == "true"

    on_site(scenario)


def test_clear_asks_for_every_bucket() -> None:
    async def scenario(site: Site) -> None:
        await site.with_customer()
        await site.admin.entries.put("customer", "k", "v")
        assert (await site.admin.entries.clear("/customer")).data == {"Result": "true", "Region": "customer"}
        asked = [message for _, message in site.servers.asked if isinstance(message, messages.Clear)]
        assert asked == [messages.Clear("customer", bucket, 16) for bucket in range(16)]
        assert (await site.admin.entries.get("customer", "k")).data["Result"] == "false"
        with pytest.raises(RegionNotFoundError):
            await site.admin.entries.clear("none")

    on_site(scenario)


def test_values_that_are_no_text_are_shown_as_json() -> None:
    async def scenario(site: Site) -> None:
        await site.with_customer()
        site.servers.data["customer", "k"] = encode_value({"name": "Ada", "age": 36})
        assert (await site.admin.entries.get("customer", "k")).data["Value"] == '{"name":"Ada","age":36}'
        site.servers.data["customer", "odd"] = encode_value(msgspec.msgpack.Ext(5, b"x"))
        assert "Ext" in (await site.admin.entries.get("customer", "odd")).data["Value"]

    on_site(scenario)


def test_a_missing_region_fails_remove_only() -> None:
    async def scenario(site: Site) -> None:
        for result in (await site.admin.entries.put("none", "k", "v"), await site.admin.entries.get("none", "k")):
            assert (result.status, result.data["Result"]) == ("OK", "false")
        with pytest.raises(RegionNotFoundError):
            await site.admin.entries.remove("none", "k")

    on_site(scenario)


def test_the_next_server_is_asked_when_one_fails() -> None:
    async def scenario(site: Site) -> None:
        await site.with_customer()
        site.servers.broken["s1"] = unreachable("s1")
        assert (await site.admin.entries.put("customer", "k", "v")).data["Result"] == "true"
        assert (await site.admin.entries.remove("customer", "k")).data["Result"] == "true"
        site.servers.broken["s1"] = UnavailableError("no answer")
        assert (await site.admin.entries.get("customer", "other")).data["Result"] == "false"
        for write in (site.admin.entries.put("customer", "k", "v"), site.admin.entries.remove("customer", "k")):
            with pytest.raises(UnavailableError, match="it is unknown whether the write was done: no answer"):
                await write
        assert ("customer", "k") not in site.servers.data, "the next server was asked to do it again"

    on_site(scenario)


# --- lists and descriptions ----------------------------------------------------------------------------------------


def test_list_and_describe_regions() -> None:
    async def scenario(site: Site) -> None:
        assert (await site.admin.regions.list()).info == ["No Regions Found"]
        await site.with_customer()
        assert rows(await site.admin.regions.list()) == [("customer",)]
        placement = RegionPlacement("customer", (BucketPlacement("s2", ("s1",)), BucketPlacement("")))
        site.servers.copies["s1"] = {"customer": messages.RegionCopies((0,), (0,), (70,), (7,))}
        site.servers.broken["s2"] = unreachable("s2")
        await site.registry.put(placement_key("customer"), encode_entry(placement))
        described = await site.admin.regions.describe("/customer")
        assert described.data == {
            "Name": "customer",
            "Data Policy": "partition",
            "Hosting Members": "s1, s2",
            "Accessor Members": "",
            "Entries": "7",
            "Bytes": "70",
            "Redundancy": "NO_REDUNDANT_COPIES: 0 of 0 redundant copies",
            "Buckets With Fewer Copies": "15",
            "Buckets Without Primary": "15",
        }
        assert described.info == ["s2 does not answer: s2 can't be reached", "15 buckets are not counted."]
        assert rows(described) == [("Region", "type", "PARTITION"), ("Region", "gateway-sender-id", "parallel")]
        with pytest.raises(RegionNotFoundError):
            await site.admin.regions.describe("none")

    on_site(scenario)


def test_list_and_describe_members() -> None:
    async def scenario(site: Site) -> None:
        listed = await site.admin.members.list()
        assert listed.info == ["Member Count : 3"]
        assert rows(listed)[0] == ("locator", "locator(locator:1:locator):1 [Coordinator]")
        assert rows(await site.admin.members.list(("BLUE",))) == [("s2", "s2(s2:3:server):3")]
        assert (await site.admin.members.list(("red",))).info == ["No Members Found"]
        described = await site.admin.members.describe("S1")
        assert described.data["Locators"] == str(Address("locator", 1))
        assert described.data["Working Dir"] == "/dir"
        assert described.data["Client Connections"] == "2"
        assert described.data["Resident Memory (MB)"] == "3.0"
        assert described.data["CPU (s)"] == "1.5"
        assert described.data["Regions"] == ""
        await site.admin.regions.create(RegionAttributes(name="blue", groups=("BLUE",)))
        await site.admin.regions.create(RegionAttributes(name="all"))
        for name, regions in (("s1", "all"), ("s2", "all, blue"), ("locator", "")):
            assert (await site.admin.members.describe(name)).data["Regions"] == regions
        site.servers.broken["s2"] = unreachable("s2")
        silent = await site.admin.members.describe("s2")
        assert silent.data["PID"] == "3"
        assert "can't be reached" in silent.info[0]
        with pytest.raises(UsageError, match="does not exist"):
            await site.admin.members.describe("none")

    on_site(scenario, member("locator", kind="locator"), *SERVERS)


# --- disk stores ----------------------------------------------------------------------------------------------------


def test_a_disk_store_is_made_for_regions_and_goes_when_none_uses_it() -> None:
    async def scenario(site: Site) -> None:
        stores, regions = site.admin.stores, site.admin.regions
        wan = DiskStoreAttributes(name="wan", max_disk=5)
        in_wan = RegionAttributes(name="orders", disk_store="wan")
        with pytest.raises(UsageError, match="names disk store 'wan', which does not exist: create it first"):
            await regions.create(in_wan)
        result = await stores.create(wan)
        assert rows(result)[0] == ("s1", "OK", "disk-store wan created on s1")
        with pytest.raises(UsageError, match="disk-store wan exists already: alter disk-store changes its max-disk"):
            await stores.create(wan)
        await regions.create(in_wan)
        described = await stores.describe("wan")
        assert described.data == {
            "Disk Store Name": "wan", "Max Disk (MB)": "5", "Log (MB)": "3.0", "Snapshots (MB)": "1.0",
            "Writes": "taken",
        }  # fmt: skip
        assert rows(described) == [("orders", "partition", "")]
        assert ("Region", "disk-store", "wan") in rows(await regions.describe("orders"))
        with pytest.raises(UsageError, match="disk store wan is used by orders: destroy these regions first"):
            await stores.destroy("wan")
        await regions.destroy("orders")
        await stores.destroy("wan")
        assert store_key("wan") not in site.registry.entries
        with pytest.raises(UsageError, match="disk store 'wan' does not exist"):
            await stores.destroy("wan")

    on_site(scenario)


def test_the_limit_of_a_disk_store_can_be_changed_that_of_default_too() -> None:
    async def scenario(site: Site) -> None:
        stores = site.admin.stores
        with pytest.raises(UsageError, match="disk store DEFAULT exists always"):
            await stores.create(DiskStoreAttributes(name="DEFAULT", max_disk=1))
        assert rows(await stores.list()) == [("DEFAULT", "none", "4.0", "0")]
        for max_disk in (7, 4):
            await stores.alter("DEFAULT", StoreAlteration(max_disk=max_disk))
            assert rows(await stores.list()) == [("DEFAULT", str(max_disk), "4.0", "0")]
        assert (await stores.describe("DEFAULT")).data["Writes"] == "refused"
        with pytest.raises(UsageError, match="does not exist"):
            await stores.alter("wan", StoreAlteration(max_disk=1))
        with pytest.raises(UsageError, match="disk store DEFAULT can't be destroyed"):
            await stores.destroy("DEFAULT")
        site.servers.broken = {name: unreachable(name) for name in ("s1", "s2")}
        assert rows(await stores.list()) == [("DEFAULT", "4", "unknown", "0")]

    on_site(scenario)


def test_a_read_timeout_that_is_too_short_is_told_to_who_creates_the_sender() -> None:
    async def scenario(site: Site) -> None:
        for sender, timeout_ms in (("never", 0), ("long", 40_000), ("short", 100)):
            attributes = GatewaySenderAttributes(
                id=sender, remote_distributed_system_id=2, socket_read_timeout=timeout_ms
            )
            info = (await site.admin.senders.create(attributes)).info
            assert ("socket-read-timeout 100 is too short: 30000 ms are used." in info) is (sender == "short")

    on_site(scenario)


def test_a_region_shows_its_attributes_that_are_not_the_defaults() -> None:
    async def scenario(site: Site) -> None:
        await site.admin.regions.create(RegionAttributes(name="p", redundant_copies=1, groups=("Blue", "red")))
        child = RegionAttributes(
            name="c", type="PARTITION_REDUNDANT", colocated_with="p", partition_resolver="string-prefix",
            groups=("red", "BLUE"), entry_idle_time_expiration=5, total_num_buckets=16,
            entry_time_to_live_expiration_action="destroy",
        )  # fmt: skip
        await site.admin.regions.create(child)
        assert rows(await site.admin.regions.describe("p")) == [
            ("Region", "type", "PARTITION"),
            ("Partition", "redundant-copies", "1"),
            ("Region", "groups", "Blue,red"),
        ]
        described = await site.admin.regions.describe("c")
        assert described.data["Accessor Members"] == "s1, s2", "nothing is placed yet"
        assert described.data["Redundancy"] == "NO_REDUNDANT_COPIES: 0 of 1 redundant copies"
        assert rows(described) == [
            ("Region", "type", "PARTITION_REDUNDANT"),
            ("Partition", "redundant-copies", "1"),
            ("Partition", "colocated-with", "p"),
            ("Partition", "partition-resolver", "string-prefix"),
            ("Region", "groups", "red,BLUE"),
            ("Region", "entry-time-to-live-expiration-action", "destroy"),
            ("Region", "entry-idle-time-expiration", "5"),
            ("Region", "entry-idle-time-expiration-action", "invalidate"),
        ]

    on_site(scenario)
