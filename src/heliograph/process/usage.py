"""What this process takes of its machine."""

from __future__ import annotations

from typing import NamedTuple

import psutil


class Usage(NamedTuple):
    """cpu_ms: processor time since it began, of all threads. resident_bytes: memory that it has now."""

    cpu_ms: int
    resident_bytes: int


def usage() -> Usage:
    """Return what it takes now."""
    process = psutil.Process()
    times = process.cpu_times()
    return Usage(int((times.user + times.system) * 1000), process.memory_info().rss)
