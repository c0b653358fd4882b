"""A member that restarts has its gateway senders as operators left them."""

from __future__ import annotations

import asyncio
import random

import pytest

from heliograph.engine.sim.loop import run
from heliograph.errors import UnavailableError
from heliograph.link.messages import SenderCommand
from heliograph.member.sender import GatewaySender
from heliograph.model.attributes import GatewaySenderAttributes, RegionAttributes
from heliograph.model.registry import Commanded, commanded_key, decode_entry
from heliograph.net.sim import SimNetwork
from tests.gateway.builders import THERE
from tests.member.test_lives import in_process, until
from tests.member.wan import SENDER, Host, World, simulate
from tests.sim.plan import SitePlan
from tests.sim.process import own_tasks
from tests.sim.world import SimSite

STOP_S = 30.0


def sender_at(host: Host, *, manual_start: bool = False) -> GatewaySender:
    return GatewaySender(
        GatewaySenderAttributes(id=SENDER, remote_distributed_system_id=THERE, manual_start=manual_start), host
    )


@pytest.mark.parametrize(
    ("commands", "manual_start", "status"),
    [
        ("", False, "Running, not Connected"),
        ("", True, "Not Running"),
        ("start", True, "Running, not Connected"),
        ("start pause", True, "Paused"),
        ("pause", False, "Paused"),
        ("pause load-balance", False, "Paused"),
        ("pause resume", False, "Running, not Connected"),
        ("stop", False, "Not Running"),
        ("pause stop start", False, "Running, not Connected"),
    ],
)
def test_a_sender_is_taken_up_as_it_was_left(commands: str, manual_start: bool, status: str) -> None:
    async def scenario(world: World) -> None:
        host = await Host(world, "one").open()
        before = sender_at(host, manual_start=manual_start)
        await before.take_up()
        for action in commands.split():
            await before.command(action)  # type: ignore[arg-type]
        assert before.status().status == status
        await before.stop()  # as a member does that ends: nothing that was commanded
        after = sender_at(await Host(world, "one").open(), manual_start=manual_start)
        await after.take_up()
        assert after.status().status == status
        elsewhere = sender_at(await Host(world, "two").open(), manual_start=manual_start)
        await elsewhere.take_up()
        assert elsewhere.running is not manual_start
        for sender in (after, elsewhere):
            await sender.stop()

    simulate(scenario)


def test_a_command_that_is_done_and_can_not_be_kept_says_so() -> None:
    async def scenario(world: World) -> None:
        host = await Host(world, "one").open()
        sender = sender_at(host)
        await sender.take_up()
        host.client.connection.cut()
        with pytest.raises(UnavailableError, match="pause done, but one forgets it when restarted"):
            await sender.command("pause")
        assert sender.paused
        await sender.stop()

    simulate(scenario)


def test_a_killed_member_comes_back_with_its_senders_as_they_were() -> None:
    names = ("paused", "stopped", "plain", "manual", "started")

    async def main(rng: random.Random) -> None:
        own_tasks(asyncio.get_running_loop())
        region = RegionAttributes(name="r", type="PARTITION_REDUNDANT", total_num_buckets=4, gateway_sender_ids=names)
        senders = tuple(
            GatewaySenderAttributes(
                id=name, remote_distributed_system_id=THERE, manual_start=name in ("manual", "started")
            )
            for name in names
        )
        site = SimSite(SitePlan(1, 2, region, senders, (0, 0, 0)), [], SimNetwork(), rng)
        for slot in site.slots:
            slot.start()
        await until(lambda: all(slot.ready for slot in site.slots))
        await site.configure()
        member = site.members[1]
        for name, action in (("paused", "pause"), ("stopped", "stop"), ("started", "start")):
            outcome = await in_process(member, member.member.gateways.command(SenderCommand(name, action)))  # type: ignore[arg-type]
            assert outcome.ok, outcome.message
        member.kill()
        member.start()
        await until(lambda: member.ready)
        states = {state.id: state.status.partition(",")[0] for state in member.member.gateways.status().senders}
        assert states == {
            "paused": "Paused",
            "stopped": "Not Running",
            "plain": "Running",
            "manual": "Not Running",
            "started": "Running",
        }
        item = site.engine.registries["site"].get(commanded_key("paused", member.name))
        assert item is not None
        assert decode_entry(item.value, Commanded) == Commanded("paused")
        for slot in (*site.members, site.locator):
            await slot.stop(STOP_S)

    run(main, seed=1, limit_s=600)
