"""Starting a daemon: spawn it, wait until it says that it is ready, or pass on why it is not.

gfsh ── spawn ──> heliograph.gfsh.daemon ── fork, then exit     (so that nobody has to reap the daemon)
 │ stdin: DaemonConfig          └──> the daemon ── pipe: Spawned, then Ready | Refused
 └─── reads the pipe until Ready, Refused, its end, or `DaemonConfig.start_timeout_s`
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from heliograph.errors import UnavailableError, UsageError
from heliograph.gfsh.processes import (
    DAEMON_MODULE,
    ProcessState,
    kill_tree,
    process_of,
    read_state,
    remove_files,
)
from heliograph.model.members import MemberKind

START_TIMEOUT_S = 60.0
_KILL_TIMEOUT_S = 10.0
_LOG_TAIL_LINES = 10
_PATH = "PYTHONPATH"


class DaemonConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a daemon is told on its standard input.

    ready_fd: the pipe on which it reports. options: of the locator (`LocatorConfig`) or the server (`CacheOptions`).
    waits_s: how long it may wait for a locator besides.
    """

    kind: MemberKind
    name: str
    directory: str
    ready_fd: int
    options: dict[str, Any]
    waits_s: float = 0.0

    @property
    def start_timeout_s(self) -> float:
        """How long it may take until it is ready."""
        return START_TIMEOUT_S + self.waits_s

    @property
    def log_file(self) -> Path:
        """Where the daemon's output goes."""
        return Path(self.directory) / f"{self.name}.log"


class Report(msgspec.Struct, frozen=True, tag=True):
    """Base of what a daemon tells the command that starts it; one JSON object a line."""


class Spawned(Report, frozen=True):
    """The daemon runs and begins to start."""

    pid: int


class Ready(Report, frozen=True):
    """The daemon answers; its state file is complete."""


class Refused(Report, frozen=True):
    """The daemon could not start, and ends."""

    reason: str


_decode_report = msgspec.json.Decoder(Spawned | Ready | Refused).decode


def start(
    kind: MemberKind,
    name: str,
    directory: Path,
    options: dict[str, Any],
    waits_s: float = 0.0,
    classpath: Sequence[str] = (),
) -> ProcessState:
    """Start a daemon and return its state when it is ready. classpath: where it finds modules before anywhere else.

    Raises UsageError when one runs in the directory already, UnavailableError with the daemon's own words when it
    could not start or was not ready within `start_timeout_s`; then nothing is left running.
    """
    directory.mkdir(parents=True, exist_ok=True)
    _clear_stale(directory, kind)
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        try:
            config = DaemonConfig(
                kind=kind,
                name=name,
                directory=str(directory.resolve()),
                ready_fd=writing,
                options=options,
                waits_s=waits_s,
            )
            log_start = _spawn(config, classpath)
        finally:
            os.close(writing)
        _await_ready(pipe.fileno(), config, log_start)
    state = read_state(directory, kind)
    if state is None:
        raise UnavailableError(f"{kind} {name} ended as soon as it was ready: see {config.log_file}")
    return state


def _clear_stale(directory: Path, kind: MemberKind) -> None:
    """Remove what a daemon left whose process is gone, or is another program now."""
    state = read_state(directory, kind)
    if state is None:
        return
    if process_of(state) is not None:
        raise UsageError(
            f"{kind} {state.name} runs already in {directory} (process {state.pid}): stop it or use another --dir"
        )
    remove_files(directory, state)


def _spawn(config: DaemonConfig, classpath: Sequence[str]) -> int:
    """Start the daemon and return where in the log file its output begins."""
    inherited = os.environ.get(_PATH)
    path = os.pathsep.join([*classpath, *([inherited] if inherited else [])])
    with config.log_file.open("ab") as log:
        log_start = log.tell()
        try:
            subprocess.run(  # noqa: S603  (our own module, and no argument comes from outside)
                [sys.executable, "-P", "-m", DAEMON_MODULE, config.kind],
                input=msgspec.json.encode(config),
                stdout=log,
                stderr=log,
                cwd=config.directory,
                env={**os.environ, _PATH: path},
                start_new_session=True,  # a Ctrl-C in the shell is not for the daemon
                pass_fds=(config.ready_fd,),
                check=False,  # one that fails has written no report: its words are in the log
                timeout=START_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as exc:
            raise UnavailableError(f"{config.kind} {config.name} did not begin within {START_TIMEOUT_S:g} s") from exc
    return log_start


def _await_ready(pipe_fd: int, config: DaemonConfig, log_start: int) -> None:
    """Return when the daemon is ready; otherwise see to it that it is gone, and raise."""
    pid: int | None = None
    try:
        for report in _reports(pipe_fd, config.start_timeout_s):
            if isinstance(report, Ready):
                return
            if isinstance(report, Spawned):
                pid = report.pid
            else:
                raise UnavailableError(
                    f"{config.kind} {config.name} could not start: {report.reason} (log: {config.log_file})"
                )
        words = config.log_file.read_bytes()[log_start:].decode(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        raise UnavailableError("\n".join([f"{config.kind} {config.name} ended while it started:", *words]))
    except BaseException:  # also when the user interrupts the waiting
        if pid is not None:
            kill_tree(pid, timeout_s=_KILL_TIMEOUT_S)
        raise


def _reports(pipe_fd: int, timeout_s: float) -> Iterator[Spawned | Ready | Refused]:
    """Yield the daemon's reports until the pipe ends. Raises UnavailableError when that takes too long."""
    deadline = time.monotonic() + timeout_s
    buffered = b""
    while True:
        readable, _, _ = select.select([pipe_fd], [], [], max(0.0, deadline - time.monotonic()))
        if not readable:
            raise UnavailableError(f"the daemon was not ready within {timeout_s:g} s, so it was stopped")
        data = os.read(pipe_fd, 65536)
        if not data:
            return
        *lines, buffered = (buffered + data).split(b"\n")
        yield from map(_decode_report, lines)
