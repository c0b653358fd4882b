"""What goes wrong with whole sites and the ways between them: each fault comes with the step that heals it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from heliograph.link.messages import Outcome, SenderAction, SenderCommand
from tests.sim.faults import Fault, cut
from tests.sim.graphs import CLOCK_WRONG_S_MAX
from tests.sim.world import MemberSlot, SimSite, World

FIRST_S, LAST_S = 0.5, 12.0
CLOCK_WRONG_S_MIN = 70.0
"""More than `max-clock-skew`: what the site writes is refused by others, or what they write by it."""
UNDONE_S = 90.0
AGAIN_S = 0.5


class Drawn(NamedTuple):
    """A fault, and how long it lasts."""

    fault: Fault
    lasts_s: float


def cut_link(world: World, rng: random.Random) -> Drawn:
    """Nothing passes between two sites one of which sends to the other."""
    links = [(site, other) for site in world.sites for other in world.sites if other.plan.dsid in _leads_to(site)]
    one, other = rng.choice(links)
    ways = [(a, b) for a in one.hosts for b in other.hosts]
    return Drawn(cut(world, f"cut the link {one.plan.dsid} -> {other.plan.dsid}", ways), rng.uniform(1.0, 20.0))


def cut_off(world: World, rng: random.Random) -> Drawn:
    """A site reaches no other and is not reached, for longer than tombstones are kept; its clients go on."""
    site = rng.choice(world.sites)
    ways = [(a, b) for other in world.sites if other is not site for a in site.hosts for b in other.hosts]
    return Drawn(cut(world, f"cut site {site.plan.dsid} off", ways), rng.uniform(10.0, 40.0))


def lose_site(world: World, rng: random.Random) -> Drawn:
    """All processes of a site die at once, its engine too now and then; what that stored stays."""
    site = rng.choice(world.sites)
    whole = rng.random() < 0.5

    def begin() -> None:
        for slot in site.slots:
            slot.kill()
        if whole:
            site.engine.stop()

    def end() -> None:
        if whole:
            site.engine.start()
        for slot in site.slots:
            slot.start()

    return Drawn(Fault(f"lose site {site.plan.dsid}", begin, end), rng.uniform(2.0, 25.0))


def set_clocks_wrong(world: World, rng: random.Random) -> Drawn:
    """All clocks of a site are set minutes ahead or back, and right again; until then events wait in queues.

    What was written meanwhile, ahead, waits for as long as it is ahead of the other sites' clocks.
    """
    site = rng.choice(world.sites)
    step_ms = rng.choice((-1, 1)) * round(1000 * rng.uniform(CLOCK_WRONG_S_MIN, CLOCK_WRONG_S_MAX))

    def step(by_ms: int) -> None:
        for slot in site.slots:
            slot.clock.ahead_ms += by_ms

    fault = Fault(
        f"set the clocks of site {site.plan.dsid} by {step_ms} ms", lambda: step(step_ms), lambda: step(-step_ms)
    )
    return Drawn(fault, rng.uniform(2.0, 10.0))


def stop_sender(world: World, rng: random.Random) -> Drawn:
    """An operator stops a gateway sender at some servers, or pauses it."""
    site = rng.choice([site for site in world.sites if site.plan.senders])
    sender = rng.choice(site.plan.senders).id
    slots = rng.sample(site.members, rng.randint(1, len(site.members)))
    action: SenderAction = rng.choice(("stop", "stop", "pause"))

    async def begin() -> None:
        for slot in slots:
            await _command(slot, sender, action)

    async def end() -> None:
        await asyncio.gather(*(_have_run(slot, sender) for slot in slots))

    where = ", ".join(slot.name for slot in slots)
    return Drawn(Fault(f"{action} gateway sender {sender} at {where}", begin, end), rng.uniform(1.0, 15.0))


async def _have_run(slot: MemberSlot, sender: str) -> None:
    """Have a sender run, and stay so when its member is started again."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + UNDONE_S
    while loop.time() < deadline:
        running = slot.ready and slot.member.gateways._senders.get(sender)
        if running:
            # Of one that runs already, since its start could not be kept: that it is resumed is kept, too.
            steps: Sequence[SenderAction] = ("start",) if not running.running else ("pause", "resume")
            done = [await _command(slot, sender, action) for action in steps]
            if done[-1]:
                return
        await asyncio.sleep(AGAIN_S)


async def _command(slot: MemberSlot, sender: str, action: SenderAction) -> bool:
    """Do an operator's command, if anybody is there to do it; say whether it was done and is kept."""
    if not slot.ready or slot.process is None:
        return False
    task = slot.process.run(slot.member.gateways.command(SenderCommand(sender, action)))
    await asyncio.wait({task}, timeout=20.0)
    if task.done() and not task.cancelled() and task.exception() is None:
        outcome: Outcome = task.result()
        return outcome.ok
    return False


def _leads_to(site: SimSite) -> set[int]:
    return {sender.remote_distributed_system_id for sender in site.plan.senders}


DRAWS: list[tuple[int, Callable[[World, random.Random], Drawn]]] = [
    (5, cut_link),
    (3, cut_off),
    (3, lose_site),
    (2, set_clocks_wrong),
    (3, stop_sender),
]


def draw_site_faults(world: World, rng: random.Random) -> list[tuple[Fault, float, float]]:
    """Return what befalls sites in a run: each with its moment, and how long it lasts."""
    weights = [weight for weight, _ in DRAWS]
    draws = [draw(world, rng) for draw in rng.choices([draw for _, draw in DRAWS], weights, k=world.plan.site_faults)]
    return [(drawn.fault, rng.uniform(FIRST_S, LAST_S), drawn.lasts_s) for drawn in draws]
