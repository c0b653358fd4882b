"""What a gateway sender needs of its member."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from typing import NamedTuple, Protocol

from heliograph.engine.seam import Log, Registry
from heliograph.link.messages import Receivers
from heliograph.model.routing import Routing
from heliograph.net.identity import Introduction
from heliograph.net.seam import Clock, Network


def monotonic_ms() -> int:
    """Return the milliseconds of the event loop's clock: for what only measures, as the wall clock may be set."""
    return int(asyncio.get_running_loop().time() * 1000)


class SerialBucket(NamedTuple):
    """A bucket that a serial sender ships.

    hosted: a copy here offers its records.
    """

    region: str
    bucket: int
    hosted: bool


class SenderHost(Protocol):
    """A member, as its gateway senders see it. `dsid` is this site's. introduction: to gateway receivers."""

    name: str
    dsid: int
    network: Network
    introduction: Introduction
    rng: random.Random
    registry: Registry

    @property
    def clock(self) -> Clock:
        """The wall clock."""
        ...

    def fail(self, error: BaseException, /) -> None:
        """Stop the member: a task that should live as long as the sender has failed."""
        ...

    def log_of(self, region: str) -> Log:
        """Return the log that a region's buckets are in: that of its disk store. Raises RegionNotFoundError."""
        ...

    def subject(self, region: str, bucket: int) -> str:
        """Return the subject of a bucket's log. Raises RegionNotFoundError."""
        ...

    def generation(self, region: str) -> int:
        """Return how many regions of that name were destroyed before. Raises RegionNotFoundError."""
        ...

    def routing(self, region: str) -> Routing:
        """Return how a region's keys find their buckets. Raises RegionNotFoundError."""
        ...

    def remote_dsids(self, region: str) -> frozenset[int]:
        """Return the sites that the region's gateway senders lead to. Raises RegionNotFoundError."""
        ...

    def recipients(self, region: str, *, parallel: bool) -> frozenset[int]:
        """Return those of them that events leave for: not those whose senders are stopped. Raises RegionNotFoundError.

        parallel: asked by a parallel sender, which ships what this member is primary of; else of all buckets.
        """
        ...

    def serial_buckets(self, sender: str) -> list[SerialBucket]:
        """Return every bucket of every region that lists a serial sender."""
        ...

    def find_receivers(self, dsid: int, /) -> Awaitable[Receivers]:
        """Ask this site's locators for the receivers of a site. Raises UnavailableError."""
        ...
