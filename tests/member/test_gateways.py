"""A member's gateways under commands that race and callers that hang up."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from types import SimpleNamespace
from typing import cast

import pytest

from heliograph.bucket.primary import RECORD_BYTES_MAX
from heliograph.errors import UnavailableError
from heliograph.link.messages import Done, Outcome, ReceiverCommand, SenderCommand
from heliograph.member.copy import BucketCopy
from heliograph.member.gateways import GatewayHost, Gateways
from heliograph.member.region import HostedRegion
from heliograph.member.state import SiteState
from heliograph.member.stores import Store, Stores
from heliograph.model.attributes import (
    DEFAULT_STORE,
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
    RegionAttributes,
)
from heliograph.model.batch import Part
from heliograph.model.queues import AsyncEventQueueAttributes
from heliograph.model.registry import lease_key
from heliograph.model.routing import Routing
from tests.gateway.builders import ELSEWHERE, THERE
from tests.locator.fakes import member
from tests.member.wan import SENDER, Host, World, simulate
from tests.scenarios.plugins import LISTENERS, listening


class Copies(HostedRegion):
    """A region with one bucket whose primary is here, as far as gateways look at it."""

    def __init__(self, sender: str, store: Store) -> None:
        self.attributes = RegionAttributes(name="r", gateway_sender_ids=(sender,))
        self.generation = 0
        self.routing = Routing(self.attributes.total_num_buckets)
        self.primary = True
        self.store = store

    def accepting(self) -> list[BucketCopy]:
        copy = cast(BucketCopy, SimpleNamespace(bucket=0, epoch=1))
        return [copy] if self.primary else []


async def gateways_at(host: Host, state: SiteState, *hosted: HostedRegion) -> Gateways:
    """The gateways of a member, arranged once."""

    async def apply_parts(_region: str, _bucket: int, _parts: tuple[Part, ...]) -> Done:
        return Done(1)

    regions = {region.name: region for region in hosted}
    seen = GatewayHost(
        host.name,
        host.dsid,
        hostname=host.name,
        network=host.network,
        introduction=host.introduction,
        gate=None,
        clock=host.clock,
        rng=random.Random(1),
        record_bytes_max=RECORD_BYTES_MAX,
        registry=host.registry,
        regions=regions,
        state=lambda: state,
        members=state.members.values,
        apply_parts=apply_parts,
        region=regions.__getitem__,
        find_receivers=host.find_receivers,
        fail=host.fail,
    )
    gateways = Gateways(seen, regions, lambda: None)
    await gateways.arrange(state, ())
    return gateways


def test_a_stop_is_done_to_its_end_although_the_one_who_asked_hangs_up() -> None:
    async def scenario(world: World) -> None:
        attributes = GatewaySenderAttributes(id=SENDER, remote_distributed_system_id=THERE)
        gateways = await gateways_at(world.local, SiteState(senders={SENDER: attributes}))
        sender = gateways._senders[SENDER]
        sender.may_hold(True)
        await world.until(lambda: sender.status().policy == "Primary")
        asking = asyncio.create_task(gateways.command(SenderCommand(SENDER, "stop")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        await world.until(lambda: not sender._dispatchers)
        assert await world.local.registry.get(lease_key(SENDER)) is None
        assert sender.status().status == "Not Running"
        await gateways.close()

    simulate(scenario)


def test_of_two_starts_of_the_receiver_at_once_one_listens_and_one_is_told() -> None:
    async def scenario(world: World) -> None:
        receiver = GatewayReceiverAttributes(manual_start=True)
        gateways = await gateways_at(world.local, SiteState(receivers=[(receiver, 1)]))
        outcomes: list[Outcome] = await asyncio.gather(
            *(gateways.command_receiver(ReceiverCommand("start")) for _ in range(2))
        )
        assert [outcome.ok for outcome in outcomes] == [True, False]
        assert "already started" in outcomes[1].message
        assert gateways.port
        await gateways.close()
        assert not gateways.port

    simulate(scenario)


def test_a_bucket_that_its_sender_let_go_of_is_given_to_it_again() -> None:
    async def scenario(world: World) -> None:
        attributes = GatewaySenderAttributes(id=SENDER, remote_distributed_system_id=THERE, parallel=True)
        state = SiteState(senders={SENDER: attributes})
        region = Copies(SENDER, await Stores(world.local.client, 1).open(DEFAULT_STORE))
        gateways = await gateways_at(world.local, state, region)
        buckets = gateways._senders[SENDER]._buckets
        assert buckets is not None
        await world.until(lambda: len(buckets._shipped) == 1)
        buckets.remove(("r", 0))
        await gateways.arrange(state, ())
        await world.until(lambda: len(buckets._shipped) == 1)
        region.primary = False
        await gateways.arrange(state, ())
        assert not buckets._shipped
        await gateways.close()

    simulate(scenario)


def test_a_member_has_only_the_senders_that_are_its_own() -> None:
    async def scenario(world: World) -> None:
        def of(name: str, **servers: tuple[str, ...]) -> GatewaySenderAttributes:
            return GatewaySenderAttributes(id=name, remote_distributed_system_id=THERE, **servers)  # type: ignore[arg-type]

        mine, others, group, everyone = (
            of("mine", members=("LOCAL",)), of("others", members=("two",)), of("group", groups=("g",)), of("everyone")
        )  # fmt: skip
        state = SiteState(senders={each.id: each for each in (mine, others, group, everyone)})
        gateways = await gateways_at(world.local, state)
        assert gateways.running_senders() == ("everyone", "mine")
        info = member("local", groups=("G",))
        await gateways.arrange(state, [info])
        assert gateways.running_senders() == ("everyone", "group", "mine")
        state.senders["mine"] = others
        await gateways.arrange(state, [info])
        assert gateways.running_senders() == ("everyone", "group")
        await gateways.close()

    simulate(scenario)


def test_a_sender_that_was_destroyed_and_created_anew_leads_to_its_new_site() -> None:
    """The member was busy meanwhile, and sees both at once."""

    async def scenario(world: World) -> None:
        def to(site: int, **options: int) -> SiteState:
            attributes = GatewaySenderAttributes(id=SENDER, remote_distributed_system_id=site, **options)  # type: ignore[arg-type]
            return SiteState(senders={SENDER: attributes})

        gateways = await gateways_at(world.local, to(THERE))
        first = gateways._senders[SENDER]
        await gateways.arrange(to(THERE, batch_size=7, alert_threshold=9), ())
        assert gateways._senders[SENDER] is first
        await gateways.arrange(to(ELSEWHERE), ())
        assert not first.running
        second = gateways._senders[SENDER]
        second.may_hold(True)
        await world.until(lambda: second.primary)
        assert [status.remote_dsid for status in gateways.status().senders] == [ELSEWHERE]
        assert second._finder._dsid == ELSEWHERE
        await gateways.close()

    simulate(scenario)


def test_a_queue_that_was_destroyed_and_created_anew_has_its_new_listener() -> None:
    async def scenario(world: World) -> None:
        def with_listener(name: str, **options: int) -> SiteState:
            queue = AsyncEventQueueAttributes(id="q", listener=listening(name), **options).as_sender()  # type: ignore[arg-type]
            return SiteState(senders={queue.id: queue})

        gateways = await gateways_at(world.local, with_listener("one"))
        [one] = LISTENERS["one"]
        await gateways.arrange(with_listener("two"), ())
        assert one.closed
        [two] = LISTENERS["two"]
        assert not two.closed
        await gateways.close()

    simulate(scenario)


def test_plug_ins_of_a_sender_that_can_not_be_taken_up_yet_are_closed() -> None:
    async def scenario(world: World) -> None:
        queue = AsyncEventQueueAttributes(id="q", listener=listening("early")).as_sender()
        gateways = await gateways_at(world.local, SiteState())
        world.engine.stop()
        with pytest.raises(UnavailableError):
            await gateways.arrange(SiteState(senders={queue.id: queue}), ())
        world.engine.start()
        await gateways.arrange(SiteState(senders={queue.id: queue}), ())
        assert [each.closed for each in LISTENERS["early"]] == [True, False]
        await gateways.close()

    simulate(scenario)
