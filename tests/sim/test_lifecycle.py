"""Whole sites under faults whose entries expire, are cleared and invalidated, and end when a site starts cold.

What a site takes away by itself is its own: sites agree on every version, whoever took away what. Each site keeps its
entries for another time.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, cast

import msgspec
import pytest

from heliograph.bucket import expiration
from heliograph.bucket.view import BucketView
from heliograph.engine.sim.loop import run
from heliograph.errors import HeliographError
from heliograph.model.batch import (
    CLEARED,
    COLLECTED,
    EXPIRED,
    INVALIDATED,
    Record,
    Removal,
    decode_columns,
    decode_record,
)
from heliograph.model.clock import ms_of_stamp
from heliograph.model.keys import NO_VALUE, Key
from heliograph.model.registry import LIFE, REGISTRY, SiteLife, decode_entry
from tests.sim.faults import disturb
from tests.sim.plan import REGION, Plan, draw_plan
from tests.sim.process import own_tasks
from tests.sim.world import MEMBER_TIMEOUT_MS, MemberSlot, SimSite, World

SEEDS = range(12)
WORK_S, REST_S, SETTLED_S = 15.0, 150.0, 3.0
EXPIRED_S = 20.0
"""When everything has expired, by any clock, that was written when the work ended."""
HOT_KEYS: list[Key] = [f"hot-{number}" for number in range(5)]
SURE_S = 3 * MEMBER_TIMEOUT_MS / 1000
"""A server that was well for so long is in its site's life."""
LOOK_S = 0.05


@dataclass
class Seen:
    """What was seen of a run. asked: what clients asked for, by site and operation; wrong: what should not be."""

    asked: Counter[tuple[int, str]] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    removed: Counter[int] = field(default_factory=Counter)
    lives: int = 0
    wrong: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)


def draw(rng: random.Random) -> Plan:
    """Draw a run: of regions that are persistent or not, and in whose sites entries have different times."""
    plan = draw_plan(rng)
    kind = plan.sites[0].region.type
    if rng.random() < 0.7:
        kind = kind.removesuffix("_PERSISTENT")
    sites = []
    for site in plan.sites:
        times = {
            "entry_time_to_live_expiration": rng.choice((0, 1, 3)),
            "entry_time_to_live_expiration_action": rng.choice(("destroy", "invalidate")),
            "entry_idle_time_expiration": rng.choice((0, 0, 2)),
            "entry_idle_time_expiration_action": rng.choice(("destroy", "invalidate")),
        }
        sites.append(replace(site, region=msgspec.structs.replace(site.region, type=kind, **times)))
    return replace(plan, sites=tuple(sites))


def simulate(seed: int) -> Seen:
    """Run a seed to its end."""
    seen = Seen()

    async def main(rng: random.Random) -> None:
        own_tasks(asyncio.get_running_loop())
        plan = draw(rng)
        seen.story.append(f"{plan}, {[site.region for site in plan.sites]}")
        world = World(plan, random.Random(rng.getrandbits(64)))
        await world.start()
        watching = [asyncio.ensure_future(watch_lives(site, seen)) for site in world.sites]
        until_s = asyncio.get_running_loop().time() + WORK_S
        await asyncio.gather(
            disturb(world, random.Random(rng.getrandbits(64)), plan.faults, seen.story),
            *(work(slot, random.Random(rng.getrandbits(64)), until_s, seen) for slot in world.members),
        )
        await rest(world, seen)
        await asyncio.sleep(EXPIRED_S)
        await rest(world, seen)
        check(world, seen)
        for watched in watching:
            watched.cancel()
        await world.stop()

    run(main, seed=seed, limit_s=1_500)
    return seen


async def work(slot: MemberSlot, rng: random.Random, until_s: float, seen: Seen) -> None:
    """Do one operation after the other, whatever becomes of it."""
    loop, number = asyncio.get_running_loop(), 0
    while loop.time() < until_s:
        await asyncio.sleep(rng.expovariate(5))
        if not slot.ready or slot.process is None:
            continue
        number += 1
        member, value = slot.member, msgspec.msgpack.encode(f"{slot.name}.{number}")
        what = rng.choices(("once", "put", "remove", "invalidate", "get", "clear"), (4, 6, 3, 2, 4, 1))[0]
        seen.asked[slot.site.plan.dsid, what] += 1
        task: asyncio.Task[Any]
        if what in ("once", "put"):
            keys = [f"{slot.name}-{number}"] if what == "once" else rng.sample(HOT_KEYS, 2)
            task = in_process(slot, member.put_all(REGION, cast("list[Key]", keys), [value] * len(keys)))
        elif what == "get":
            task = in_process(slot, member.get_all(REGION, HOT_KEYS))
        elif what == "clear":
            task = in_process(slot, member.clear(REGION))
        else:
            task = in_process(slot, member.change(REGION, cast("Any", what), rng.choice(HOT_KEYS), b"", b""))
        await asyncio.wait({task}, timeout=60)
        if task.done() and not task.cancelled():
            error = task.exception()
            if error is None:
                seen.done[what] += 1
            elif not isinstance(error, HeliographError):
                seen.wrong.append(f"{slot.name} failed {what} with {error!r}")
        elif not task.done():
            seen.wrong.append(f"{slot.name} did not answer {what}")
            task.cancel()


def in_process(slot: MemberSlot, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    assert slot.process is not None
    return slot.process.run(coroutine)


async def rest(world: World, seen: Seen) -> None:
    """Wait until nothing is open any more, and stays so."""
    loop = asyncio.get_running_loop()
    deadline, since, ends = loop.time() + REST_S, loop.time(), world.ends()
    while loop.time() - since < SETTLED_S:
        await asyncio.sleep(0.5)
        matters = world.open_matters()
        if matters or ends != world.ends():
            since, ends = loop.time(), world.ends()
        if loop.time() > deadline:
            seen.wrong += matters or ["the logs grow without end"]
            return


async def watch_lives(site: SimSite, seen: Seen) -> None:
    """See that no life ends while a server is well, and has been for a while."""
    loop = asyncio.get_running_loop()
    well_since: dict[str, float] = {}
    number = life_of(site).number
    while True:
        await asyncio.sleep(LOOK_S)
        now_s = loop.time()
        well = {slot.name for slot in site.members if slot.ready and is_well(slot)}
        well_since = {name: well_since.get(name, now_s) for name in sorted(well)}
        life = life_of(site)
        if life.number != number:
            seen.lives += 1
            surely = [name for name, since in well_since.items() if now_s - since > SURE_S]
            if surely or life.number != number + 1:
                seen.wrong.append(
                    f"life {life.number} of site {site.plan.dsid} begun at {now_s:.3f}, well are {surely}"
                )
            number = life.number


def is_well(slot: MemberSlot) -> bool:
    return slot.process is not None and all(client.connection.connected for client in slot.process._clients)


def life_of(site: SimSite) -> SiteLife:
    item = site.engine.registries[REGISTRY].get(LIFE)
    return decode_entry(item.value, SiteLife) if item is not None else SiteLife()


# --- looking


class Replayed:
    """What a log leaves, one event and one removal after the other."""

    def __init__(self) -> None:
        self.values: dict[Key, bytes] = {}
        self.versions: dict[Key, int] = {}
        self.life = 0

    def take(self, record: Record) -> None:
        for removal in record.removals:
            if removal.kind == CLEARED:
                self.values, self.life = {}, max(self.life, removal.number)
            for key in removal.keys:
                if removal.kind == INVALIDATED and key in self.values:
                    self.values[key] = NO_VALUE
                elif removal.kind == EXPIRED:
                    self.values.pop(key, None)
        for part in record.parts:
            columns = decode_columns(part.columns)
            for key, value, version in zip(columns.keys, columns.values, columns.versions(part.origin), strict=True):
                self.versions[key] = version
                self.values[key] = value
                if not value:
                    del self.values[key]


def check(world: World, seen: Seen) -> None:
    versions: dict[int, dict[Key, int]] = {}
    for site in world.sites:
        versions[site.plan.dsid] = {}
        for bucket in range(site.plan.region.total_num_buckets):
            records = [decode_record(entry.payload) for entry in site.log(bucket)]
            replayed = Replayed()
            for record in records:
                replayed.take(record)
            versions[site.plan.dsid] |= replayed.versions
            check_reasons(site, records, seen)
            check_expired(site, replayed, seen)
            check_copies(site, bucket, replayed, seen)
    first = min(versions)
    for dsid, each in versions.items():
        different = [key for key in each.keys() | versions[first].keys() if each.get(key) != versions[first].get(key)]
        seen.wrong += [
            f"sites {first} and {dsid} differ in the version of {key!r}" for key in sorted(different, key=str)
        ]


def check_copies(site: SimSite, bucket: int, replayed: Replayed, seen: Seen) -> None:
    for slot in site.members:
        copy = slot.member._regions[REGION].copies.get(bucket) if slot.ready else None
        if copy is None:
            continue
        view = copy.view
        if (view.values, view.versions, view.life) != (replayed.values, replayed.versions, replayed.life):
            seen.wrong.append(f"{slot.name} holds bucket {bucket} otherwise than its log")
        if not copy.readable:
            seen.wrong.append(f"{slot.name} does not show bucket {bucket}")


def check_reasons(site: SimSite, records: list[Record], seen: Seen) -> None:
    """Nothing is taken away that nobody asked for and that does not expire."""
    region, dsid = site.plan.region, site.plan.dsid
    kinds = {
        {"destroy": EXPIRED, "invalidate": INVALIDATED}[action]
        for after_s, action in (
            (region.entry_time_to_live_expiration, region.entry_time_to_live_expiration_action),
            (region.entry_idle_time_expiration, region.entry_idle_time_expiration_action),
        )
        if after_s
    }
    removals = [removal for record in records for removal in record.removals]
    seen.removed.update(removal.kind for removal in removals)
    clears = sum(removal.kind == CLEARED and not removal.number for removal in removals)
    lives = [removal.number for removal in removals if removal.number]
    if clears > seen.asked[dsid, "clear"]:
        seen.wrong.append(f"site {dsid} cleared a bucket {clears} times")
    if lives != sorted(set(lives)) or (lives and region.persistent):
        seen.wrong.append(f"site {dsid} ended a bucket's lives {lives}")
    if any(removal.kind == EXPIRED for removal in removals) and EXPIRED not in kinds:
        seen.wrong.append(f"entries of site {dsid} were destroyed")
    invalidated = {key for removal in removals if removal.kind == INVALIDATED for key in removal.keys}
    if INVALIDATED not in kinds and not invalidated <= set(HOT_KEYS):
        seen.wrong.append(f"entries of site {dsid} were invalidated: {sorted(map(str, invalidated))}")
    if any(removal.kind == COLLECTED for removal in removals):
        seen.wrong.append(f"site {dsid} collected tombstones that are minutes old")


def check_expired(site: SimSite, replayed: Replayed, seen: Seen) -> None:
    region = site.plan.region
    if region.entry_time_to_live_expiration or region.entry_idle_time_expiration:
        left = [key for key, value in sorted(replayed.values.items(), key=str) if value != NO_VALUE]
        told = [f"{key!r} of {ms_of_stamp(replayed.versions[key] >> 8)} ms" for key in left]
        seen.wrong += [f"site {site.plan.dsid} has {each}, which should have expired" for each in told]


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_taken_away_too_much_or_too_little(seed: int) -> None:
    seen = simulate(seed)
    if seen.wrong:
        pytest.fail("\n".join([f"seed {seed}", *seen.story, *seen.wrong[:8]]), pytrace=False)


def test_enough_is_taken_away_to_tell() -> None:
    removed: Counter[int] = Counter()
    lives = 0
    for seed in SEEDS[:6]:
        seen = simulate(seed)
        removed += seen.removed
        lives += seen.lives
    assert min(removed[kind] for kind in (EXPIRED, INVALIDATED, CLEARED)) >= 10
    assert lives > 0


# --- planted bugs


def plant_no_version_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes leaves nothing that its duplicate could be compared with."""
    remove = BucketView._remove

    def forget(self: BucketView, removal: Removal) -> None:
        gone = self.values.keys() if removal.kind == CLEARED else removal.keys if removal.kind == EXPIRED else ()
        for key in list(gone):
            self.versions.pop(key, None)
        remove(self, removal)

    monkeypatch.setattr(BucketView, "_remove", forget)


def plant_removals_are_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What expired while its removal did not reach the log stays."""
    monkeypatch.setattr(expiration, "RETRY_MS", 10**9)


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (plant_no_version_is_kept, "otherwise than its log"),
        (plant_removals_are_not_tried_again, "should have expired"),
    ],
)
def test_a_planted_bug_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    assert any(expected in wrong for seed in range(40) for wrong in simulate(seed).wrong)
