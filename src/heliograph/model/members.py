"""What a site knows about itself and others: members, receivers, placement, what runs where."""

from __future__ import annotations

from typing import Literal

import msgspec

from heliograph.model.ids import Address

MemberKind = Literal["locator", "server"]


class ReceiverInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A running gateway receiver as its site advertises it.

    address: where senders connect (`hostname-for-senders` when given); port: where it listens.
    """

    member: str
    address: Address
    port: int
    bind_address: str = ""


class MemberInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A live member. It stands in the registry under `members.<name>` with a time to live.

    incarnation: differs every time the name is started again.
    joined_ms: when it joined, ms since the Unix epoch by the engine's order; age decides who is oldest.
    address: where other members and thin clients reach it.
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

    @property
    def age(self) -> tuple[int, str]:
        """Sort key: the oldest member is the smallest."""
        return (self.joined_ms, self.name)


class BucketPlacement(msgspec.Struct, frozen=True, array_like=True):
    """Who holds a bucket: the member that should be primary ("" when nobody can) and the redundant copies."""

    primary: str
    secondaries: tuple[str, ...] = ()


class RegionPlacement(msgspec.Struct, frozen=True):
    """Placement of a region, in the registry under `placement.<region>`; one `BucketPlacement` a bucket."""

    region: str
    buckets: tuple[BucketPlacement, ...]
