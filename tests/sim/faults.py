"""What goes wrong: each fault comes with the step that heals it.

A fault is drawn at a moment, acts at once, lasts, and is healed; several may be under way together.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from heliograph.engine.sim.faults import Fault as AppendFault
from heliograph.errors import HeliographError
from heliograph.link.messages import Rebalance
from heliograph.model.attributes import DEFAULT_STORE, DiskStoreAttributes
from heliograph.model.registry import REGISTRY, encode_entry, store_key
from tests.sim.plan import beside
from tests.sim.world import Program, SimSite, Slot, World

FIRST_S, LAST_S = 0.5, 14.0
LEAST_S, MOST_S = 0.2, 20.0
STOP_S = 20.0
"""How long a member may take to leave in order before it is killed."""
CLOCK_STEP_MS_MAX = 5_000
ANSWERS_LOST_S = 0.5
COMMAND_S = 30.0
"""How long an operator waits for the answer to a command."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, and its end."""

    name: str
    begin: Callable[[], Awaitable[None] | None]
    end: Callable[[], Awaitable[None] | None]


def _nothing() -> None:
    """What ends by itself needs no healing."""


def kill_member(world: World, rng: random.Random) -> Fault:
    """A member dies without goodbye, nothing stored, and is started again."""
    slot = rng.choice(world.members)
    return Fault(f"kill {slot.name}", slot.kill, slot.start)


def kill_locator(world: World, rng: random.Random) -> Fault:
    """A locator dies without goodbye; its engine lives."""
    slot = rng.choice(world.sites).locator
    return Fault(f"kill {slot.name}", slot.kill, slot.start)


def stop_member(world: World, rng: random.Random) -> Fault:
    """A member leaves in order and comes back."""
    slot = rng.choice(world.members)
    return Fault(f"stop {slot.name}", lambda: slot.stop(STOP_S), slot.start)


def cut_engine(world: World, rng: random.Random) -> Fault:
    """One process does not reach the engine, the others do."""
    slot = rng.choice(world.slots)
    return Fault(f"cut {slot.name} off the engine", lambda: _of(slot, "cut_engine"), lambda: _of(slot, "heal_engine"))


def lose_primary(world: World, rng: random.Random) -> Fault:
    """A member is cut off the engine while its last appends were written and never answered, and others take over."""
    slot = rng.choice(world.members)
    answers = rng.randint(1, 4)

    async def begin() -> None:
        slot.site.engine.faults.plan(*[AppendFault.ANSWER_LOST] * answers)
        await asyncio.sleep(ANSWERS_LOST_S)
        _of(slot, "cut_engine")

    return Fault(
        f"lose {answers} answers, then cut {slot.name} off the engine", begin, lambda: _of(slot, "heal_engine")
    )


def stop_engine(world: World, rng: random.Random) -> Fault:
    """The engine dies; what it stored stays."""
    site = rng.choice(world.sites)
    return Fault(f"stop engine {site.plan.dsid}", site.engine.stop, site.engine.start)


def disturb_appends(world: World, rng: random.Random) -> Fault:
    """Some appends are lost, written without an answer, or come late."""
    site = rng.choice(world.sites)
    kinds = rng.sample([AppendFault.REQUEST_LOST, AppendFault.ANSWER_LOST, AppendFault.DELAYED], rng.randint(1, 3))
    chances = {kind: rng.uniform(0.05, 0.3) for kind in kinds}
    names = ", ".join(kind.value for kind in kinds)

    def begin() -> None:
        site.engine.faults.delay_s = rng.uniform(0.5, 8.0)
        site.engine.faults.chances = chances

    def end() -> None:
        site.engine.faults.chances = {}

    return Fault(f"{names} at engine {site.plan.dsid}", begin, end)


def limit_store(world: World, rng: random.Random) -> Fault:
    """The operator limits the disk store to little more than it takes, and takes the limit away again."""
    site = rng.choice(world.sites)
    more = rng.choice((0, 500, 5_000))
    registry, key = site.engine.registries[REGISTRY], store_key(DEFAULT_STORE)

    def begin() -> None:
        limit = site.engine.logs[DEFAULT_STORE].size + more
        registry.put(key, encode_entry(DiskStoreAttributes(name=DEFAULT_STORE, max_disk=limit)))
        site.engine.tell()

    def end() -> None:
        registry.delete(key, None)
        site.engine.tell()

    return Fault(f"limit disk store of site {site.plan.dsid} to {more} bytes more", begin, end)


def full_engine(world: World, rng: random.Random) -> Fault:
    """The engine has no room for any append."""
    log = rng.choice(world.sites).engine.logs[DEFAULT_STORE]

    def set_room(room: int | None) -> None:
        log.room = room

    return Fault("engine without room", lambda: set_room(0), lambda: set_room(None))


def slow_engine(world: World, rng: random.Random) -> Fault:
    """Everything that the engine does takes long."""
    site = rng.choice(world.sites)
    usual = site.engine.faults.latency_s
    slow = (0.01, rng.uniform(0.05, 1.0))

    def set_latency(latency_s: tuple[float, float]) -> None:
        site.engine.faults.latency_s = latency_s

    return Fault(f"slow engine {site.plan.dsid}", lambda: set_latency(slow), lambda: set_latency(usual))


def cut_sites(world: World, rng: random.Random) -> Fault:
    """Nothing passes between two sites."""
    one, other = rng.sample(world.sites, 2)
    ways = [(a, b) for a in one.hosts for b in other.hosts]
    return cut(world, f"cut site {one.plan.dsid} off site {other.plan.dsid}", ways)


def cut_members(world: World, rng: random.Random) -> Fault:
    """Nothing passes between two processes of a site."""
    site = rng.choice(world.sites)
    one, other = rng.sample(site.hosts, 2)
    return cut(world, f"cut {one} off {other}", [(one, other)])


def reset_connections(world: World, rng: random.Random) -> Fault:
    """The connections that a member opened to another site break."""
    slot = rng.choice(world.members)
    other = rng.choice([site for site in world.sites if site is not slot.site])
    return Fault(f"reset {slot.name} to site {other.plan.dsid}", lambda: _reset(slot, other), _nothing)


def lose_answers(world: World, rng: random.Random) -> Fault:
    """A thin client's connections break when some answers come."""
    program = rng.choice(world.programs)
    answers = iter(range(rng.randint(1, 4)))
    members = {member.name for member in program.site.members}

    def lost(host: str) -> bool:
        return host in members and next(answers, None) is not None

    return Fault(
        f"lose answers to {program.host}", lambda: _intercept(program, lost), lambda: _intercept(program, None)
    )


def die_answering(world: World, rng: random.Random) -> Fault:
    """A member dies with its answer to a thin client on the way, and is started again."""
    program = rng.choice(world.programs)
    members = {member.name: member for member in program.site.members}
    dead: list[Slot] = []

    def dies(host: str) -> bool:
        if dead or host not in members:
            return False
        dead.append(members[host])
        asyncio.get_running_loop().call_soon(members[host].kill)
        return True

    def end() -> None:
        _intercept(program, None)
        for member in dead:
            member.start()

    return Fault(f"kill the next member that answers {program.host}", lambda: _intercept(program, dies), end)


def cut_client(world: World, rng: random.Random) -> Fault:
    """Nothing passes between a thin client and one process of its site."""
    program = rng.choice(world.programs)
    host = rng.choice(program.site.hosts)
    return cut(world, f"cut {program.host} off {host}", [(program.host, host)])


def step_clock(world: World, rng: random.Random) -> Fault:
    """A clock is set to another time, and back."""
    slot = rng.choice(world.slots)
    step_ms = rng.randint(-CLOCK_STEP_MS_MAX, CLOCK_STEP_MS_MAX)

    def step(by_ms: int) -> None:
        slot.clock.ahead_ms += by_ms

    return Fault(f"step clock of {slot.name} by {step_ms} ms", lambda: step(step_ms), lambda: step(-step_ms))


def rebalance(world: World, rng: random.Random) -> Fault:
    """An operator has the buckets evened out; some have enough of it after a while."""
    site = rng.choice(world.sites)
    patient = rng.random() < 0.7

    async def ask(action: Literal["start", "cancel"]) -> None:
        ready = [slot for slot in site.members if slot.ready]
        if not ready:
            return
        oldest = min(ready, key=lambda slot: slot.member._info().age)
        if oldest.process is not None:
            asked = oldest.process.run(_obediently(oldest.member._placer.rebalance(Rebalance(action))))
            await asyncio.wait({asked}, timeout=COMMAND_S)

    return Fault(
        f"rebalance site {site.plan.dsid}", lambda: ask("start"), _nothing if patient else lambda: ask("cancel")
    )


async def _obediently(command: Coroutine[Any, Any, object]) -> None:
    with suppress(HeliographError):
        await command


def cut(world: World, name: str, ways: list[tuple[str, str]]) -> Fault:
    """Nothing passes on some ways."""

    def each(do: Callable[[str, str], None]) -> None:
        for one, other in ways:
            do(one, other)

    return Fault(name, lambda: each(world.network.cut), lambda: each(world.network.heal))


def _intercept(program: Program, intercept: Callable[[str], bool] | None) -> None:
    program.process.intercept = intercept


def _of(slot: Slot, action: str) -> None:
    if slot.process is not None:
        getattr(slot.process, action)()


def _reset(slot: Slot, other: SimSite) -> None:
    if slot.process is not None:
        slot.process.reset(set(other.hosts))


DRAWS: list[tuple[int, Callable[[World, random.Random], Fault]]] = [
    (5, kill_member),
    (1, kill_locator),
    (2, stop_member),
    (2, cut_engine),
    (3, lose_primary),
    (2, stop_engine),
    (4, disturb_appends),
    (1, slow_engine),
    (2, limit_store),
    (1, full_engine),
    (3, cut_sites),
    (2, cut_members),
    (3, reset_connections),
    (1, step_clock),
    (3, lose_answers),
    (3, die_answering),
    (2, cut_client),
]
BETWEEN_SITES = (cut_sites, reset_connections)
AT_PROGRAMS = (lose_answers, die_answering, cut_client)


async def disturb(
    world: World, rng: random.Random, count: int, story: list[str], more: Iterable[tuple[Fault, float, float]] = ()
) -> None:
    """Have `count` faults come and go, and `more` (when each begins, how long it lasts); tell what happened when."""
    moving = beside(rng)
    missed = (BETWEEN_SITES if len(world.sites) == 1 else ()) + (() if world.programs else AT_PROGRAMS)
    draws = [draw for draw in DRAWS if draw[1] not in missed]
    faults = [
        (draw(world, rng), rng.uniform(FIRST_S, LAST_S), rng.uniform(LEAST_S, MOST_S))
        for draw in rng.choices([draw for _, draw in draws], [weight for weight, _ in draws], k=count)
    ]

    joins = [Fault(f"join {slot.name}", slot.start, _nothing) for slot in world.late]
    rebalances = [rebalance(world, moving) for _ in range(world.plan.rebalances)]
    leaves = [stop_member(world, moving) for _ in range(world.plan.rebalances)]
    faults += [
        (fault, moving.uniform(FIRST_S, LAST_S), moving.uniform(LEAST_S, MOST_S))
        for fault in (*joins, *rebalances, *leaves)
    ]

    faults += more

    async def play(fault: Fault, at_s: float, lasts_s: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(at_s)
        story.append(f"{loop.time():.3f} {fault.name}")
        await _do(fault.begin)
        await asyncio.sleep(lasts_s)
        story.append(f"{loop.time():.3f} healed: {fault.name}")
        await _do(fault.end)

    await asyncio.gather(*(play(*each) for each in faults))


async def _do(step: Callable[[], Awaitable[None] | None]) -> None:
    result = step()
    if result is not None:
        await result
