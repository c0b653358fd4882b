"""A process that makes load: a thin client, or an application that embeds a member.

`python -m heliograph.gfsh.bench.worker` reads a `WorkerConfig` as one line of JSON, answers `ready` when it is
connected, puts and gets when it is told `go`, answers with a `WorkerReport`, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import msgspec
import uvloop

from heliograph import aio
from heliograph.errors import HeliographError
from heliograph.gfsh.bench.load import KEYS, KeySequence, run_load
from heliograph.gfsh.processes import collect_rarely

if TYPE_CHECKING:
    from heliograph.api.cache_config import CacheOptions

SAMPLES_MAX = 2_000


class WorkerConfig(msgspec.Struct, frozen=True):
    """member: the name of the member to embed; empty for a thin client. clients: their numbers. keys: how many.

    properties: a file that says how the site is reached.
    """

    locator: str
    region: str
    member: str
    clients: list[int]
    operations: int
    put_all: int
    value_size: int
    get_percent: int = 0
    keys: int = KEYS
    properties: str | None = None


class WorkerReport(msgspec.Struct, frozen=True):
    """Begin and end of the load, seconds on the machine's monotonic clock, which all its processes share.

    puts, gets: how long the operations took in microseconds; no more than `SAMPLES_MAX` of each, evenly chosen.
    """

    begin: float
    end: float
    puts: list[int]
    gets: list[int]


async def work(config: WorkerConfig) -> None:
    """Connect, wait for the word, put and get."""
    site: AbstractAsyncContextManager[aio.Cache | aio.Client]
    if config.member:
        options: CacheOptions = {"locators": config.locator}
        if config.properties is not None:
            options["security_properties_file"] = config.properties
        site = aio.Cache(config.member, **options)
    else:
        site = aio.connect(config.locator, security_properties_file=config.properties)
    sequence = KeySequence(config.keys)
    async with site as connected:
        _say("ready")
        if await _line() != "go\n":
            return
        region = connected.region(config.region)
        collect_rarely()
        begin = time.monotonic()
        samples = await run_load(
            region,
            sequence,
            clients=config.clients,
            operations=config.operations,
            put_all=config.put_all,
            value_size=config.value_size,
            get_percent=config.get_percent,
        )
        report = WorkerReport(begin, time.monotonic(), _some(samples.puts), _some(samples.gets))
        _say(msgspec.json.encode(report).decode())
        await _line()


def _some(seconds: list[float]) -> list[int]:
    step = -(-len(seconds) // SAMPLES_MAX) or 1
    return [round(each * 1_000_000) for each in seconds[::step]]


async def _line() -> str:
    return await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run as told on standard input, and return the exit status; when it ends before it says anything, just end."""
    line = sys.stdin.readline()
    if not line:
        return 0
    try:
        uvloop.run(work(msgspec.json.decode(line, type=WorkerConfig)))
    except HeliographError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
