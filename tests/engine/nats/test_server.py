"""The private engine: real `nats-server` processes, killed in every way."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import httpx
import msgspec
import psutil
import pytest

from heliograph.engine.append import append_settled
from heliograph.engine.nats.binary import find_nats_server
from heliograph.engine.nats.conf import ClusterOptions, EngineOptions, configuration
from heliograph.engine.nats.engine import connect_engine
from heliograph.engine.nats.lifetime import EngineState, free_port, stop_leftover
from heliograph.engine.nats.server import PrivateEngine
from heliograph.errors import UnavailableError, UsageError
from heliograph.model.ids import NO_SEQ
from tests.engine.worlds import eventually

T = TypeVar("T")

SUBJECT = "log.DEFAULT.region.0.0"

OWNER = """
import asyncio, sys
from pathlib import Path
from heliograph.engine.nats.server import PrivateEngine

async def main():
    engine = PrivateEngine(Path(sys.argv[1]))
    await engine.start()
    print(engine.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until the engine can be reached."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await ask()
            except UnavailableError:
                await asyncio.sleep(0.02)


def with_engine(
    directory: Path, scenario: Callable[[PrivateEngine], Awaitable[None]], options: EngineOptions | None = None
) -> None:
    async def main() -> None:
        engine = PrivateEngine(directory, options or EngineOptions())
        await engine.start()
        try:
            await scenario(engine)
        finally:
            await engine.stop()

    asyncio.run(main())


def test_it_keeps_data_password_and_port_and_hides_the_password(tmp_path: Path) -> None:
    urls: list[str] = []

    async def scenario(engine: PrivateEngine) -> None:
        urls.append(engine.url)
        password = engine.url.split(":")[2].split("@")[0]
        for name in ("nats.conf", "engine.json"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert password not in " ".join(psutil.Process(engine.pid).cmdline())
        client = await connect_engine(engine.url)
        log = await client.open_log("DEFAULT")
        last = await log.last(SUBJECT)
        assert (last is None) == (len(urls) == 1)
        await log.append(SUBJECT, b"x", expected=last.seq if last else NO_SEQ, batch_id="b")
        await client.close()
        with pytest.raises(UsageError, match="credentials"):
            await connect_engine(f"nats://127.0.0.1:{engine.port}")
        assert "Server is ready" in engine.log_file.read_text()

    with_engine(tmp_path, scenario)
    with_engine(tmp_path, scenario)
    assert urls[0] == urls[1]


def test_killed_it_comes_back_on_the_same_port(tmp_path: Path) -> None:
    async def scenario(engine: PrivateEngine) -> None:
        first_pid, url = engine.pid, engine.url
        os.kill(first_pid, signal.SIGKILL)
        await eventually(lambda: engine.pid not in (0, first_pid))
        assert engine.url == url

        client = await patiently(lambda: connect_engine(url))
        await client.close()

    with_engine(tmp_path, scenario)


def test_stopped_it_is_gone(tmp_path: Path) -> None:
    pids: list[int] = []

    async def scenario(engine: PrivateEngine) -> None:
        pids.append(engine.pid)

    with_engine(tmp_path, scenario)
    assert not psutil.pid_exists(pids[0])
    assert msgspec.json.decode((tmp_path / "engine.json").read_bytes(), type=EngineState).pid == 0


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_it_dies_with_its_owner_even_by_kill_9(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        engine = psutil.Process(pid)
        assert engine.is_running()
        with pytest.raises(UsageError, match=f"process {owner.pid}"):
            asyncio.run(PrivateEngine(tmp_path).start())
        assert engine.is_running()
        owner.kill()
    psutil.wait_procs([engine], timeout=10)
    assert not engine.is_running() or engine.status() == psutil.STATUS_ZOMBIE


def test_a_leftover_is_stopped_and_other_programs_are_not(tmp_path: Path) -> None:
    conf = tmp_path / "nats.conf"
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen([*sleeper, str(conf)]) as leftover, subprocess.Popen(sleeper) as other:
        try:
            stop_leftover(EngineState("", 0, pid=other.pid, owner=1), conf)
            assert other.poll() is None
            stop_leftover(EngineState("", 0, pid=leftover.pid, owner=1), conf)  # its parent is not the owner any more
            assert leftover.poll() is not None
            stop_leftover(EngineState("", 0, pid=leftover.pid, owner=1), conf)
        finally:
            leftover.kill()
            other.kill()


def test_a_damaged_state_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "engine.json").write_text("{")
    with pytest.raises(UsageError, match=r"engine\.json is damaged"):
        asyncio.run(PrivateEngine(tmp_path).start())


def test_an_engine_that_does_not_come_up_is_told_with_its_log(tmp_path: Path) -> None:
    (tmp_path / "jetstream").write_text("in the way of the store")
    engine = PrivateEngine(tmp_path)
    with pytest.raises(UnavailableError, match=r"nats\.log"):
        asyncio.run(engine.start())
    assert engine.pid == 0


@pytest.mark.parametrize("synchronous", [False, True])
def test_disk_synchronous_syncs_always(tmp_path: Path, synchronous: bool) -> None:
    """The engine itself says what it does, and appends are taken."""
    port = free_port("127.0.0.1", 0)
    monitor = free_port("127.0.0.1", 0)
    text = configuration(tmp_path, EngineOptions(disk_synchronous=synchronous), port, "p")
    (tmp_path / "nats.conf").write_text(f'{text}http: "127.0.0.1:{monitor}"\n')

    async def append() -> None:
        client = await patiently(lambda: connect_engine(f"nats://heliograph:p@127.0.0.1:{port}"))
        log = await client.open_log("DEFAULT")
        assert await log.append(SUBJECT, b"x", expected=NO_SEQ, batch_id="b") == 1
        await client.close()

    with subprocess.Popen([find_nats_server(), "-c", tmp_path / "nats.conf"], stderr=subprocess.DEVNULL) as process:
        try:
            asyncio.run(append())
            told = httpx.get(f"http://127.0.0.1:{monitor}/jsz?config=true").json()
        finally:
            process.kill()
    assert bool(told["config"].get("sync_always")) == synchronous


def test_three_engines_form_a_cluster_that_survives_one(tmp_path: Path) -> None:
    ports = [free_port("127.0.0.1", 0) for _ in range(3)]
    routes = tuple(f"127.0.0.1:{port}" for port in ports)

    def options(number: int) -> EngineOptions:
        return EngineOptions(cluster=ClusterOptions("site", f"locator{number}", ports[number], routes, "shared"))

    async def main() -> None:
        engines = [PrivateEngine(tmp_path / str(number), options(number)) for number in range(3)]
        try:
            await asyncio.gather(*(engine.start() for engine in engines))
            urls = ",".join(engine.url for engine in engines)
            client = await patiently(lambda: connect_engine(urls))
            log = await client.open_log("DEFAULT", replicas=3)
            registry = await client.open_registry("site", replicas=3)
            seq = await append_settled(log, SUBJECT, b"x", expected=NO_SEQ, batch_id="b1", deadline_s=20)
            assert client.nodes == 3
            await patiently(lambda: client.open_log("more"))
            await client._context.add_stream(name="theirs", subjects=["theirs"])
            await patiently(lambda: client.open_blobs("blobs"))
            ours = ["KV_site", "LOG_DEFAULT", "LOG_more", "OBJ_blobs"]

            async def raised() -> list[str]:
                """What is missing in a list has no primary replica yet: it is raised by the next look."""
                await client.raise_replicas(3)
                return sorted(
                    info.config.name or "" for info in await client.streams() if info.config.num_replicas == 3
                )

            async with asyncio.timeout(20):
                while await patiently(raised) != ours:  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
            await patiently(lambda: client.open_log("more"))  # who asks for fewer does not get fewer
            assert await patiently(raised) == ours
            assert await patiently(lambda: client.holds("theirs"))
            assert not await patiently(lambda: client.holds("nobody's"))
            revision = await registry.create("leases.sender.s", b"me")
            await engines[0].stop()
            seq = await append_settled(log, SUBJECT, b"y", expected=seq, batch_id="b2", deadline_s=20)
            await patiently(lambda: registry.update("leases.sender.s", b"still me", revision=revision))
            item = await registry.get("leases.sender.s")
            assert item is not None
            assert item.value == b"still me"

            async def batches() -> list[str]:
                """A read that another engine has to take over is interrupted."""
                return [entry.batch_id async for some in log.read([SUBJECT], after=NO_SEQ) for entry in some]

            assert await patiently(batches) == ["b1", "b2"]
            await client.close()
        finally:
            await asyncio.gather(*(engine.stop() for engine in engines))

    asyncio.run(main())
