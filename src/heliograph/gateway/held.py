"""A record as a gateway sender's queue holds it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from heliograph.model.batch import Part
from heliograph.model.ids import Seq
from heliograph.model.keys import Key

HELD_BYTES = 512
"""What holding a record costs beside its columns, near enough."""


class Held(msgspec.Struct, gc=False):
    """A record in the window: only those of its parts that are for the remote site.

    count: events to ship, 0 when there are none. size: bytes that it takes. arrived_ms: when it came, for
    `batch-time-interval`. skipped, filtered: its other events, by who kept them back. undecided: filters could not
    decide on it yet. The rest is for conflation alone (see that module): the keys that it updates, those of them that a
    later record updates again, how many events it made superfluous, and whether it is on its way.
    """

    seq: Seq
    parts: tuple[Part, ...]
    count: int
    size: int
    arrived_ms: int
    skipped: int = 0
    filtered: int = 0
    undecided: bool = False
    updates: Sequence[Key] = ()
    superseded: set[Key] | None = None
    absorbed: int = 0
    sent: bool = False
