"""Streams carried from one engine to another: everything that is numbered stays as it was."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from heliograph.engine.append import append_settled
from heliograph.engine.nats.engine import NatsEngine, connect_engine
from heliograph.engine.nats.server import PrivateEngine
from heliograph.engine.seam import LogEntry
from heliograph.errors import FencedError, UnavailableError
from heliograph.model.ids import NO_SEQ, Seq

ONE, TWO = "log.DEFAULT.r.0.0", "log.DEFAULT.r.0.1"


def between_two(directory: Path, scenario: Callable[[NatsEngine, NatsEngine], Awaitable[None]]) -> None:
    async def main() -> None:
        servers = [PrivateEngine(directory / name) for name in ("old", "new")]
        clients: list[NatsEngine] = []
        try:
            for server in servers:
                await server.start()
                clients.append(await connect_engine(server.url))
            await scenario(clients[0], clients[1])
        finally:
            for client in clients:
                await client.close()
            for server in servers:
                await server.stop()

    asyncio.run(main())


async def write(engine: NatsEngine) -> dict[str, Seq]:
    """Fill a log of several chunks with a gap at its start and one inside; return each subject's last sequence."""
    log = await engine.open_log("DEFAULT")
    last = {ONE: NO_SEQ, TWO: NO_SEQ}
    for number in range(60):
        subject = ONE if number % 3 else TWO
        payload = bytes([number]) * 20_000
        last[subject] = await append_settled(
            log, subject, payload, expected=last[subject], batch_id=f"b{number}", deadline_s=10
        )
    await log.truncate(TWO, below=last[TWO])
    await log.truncate(ONE, below=Seq(20))
    return last


async def entries_of(engine: NatsEngine) -> list[LogEntry]:
    log = await engine.open_log("DEFAULT")
    return [entry async for found in log.read([ONE, TWO], after=NO_SEQ) for entry in found]


def test_a_log_keeps_its_sequences_and_its_fence(tmp_path: Path) -> None:
    async def scenario(old: NatsEngine, new: NatsEngine) -> None:
        last = await write(old)
        extent = await old.copy_stream_to(new, "LOG_DEFAULT")
        found = await entries_of(new)
        assert found == await entries_of(old)
        assert (extent.messages, extent.last_seq) == (len(found), 60)
        log = await new.open_log("DEFAULT")
        with pytest.raises(FencedError):
            await log.append(ONE, b"x", expected=Seq(last[ONE] - 1), batch_id="late")
        assert await log.append(ONE, b"x", expected=last[ONE], batch_id="next") == 61

    between_two(tmp_path, scenario)


def test_registries_and_blobs_are_what_they_were(tmp_path: Path) -> None:
    async def scenario(old: NatsEngine, new: NatsEngine) -> None:
        registry, blobs = await old.open_registry("site"), await old.open_blobs("snapshots-DEFAULT")
        revision = await registry.create("config.region.r", b"v")
        await registry.create("members.m", b"", ttl_s=1)
        await blobs.put("snapshot", b"s" * 300_000)
        for name in ("KV_site", "OBJ_snapshots-DEFAULT"):
            await old.copy_stream_to(new, name)
        copy = await new.open_registry("site")
        item = await copy.get("config.region.r")
        assert item is not None
        assert (item.value, item.revision) == (b"v", revision)
        await copy.update("config.region.r", b"w", revision=revision)
        async with asyncio.timeout(10):
            while await copy.get("members.m") is not None:  # noqa: ASYNC110  (its time to live goes on over there)
                await asyncio.sleep(0.05)
        assert await (await new.open_blobs("snapshots-DEFAULT")).get("snapshot") == b"s" * 300_000

    between_two(tmp_path, scenario)


def test_what_is_there_already_is_not_overwritten(tmp_path: Path) -> None:
    async def scenario(old: NatsEngine, new: NatsEngine) -> None:
        await write(old)
        await new.open_log("DEFAULT")
        with pytest.raises(UnavailableError, match="already in use"):
            await old.copy_stream_to(new, "LOG_DEFAULT")
        assert await entries_of(new) == []
        await new.delete_stream("LOG_DEFAULT")
        await new.delete_stream("LOG_DEFAULT")
        await old.copy_stream_to(new, "LOG_DEFAULT")
        assert await entries_of(new) == await entries_of(old)

    between_two(tmp_path, scenario)
