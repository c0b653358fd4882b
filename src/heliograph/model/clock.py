"""The hybrid logical clock: 48 bits of milliseconds, 16 bits of counter, one integer.

A stamp grows with every event of a bucket and never falls behind a stamp the bucket has seen, wherever it was drawn
(Kulkarni et al., "Logical Physical Clocks", 2014; architecture §3). Counter overflow carries into the milliseconds,
which keeps stamps unique and ordered.
"""

from __future__ import annotations

from typing import NewType

Stamp = NewType("Stamp", int)
"""A hybrid logical timestamp, 64 bits."""
Version = NewType("Version", int)
"""A stamp and the dsid of birth as one comparable integer: `stamp << 8 | dsid`. Greater wins (architecture §3)."""

COUNTER_BITS = 16
SITE_BITS = 8
VERSION_STEP = 1 << SITE_BITS


def stamp_of_ms(now_ms: int) -> Stamp:
    """Return the first stamp of a millisecond."""
    return Stamp(now_ms << COUNTER_BITS)


def ms_of_stamp(stamp: int) -> int:
    """Return the milliseconds since the Unix epoch of a stamp."""
    return stamp >> COUNTER_BITS


def version_of(stamp: int, site: int) -> Version:
    """Return the version of an event drawn at `stamp` and born at `site`."""
    return Version(stamp << SITE_BITS | site)


def next_stamp(latest: int, now_ms: int) -> Stamp:
    """Return the next stamp of a bucket whose newest one is `latest`."""
    return Stamp(max(stamp_of_ms(now_ms), latest + 1))
