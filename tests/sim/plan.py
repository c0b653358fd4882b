"""What one seed draws: sites and the ways between them, members, the region, the clients."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from heliograph.model.attributes import GatewaySenderAttributes, RegionAttributes
from tests.history.workload import Mix

REGION = "r"
TOPOLOGIES: dict[str, dict[int, tuple[int, ...]]] = {
    "alone": {1: ()},
    "pair": {1: (2,), 2: (1,)},
    "mesh": {1: (2, 3), 2: (1, 3), 3: (1, 2)},
    "ring": {1: (2,), 2: (3,), 3: (1,)},
    "star": {1: (2, 3), 2: (1,), 3: (1,)},
}
"""Site -> the sites that its gateway senders lead to; in each an event reaches every site."""
WEIGHTS = {"alone": 6, "pair": 4, "mesh": 2, "ring": 2, "star": 2}
KINDS = ("REPLICATE_PERSISTENT", "PARTITION_PERSISTENT", *["PARTITION_REDUNDANT_PERSISTENT"] * 2)
"""Sites lose all their members at once, and with them what is not persistent: see `tests.sim.test_lifecycle`."""
MEMBERS_OF_ALL_MAX = 6
CLOCK_AHEAD_MS_MAX = 3_000
MIXES = (Mix(), Mix(pause_s=0.2), Mix(once=0, put=1, change=80, conditions=(12, 0, 1, 1, 0)))
"""The last one is of operations that are mostly turned down."""
THIN_TIMEOUTS_S = (3.0, 15.0, 30.0)
MOVING, ZONED = 0.5, 0.3
"""In so many runs buckets move: members join late, and operators rebalance; of their sites so many have zones."""


@dataclass(frozen=True)
class SitePlan:
    """One site.

    clocks_ms: how far ahead each host's clock is, the locator's first. thin_clients: how long each waits for an answer.
    late: so many of the members, the last ones, join while clients work. zones: of the members, for redundancy. groups:
    of the members; where the region has some, only those in them hold it.
    """

    dsid: int
    members: int
    region: RegionAttributes
    senders: tuple[GatewaySenderAttributes, ...]
    clocks_ms: tuple[int, ...]
    thin_clients: tuple[float, ...] = ()
    late: int = 0
    zones: tuple[str, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()

    @property
    def redundant_copies(self) -> int:
        """Of every bucket, when all members are there."""
        everybody = enumerate(self.groups or ((),) * self.members)
        holders = [
            number for number, groups in everybody if not self.region.groups or {*groups} & {*self.region.groups}
        ]
        if self.region.replicated:
            return len(holders) - 1
        zones = self.zones or ("",) * self.members
        apart = {zones[number] or str(number) for number in holders}
        return min(self.region.copies, len(apart) - 1)


@dataclass(frozen=True)
class Plan:
    """One run.

    latency_s: of the network within a site, and between sites, one way. rebalances: how often somebody asks for one.
    site_faults: how often something befalls a whole site, or what leads from one to another.
    """

    topology: str
    sites: tuple[SitePlan, ...]
    latency_s: tuple[float, float]
    clients_per_member: int
    mix: Mix
    faults: int
    rebalances: int = 0
    site_faults: int = 0

    def __str__(self) -> str:
        members = "+".join(
            f"{site.members - site.late}{f'({site.late} late)' * bool(site.late)}" for site in self.sites
        )
        region = self.sites[0].region
        kinds = {"parallel" if sender.parallel else "serial" for site in self.sites for sender in site.senders}
        return f"{self.topology} of {members} members, {region.type}, {' and '.join(sorted(kinds)) or 'no'} senders"


def draw_plan(rng: random.Random) -> Plan:
    """Draw a run."""
    moving = beside(rng)
    topology = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    ways = TOPOLOGIES[topology]
    kind = rng.choice(KINDS)
    buckets = [rng.choice((1, 2, 4))] * len(ways)
    if rng.random() < 0.2:
        buckets = [rng.choice((1, 2, 3)) for _ in ways]
    members_max = min(3, MEMBERS_OF_ALL_MAX // len(ways))
    plan = Plan(
        topology=topology,
        sites=tuple(
            draw_site(rng, dsid, remote, kind, count, rng.randint(1, members_max))
            for (dsid, remote), count in zip(ways.items(), buckets, strict=True)
        ),
        latency_s=(rng.uniform(0.0001, 0.002), rng.uniform(0.001, 0.08)),
        clients_per_member=rng.randint(1, 2),
        mix=rng.choice(MIXES),
        faults=rng.randint(3, 7),
    )
    return with_moves(plan, moving) if moving.random() < MOVING else plan


def beside(rng: random.Random) -> random.Random:
    """Return another generator, which `rng` does not notice: what is drawn from it changes nothing else."""
    other = random.Random()
    other.setstate(rng.getstate())
    return random.Random(other.getrandbits(64))


def with_moves(plan: Plan, rng: random.Random) -> Plan:
    """Have members join late, zones for redundancy, and rebalances."""
    sites = tuple(
        replace(
            site,
            late=rng.randint(0, site.members - 1),
            zones=tuple(rng.choice(("", "north", "south")) for _ in range(site.members)) * (rng.random() < ZONED),
        )
        for site in plan.sites
    )
    return replace(plan, sites=sites, rebalances=rng.randint(0, 3))


def draw_site(
    rng: random.Random, dsid: int, remote: tuple[int, ...], kind: str, buckets: int, members: int
) -> SitePlan:
    senders = tuple(
        GatewaySenderAttributes(
            id=f"to-{other}",
            remote_distributed_system_id=other,
            enable_persistence=True,
            parallel=not kind.startswith("REPLICATE") and rng.random() < 0.6,
            dispatcher_threads=rng.randint(1, 2),
            batch_size=rng.choice((1, 5, 100)),
            batch_time_interval=rng.choice((0, 0, 50)),
        )
        for other in remote
    )
    region = RegionAttributes(
        name=REGION,
        type=kind,
        total_num_buckets=buckets,
        gateway_sender_ids=tuple(sender.id for sender in senders),
    )
    clocks = tuple(rng.randint(-CLOCK_AHEAD_MS_MAX, CLOCK_AHEAD_MS_MAX) for _ in range(members + 1))
    thin_clients = tuple(rng.choice(THIN_TIMEOUTS_S) for _ in range(rng.randint(1, 2)))
    return SitePlan(dsid, members, region, senders, clocks, thin_clients)
