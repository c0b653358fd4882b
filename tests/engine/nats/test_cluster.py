"""Three engines in a cluster, whose primary replicas are killed under appends, followers and the registry."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from heliograph.engine.append import append_settled
from heliograph.engine.nats.conf import ClusterOptions, EngineOptions
from heliograph.engine.nats.engine import NatsEngine, connect_engine
from heliograph.engine.nats.lifetime import free_port
from heliograph.engine.nats.log import NatsLog
from heliograph.engine.nats.server import PrivateEngine
from heliograph.engine.nats.transfer import Extent
from heliograph.engine.patience import patiently
from heliograph.errors import ConflictError, UnavailableError
from heliograph.model.ids import NO_SEQ, Seq
from tests.engine.worlds import background

SUBJECTS = [f"log.DEFAULT.region.0.{bucket}" for bucket in range(4)]
KILLS = 2
PATIENCE_S = 60.0


def in_a_cluster(directory: Path, scenario: Callable[[list[PrivateEngine]], Awaitable[None]]) -> None:
    async def main() -> None:
        ports = [free_port("127.0.0.1", 0) for _ in range(3)]
        routes = tuple(f"127.0.0.1:{port}" for port in ports)
        engines = [
            PrivateEngine(
                directory / str(number),
                EngineOptions(cluster=ClusterOptions("site", f"l{number}", port, routes, "shared")),
            )
            for number, port in enumerate(ports)
        ]
        try:
            await asyncio.gather(*(engine.start() for engine in engines))
            await scenario(engines)
        finally:
            await asyncio.gather(*(engine.stop() for engine in engines))

    asyncio.run(main())


async def primary_of(client: NatsEngine, stream: str) -> int:
    """Return the number of the engine that has a stream's primary replica."""
    for info in await client.streams():
        if info.config.name == stream and info.cluster is not None and info.cluster.leader:
            return int(info.cluster.leader.removeprefix("l"))
    raise UnavailableError(f"{stream} has no primary replica")


class Writer:
    """Appends to one subject, each append fenced by the one before."""

    def __init__(self, log: NatsLog, subject: str) -> None:
        self.subject = subject
        self.written: list[tuple[Seq, str]] = []
        self._log = log

    async def run(self) -> None:
        last = NO_SEQ
        number = 0
        while True:
            batch_id = f"{self.subject}.{number}"
            last = await append_settled(
                self._log, self.subject, b"x" * 500, expected=last, batch_id=batch_id, deadline_s=PATIENCE_S
            )
            self.written.append((last, batch_id))
            number += 1


def test_nothing_is_lost_or_shown_twice_when_primary_replicas_die(tmp_path: Path) -> None:
    async def scenario(engines: list[PrivateEngine]) -> None:
        urls = [engine.url for engine in engines]
        client = await patiently(lambda: connect_engine(",".join(urls)))
        log = await patiently(lambda: client.open_log("DEFAULT", replicas=3))
        registry = await patiently(lambda: client.open_registry("site", replicas=3))
        writers = [Writer(log, subject) for subject in SUBJECTS]
        shown: list[tuple[Seq, str]] = []
        counts: list[int] = []

        async def follow() -> None:
            async for entries in log.follow(SUBJECTS, after=NO_SEQ):
                shown.extend((entry.seq, entry.batch_id) for entry in entries)

        async def count() -> None:
            """Count in one entry; an answer that is lost is looked up."""
            revision = await patiently(lambda: registry.put("counter", b"0"))
            while True:
                wanted = str(len(counts) + 1).encode()
                try:
                    revision = await registry.update("counter", wanted, revision=revision)
                except UnavailableError:
                    await asyncio.sleep(0.1)
                    continue
                except ConflictError:
                    item = await patiently(lambda: registry.get("counter"))
                    assert item is not None
                    revision = item.revision
                    if item.value != wanted:
                        assert item.value == str(len(counts)).encode()
                        continue
                counts.append(len(counts) + 1)
                await asyncio.sleep(0.02)

        async def progress() -> None:
            before = [len(writer.written) for writer in writers], len(counts)
            async with asyncio.timeout(PATIENCE_S):
                while len(counts) < before[1] + 5 or any(  # noqa: ASYNC110
                    len(writer.written) < old + 20 for writer, old in zip(writers, before[0], strict=True)
                ):
                    await asyncio.sleep(0.05)

        async with background(follow(), count(), *(writer.run() for writer in writers)):
            await progress()
            for stream in ["LOG_DEFAULT", "KV_site"] * (KILLS // 2):
                victim = await patiently(lambda stream=stream: primary_of(client, stream))  # type: ignore[misc]
                os.kill(engines[victim].pid, signal.SIGKILL)
                await progress()
        written = sorted(entry for writer in writers for entry in writer.written)

        async def held_now() -> list[tuple[Seq, str]]:
            found = [entry async for entries in log.read(SUBJECTS, after=NO_SEQ) for entry in entries]
            return [(entry.seq, entry.batch_id) for entry in found]

        held = await patiently(held_now)  # a reading may be interrupted by the last kill
        assert set(written) <= set(held)
        assert len(held) - len(written) <= len(SUBJECTS)  # those under way when the writers were stopped
        assert shown == held[: len(shown)]
        assert len({batch for _, batch in held}) == len(held)
        await client.close()

    in_a_cluster(tmp_path, scenario)


def test_a_copy_counts_when_each_of_three_replicas_holds_it(tmp_path: Path) -> None:
    async def scenario(engines: list[PrivateEngine]) -> None:
        single = PrivateEngine(tmp_path / "single")
        await single.start()
        old = await connect_engine(single.url)
        new = await patiently(lambda: connect_engine(",".join(engine.url for engine in engines)))
        log = await old.open_log("DEFAULT")
        last = NO_SEQ
        for number in range(50):
            last = await append_settled(
                log, SUBJECTS[0], b"x" * 20_000, expected=last, batch_id=f"b{number}", deadline_s=PATIENCE_S
            )
        await log.truncate(SUBJECTS[0], below=Seq(10))
        await old.open_blobs("empty")
        for name in ("LOG_DEFAULT", "OBJ_empty"):
            assert not await patiently(lambda name=name: new.holds(name))  # type: ignore[misc]
            extent = await old.copy_stream_to(new, name)
            await patiently(lambda name=name: new.raise_replicas_of(name, 3))  # type: ignore[misc]
            await new.check_copies(name, extent, 3)
            assert await patiently(lambda name=name: new.holds(name))  # type: ignore[misc]
        with pytest.raises(UnavailableError, match="holds another LOG_DEFAULT"):
            await new.check_copies("LOG_DEFAULT", Extent(first_seq=10, last_seq=51, messages=42), 3)
        copy = await patiently(lambda: new.open_log("DEFAULT", replicas=3))
        seq = await append_settled(copy, SUBJECTS[0], b"y", expected=last, batch_id="next", deadline_s=PATIENCE_S)
        assert seq == last + 1
        await old.close()
        await new.close()
        await single.stop()

    in_a_cluster(tmp_path, scenario)
