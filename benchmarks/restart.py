"""How long a server takes to come back with many entries, after `kill -9`.

    python benchmarks/restart.py [--entries=1000000] [--value-size=100] [--json]

One locator with its engine and one server, in real processes on loopback; a thin client puts the entries by put_alls of
1,000. The server is killed and started again: `restart_seconds` is the time of its `start server` command, which
returns when its copies are loaded. Every entry is counted afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

import heliograph
from heliograph.gfsh.local_sites import free_ports
from heliograph.model.keys import Key

BATCH = 1_000
HELIO = str(Path(sys.executable).with_name("helio"))


def helio(*arguments: str) -> float:
    """Run a command and return the seconds it took. Raises CalledProcessError."""
    begin = time.monotonic()
    subprocess.run([HELIO, *arguments], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    return time.monotonic() - begin


def put(locator: str, entries: int, value_size: int) -> float:
    """Put the entries and return the seconds it took."""
    begin = time.monotonic()
    with heliograph.connect(locator) as client:
        region = client.region("bench")
        for start in range(0, entries, BATCH):
            some: dict[Key, bytes] = {
                b"flight:%d" % number: os.urandom(value_size) for number in range(start, min(start + BATCH, entries))
            }
            region.put_all(some)
    return time.monotonic() - begin


def size(locator: str) -> int:
    """Count the entries."""
    with heliograph.connect(locator) as client:
        return len(client.region("bench"))


def run(directory: Path, entries: int, value_size: int) -> dict[str, float]:
    """Fill a server, kill it, start it again, and return the figures."""
    port = free_ports(1)
    locator = f"127.0.0.1[{port}]"
    places = {name: f"--dir={directory / name}" for name in ("locator", "server")}
    server = ("start", "server", "--name=server", places["server"], f"--locators={locator}", "--server-port=0")
    helio("start", "locator", "--name=locator", places["locator"], f"--port={port}", "--http-service-port=0")
    try:
        helio(*server)
        helio("-e", f"connect --locator={locator}", "-e", "create region --name=bench --type=PARTITION_PERSISTENT")
        put_s = put(locator, entries, value_size)
        process = psutil.Process(int((directory / "server" / "server.pid").read_text()))
        rss = process.memory_info().rss
        process.send_signal(signal.SIGKILL)
        process.wait()
        restart_s = helio(*server)
        figures = {"entries": entries, "put_seconds": round(put_s, 1), "restart_seconds": round(restart_s, 1)}
        figures |= {"rss_mb": round(rss / 1e6), "entries_after": size(locator)}
    finally:
        for kind in ("server", "locator"):
            helio("stop", kind, places[kind])
    return figures


def main() -> None:
    """Run, and print the figures."""
    parser = argparse.ArgumentParser(description="time the restart of a server after kill -9")
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--value-size", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        figures = run(Path(directory), options.entries, options.value_size)
    lines = (f"{name:<16}{value:>12,}" for name, value in figures.items())
    sys.stdout.write((json.dumps(figures) if options.json else "\n".join(lines)) + "\n")


if __name__ == "__main__":
    main()
