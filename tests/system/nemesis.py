"""What goes wrong at real sites: processes are killed, stopped in order and frozen, by a schedule that a seed draws.

Each fault acts on one target, a process of a site as a rule, lasts, and is healed; several may be under way at once, at
different targets. Of two sites the remote one only receives, so that its faults leave batches on their way.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, NamedTuple, Protocol

import psutil

from heliograph.errors import HeliographError
from heliograph.gfsh.processes import is_alive
from tests.system.clusters import wait_replicated
from tests.system.sites import Daemon, Site

FAULTS = (5, 8)
"""The least and the most of one run."""
FIRST_S = 2.0
"""Before the first fault, so that clients are at work."""
RESTART_S = 1.0
HANG_S = 1.0
ENGINE = "nats-server"


class Target(Protocol):
    """What a fault acts on."""

    name: str


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong at a target. lasts_s: the least and the most; healing comes on top.

    Both steps are told the target. They block, and run in threads.
    """

    name: str
    begin: Callable[[Any], None]
    end: Callable[[Any], None]
    lasts_s: tuple[float, float]


def kill(daemon: Daemon) -> None:
    """Kill -9, a locator with its engine."""
    if daemon.running:
        daemon.kill()


def stop(daemon: Daemon) -> None:
    """End it in order."""
    killed = daemon.stop()
    assert not killed, f"{daemon.name} did not end when asked"


def start(daemon: Daemon) -> None:
    """Start it if it does not run, and try again until that succeeds, as a supervisor does."""
    while not daemon.running:
        try:
            daemon.start()
        except HeliographError:
            time.sleep(RESTART_S)


def freeze(daemon: Daemon) -> None:
    """Stop its clock, so to speak: it keeps its connections and does nothing."""
    _signal(daemon.process, signal.SIGSTOP)


def thaw(daemon: Daemon) -> None:
    """Let it go on."""
    _signal(daemon.process, signal.SIGCONT)


def hang_and_kill(daemon: Daemon) -> None:
    """Kill -9 what had hung for a while: it takes with it what others sent and take for being under way."""
    freeze(daemon)
    time.sleep(HANG_S)
    kill(daemon)


def wipe(locator: Daemon) -> None:
    """Kill -9 one locator of three, and its engine, and remove all that they stored."""
    kill(locator)
    shutil.rmtree(locator.directory)


def kill_engine(locator: Daemon) -> None:
    """Kill -9 the engine alone; its locator starts it again."""
    _signal(_engine_of(locator), signal.SIGKILL)


def freeze_engine(locator: Daemon) -> None:
    """Have the engine answer nobody."""
    _signal(_engine_of(locator), signal.SIGSTOP)


def thaw_engine(locator: Daemon) -> None:
    """Let the engine go on."""
    _signal(_engine_of(locator), signal.SIGCONT)


def _engine_of(locator: Daemon) -> psutil.Process | None:
    children = locator.process.children() if locator.process is not None and locator.running else []
    return next((child for child in children if child.name() == ENGINE), None)


def _signal(process: psutil.Process | None, number: signal.Signals) -> None:
    if process is not None and is_alive(process):
        process.send_signal(number)


def _nothing(daemon: Daemon) -> None:
    """What ends by itself needs no healing."""


KILL = Fault("kill", kill, start, (0.0, 3.0))
STOP = Fault("stop", stop, start, (0.0, 2.0))
FREEZE = Fault("freeze", freeze, thaw, (0.5, 5.5))
LONG_FREEZE = Fault("freeze", freeze, thaw, (3.0, 4.5))
"""Longer than the tests' member-timeout and a take-over."""
TAKING_OVER_S = 3.5
HANG = Fault("hang and kill", hang_and_kill, start, (0.0, 2.0))
KILL_ENGINE = Fault("kill the engine of", kill_engine, _nothing, (0.0, 0.0))
WIPE = Fault("wipe", wipe, start, (0.0, 3.0))
FREEZE_ENGINE = Fault("freeze the engine of", freeze_engine, thaw_engine, (0.2, 3.0))
AT_SERVERS = ((4, KILL), (1, STOP), (4, FREEZE), (1, HANG))
AT_LOCATORS = ((2, KILL), (1, KILL_ENGINE), (1, FREEZE_ENGINE))
AT_ONE_OF_THREE = (*AT_LOCATORS, (2, WIPE))
AT_REMOTE_SERVERS = ((1, KILL), (1, FREEZE), (2, HANG))


class Step(NamedTuple):
    """A fault of a schedule. share: of the span between its least and its most seconds."""

    at_s: float
    target: Target
    fault: Fault
    share: float


Schedule = Callable[[random.Random, Site, Site, float], list[Step]]
"""Draws what goes wrong at a site and a remote one while clients work for so many seconds."""


def drawn(rng: random.Random, here: Site, remote: Site, lasts_s: float) -> list[Step]:
    """Return a few faults of any kind, at any time."""
    count = rng.randint(*FAULTS)
    return [Step(rng.uniform(FIRST_S, lasts_s), *_draw(rng, here, remote), rng.random()) for _ in range(count)]


def taking_over(rng: random.Random, here: Site, remote: Site, lasts_s: float) -> list[Step]:
    """Return freezes of one server after the other, until others have taken over what it is primary for."""
    servers = cycle(rng.sample(here.servers, len(here.servers)))
    count = int((lasts_s - FIRST_S) / TAKING_OVER_S)
    return [Step(FIRST_S + turn * TAKING_OVER_S, next(servers), LONG_FREEZE, rng.random()) for turn in range(count)]


class Nemesis:
    """Plays a schedule. story: what happened when, in seconds since it began."""

    def __init__(self, sites: Sequence[Site], schedule: Sequence[Step]) -> None:
        self.story: list[str] = []
        self._clusters = {locator.name: site for site in sites if len(site.locators) > 1 for locator in site.locators}
        self._turns = {step.target.name: asyncio.Lock() for step in schedule}
        for site in sites:
            self._turns |= dict.fromkeys([locator.name for locator in site.locators], asyncio.Lock())
        self._schedule = schedule
        self._began_s = 0.0

    async def disturb(self) -> None:
        """Have all faults come and go; returns when all are healed."""
        self._began_s = asyncio.get_running_loop().time()
        await asyncio.gather(*(self._play(*each) for each in self._schedule))

    async def _play(self, at_s: float, target: Target, fault: Fault, share: float) -> None:
        await asyncio.sleep(at_s)
        least_s, most_s = fault.lasts_s
        async with self._turns[target.name]:  # one after the other at one target, and at the locators of a site
            self._tell(f"{fault.name} {target.name}")
            await asyncio.to_thread(fault.begin, target)
            await asyncio.sleep(least_s + share * (most_s - least_s))
            await asyncio.to_thread(fault.end, target)
            if target.name in self._clusters:  # what only the next one holds would be lost
                await asyncio.to_thread(wait_replicated, self._clusters[target.name])
            self._tell(f"healed: {fault.name} {target.name}")

    def _tell(self, what: str) -> None:
        self.story.append(f"{asyncio.get_running_loop().time() - self._began_s:.3f} {what}")


def _draw(rng: random.Random, here: Site, remote: Site) -> tuple[Daemon, Fault]:
    at_locators = AT_ONE_OF_THREE if len(here.locators) > 1 else AT_LOCATORS
    daemons, faults = rng.choices(
        ((here.servers, AT_SERVERS), (here.locators, at_locators), (remote.servers, AT_REMOTE_SERVERS)), (6, 2, 2)
    )[0]
    return rng.choice(daemons), weighted(rng, faults)


def weighted(rng: random.Random, faults: Sequence[tuple[int, Fault]]) -> Fault:
    return rng.choices([fault for _, fault in faults], [weight for weight, _ in faults])[0]
