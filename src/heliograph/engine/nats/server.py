"""A site's private engine: a `nats-server` that we start, watch over, restart and take with us when we go.

In its directory stand `nats.conf` and `engine.json` (both mode 0600: they hold the credentials), the JetStream store
and `nats.log`. A restart of the engine, or of us, uses the same port again, so that connections find it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import ssl
from dataclasses import replace
from pathlib import Path

import msgspec

from heliograph.engine.nats.binary import CLUSTER_VERSION_MIN, VERSION_MIN, find_nats_server
from heliograph.engine.nats.conf import LOCATOR_USER, USER, EngineOptions, configuration, locator_password
from heliograph.engine.nats.connection import open_connection
from heliograph.engine.nats.engine import connect_engine
from heliograph.engine.nats.lifetime import (
    STOP_TIMEOUT_S,
    EngineState,
    die_with_parent,
    free_port,
    read_state,
    stop_leftover,
    write_private,
)
from heliograph.engine.nats.session import parse_servers
from heliograph.engine.nats.tls import Contexts
from heliograph.errors import UnavailableError
from heliograph.model.ids import Address

READY_TIMEOUT_S = 30.0
READY_POLL_S = 0.02
RESTART_MIN_S, RESTART_MAX_S = 0.1, 5.0
HEALTHY_S = 10.0
"""An engine that lived for so long is restarted without waiting longer than after the first failure."""

_CONF, _STATE, _LOG = "nats.conf", "engine.json", "nats.log"
_DEFAULTS = EngineOptions()

_log = logging.getLogger(__name__)


class PrivateEngine:
    """Owns one `nats-server`. Use `start` and `stop` once each, from one event loop.

    contexts: how it is connected to, where its options have TLS.
    The engine dies with the thread that called `start` (the kernel watches that one), so its loop must live as long.
    """

    def __init__(self, directory: Path, options: EngineOptions = _DEFAULTS, contexts: Contexts | None = None) -> None:
        self._directory = directory.absolute()
        self._options = options
        self._contexts = contexts
        self._stamp: object = None
        self._state = EngineState(password="", port=0)
        self._process: asyncio.subprocess.Process | None = None
        self._supervision: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where clients connect to, with the credentials: keep it out of logs."""
        return f"{self._scheme}://{USER}:{self._state.password}@{self._endpoint}"

    @property
    def _endpoint(self) -> str:
        return Address(self._options.host, self._state.port).endpoint

    @property
    def _scheme(self) -> str:
        return "nats" if self._options.tls is None else "tls"

    @property
    def password(self) -> str:
        """The password of the members: keep it out of logs."""
        return self._state.password

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        return self._state.port

    @property
    def pid(self) -> int:
        """The process id of the running `nats-server`; another one after a restart."""
        return 0 if self._process is None else self._process.pid

    @property
    def log_file(self) -> Path:
        """The engine's own log."""
        return self._directory / _LOG

    async def start(self) -> None:
        """Start the engine; returns when JetStream answers, or in a cluster when this engine does: JetStream then waits
        for a majority.

        Raises UsageError (no nats-server, the directory is in use) or UnavailableError (it does not come up; the
        message says where its log is).
        """
        minimum = VERSION_MIN if self._options.cluster is None else CLUSTER_VERSION_MIN
        binary = await asyncio.to_thread(find_nats_server, minimum)
        self._directory.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(self._prepare)
        try:
            await self._spawn(binary)
            await self._wait_ready()
        except BaseException:
            await self.stop()
            raise
        self._supervision = asyncio.create_task(self._supervise(binary), name="engine-supervision")
        _log.info("engine_started pid=%d port=%d directory=%s", self.pid, self.port, self._directory)

    async def admit_members(self) -> None:
        """Let the members into a cluster that was closed to them."""
        cluster = self._options.cluster
        if cluster is None or not cluster.closed:
            return
        self._options = replace(self._options, cluster=replace(cluster, closed=False))
        await asyncio.to_thread(self._write_configuration)
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGHUP)  # it reads its configuration again

    async def stop(self) -> None:
        """Stop the engine; what it acknowledged is on disk."""
        if self._supervision is not None:
            self._supervision.cancel()
            await asyncio.wait({self._supervision})
            self._supervision = None
        if self._process is not None:
            await _terminate(self._process)
            _log.info("engine_stopped pid=%d", self._process.pid)
            self._process = None
            self._state.pid = self._state.owner = 0
            write_private(self._directory / _STATE, msgspec.json.encode(self._state))

    def _prepare(self) -> None:
        """Stop a leftover, settle the password and the port, and write the configuration."""
        state = self._directory / _STATE
        before = read_state(state)
        if before is not None:
            stop_leftover(before, self._directory / _CONF)
        cluster = self._options.cluster
        password = cluster.password if cluster else before.password if before else secrets.token_urlsafe(24)
        port = self._options.port or free_port(self._options.host, before.port if before else 0)
        self._state = EngineState(password=password, port=port)
        write_private(state, msgspec.json.encode(self._state))
        self._write_configuration()

    async def tend(self) -> None:
        """Have the engine use certificates that were renewed. Raises UsageError where they can't be used."""
        if self._options.tls is not None and await asyncio.to_thread(self._renewed):
            await asyncio.to_thread(self._options.tls.write_copies, self._directory)
            if self._process is not None and self._process.returncode is None:
                self._process.send_signal(signal.SIGHUP)
            _log.info("engine certificates renewed directory=%s", self._directory)

    def _renewed(self) -> bool:
        """Say whether the operator's files are others than at the last look."""
        if self._options.tls is None:
            return False
        try:
            stamp = self._options.tls.stamp()
        except OSError as exc:
            stamp = ((exc.errno or 0, 0),)
        before, self._stamp = self._stamp, stamp
        return before != stamp

    def _write_configuration(self) -> None:
        if self._options.tls is not None and self._renewed():
            self._options.tls.write_copies(self._directory)
        conf = configuration(self._directory, self._options, self._state.port, self._state.password)
        write_private(self._directory / _CONF, conf.encode())

    async def _spawn(self, binary: Path) -> None:
        with self.log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(binary), "-c", str(self._directory / _CONF),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent(),
            )  # fmt: skip
        self._state.pid, self._state.owner = self._process.pid, os.getpid()
        write_private(self._directory / _STATE, msgspec.json.encode(self._state))

    async def _wait_ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + READY_TIMEOUT_S
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    await self._try()
                return
            except (UnavailableError, TimeoutError) as exc:
                if asyncio.get_running_loop().time() + READY_POLL_S >= deadline:
                    message = f"the engine did not come up within {READY_TIMEOUT_S:g} s: see {self.log_file}"
                    raise UnavailableError(message) from exc
            if self._process is not None and self._process.returncode is not None:
                raise UnavailableError(f"nats-server exited ({self._process.returncode}): see {self.log_file}")
            await asyncio.sleep(READY_POLL_S)

    async def _try(self) -> None:
        """Connect. Raises UnavailableError."""
        cluster = self._options.cluster
        if cluster is None:
            await (await connect_engine(self.url, contexts=self._contexts)).close()
        else:
            login = f"{LOCATOR_USER}:{locator_password(cluster.password)}"
            url = f"{self._scheme}://{login}@{self._endpoint}"
            contexts = self._contexts or ssl.create_default_context
            await (await open_connection(parse_servers(url, "starting"), contexts)).close()

    async def _supervise(self, binary: Path) -> None:
        loop = asyncio.get_running_loop()
        delay_s = RESTART_MIN_S
        while self._process is not None:
            started = loop.time()
            status = await self._process.wait()
            if loop.time() - started > HEALTHY_S:
                delay_s = RESTART_MIN_S
            _log.error("engine_died pid=%d status=%d restart_s=%g", self._process.pid, status, delay_s)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RESTART_MAX_S)
            try:
                await self._spawn(binary)
            except OSError as exc:
                _log.error("engine_restart_failed reason=%s", exc)  # the dead process is waited for again at once
            else:
                _log.info("engine_restarted pid=%d port=%d", self.pid, self.port)


async def _terminate(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        _log.warning("engine_killed pid=%d reason=did not stop within %g s", process.pid, STOP_TIMEOUT_S)
        process.kill()
        await process.wait()
