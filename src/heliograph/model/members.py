"""What a site knows about itself and others: members, receivers, placement, what runs where."""

from __future__ import annotations

from typing import Literal

import msgspec

from heliograph.model.ids import Address

MemberKind = Literal["locator", "server"]


class ReceiverInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A running gateway receiver as its site advertises it.

    address: where senders connect (`hostname-for-senders` when given); port: where it listens.
    links: of gateway senders that it has, moments ago.
    """

    member: str
    address: Address
    port: int
    bind_address: str = ""
    links: int = 0


class MemberInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A live member. It stands in the registry under `members.<name>` with a time to live.

    incarnation: differs every time the name is started again.
    joined_ms: when it joined, ms since the Unix epoch, as its own clock says.
    order: of its joining, as the registry counts; age decides who is oldest, whatever the clocks say.
    address: where other members and thin clients reach it.
    redundancy_zone: no two copies of a bucket are on servers of one zone; "" is a zone of its own.
    leaving: it stops in order, and serves until others have taken over its primaries.
    """

    name: str
    kind: MemberKind
    incarnation: str
    joined_ms: int
    address: Address
    pid: int
    groups: tuple[str, ...] = ()
    receiver: ReceiverInfo | None = None
    running_senders: tuple[str, ...] = ()
    redundancy_zone: str = ""
    leaving: bool = False
    order: int = 0

    @property
    def id(self) -> str:
        """The text that names a member and its process."""
        return f"{self.address.host}({self.name}:{self.pid}:{self.kind}):{self.address.port}"

    @property
    def age(self) -> tuple[int, int, str]:
        """Sort key: the oldest member is the smallest."""
        return (self.order, self.joined_ms, self.name)


class BucketPlacement(msgspec.Struct, frozen=True, array_like=True):
    """Who holds a bucket: the member that should be primary ("" when nobody can) and the redundant copies.

    loading: members that have been given a copy and are not known to have loaded it; nothing is moved to them yet.
    """

    primary: str
    secondaries: tuple[str, ...] = ()
    loading: tuple[str, ...] = ()

    @property
    def holders(self) -> tuple[str, ...]:
        """Every member that has a copy, or is loading one."""
        return (*((self.primary,) if self.primary else ()), *self.secondaries, *self.loading)


Buckets = tuple[BucketPlacement, ...]


class RegionPlacement(msgspec.Struct, frozen=True):
    """Placement of a region and those that are colocated with it, in the registry under `placement.<region>`.

    buckets: where each one is now. goal: where each one is on its way to, empty when all are there.
    """

    region: str
    buckets: Buckets
    goal: Buckets = ()
