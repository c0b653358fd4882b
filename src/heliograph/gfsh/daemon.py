"""The daemon's own main program: `python -m heliograph.gfsh.daemon <kind>`, started by `gfsh.launch`.

It forks before any thread or event loop exists, so that its parent can end and nobody has to reap it; claims its
directory; runs the locator or the server; reports on the inherited pipe; and removes its files when it ends.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import msgspec
import psutil

from heliograph.errors import HeliographError
from heliograph.gfsh.launch import DaemonConfig, Ready, Refused, Report, Spawned
from heliograph.gfsh.processes import (
    DAEMON_MODULE,
    ProcessState,
    claim,
    collect_rarely,
    remove_files,
    write_state,
)
from heliograph.model.ids import Address
from heliograph.process.log_lines import LINE_FORMAT

if TYPE_CHECKING:
    from heliograph.api.cache_config import CacheOptions

FILES_MAX = 16_384
"""Open files and connections: room for all links, all strangers of every port, and what the process itself opens."""

OnReady = Callable[[Address, str], None]
"""Called once, with where the process is reached from this machine and its admin API's url ("" when it has none)."""

_log = logging.getLogger(DAEMON_MODULE)


def main() -> None:
    """Become a daemon and run; never returns."""
    config = msgspec.json.decode(sys.stdin.buffer.read(), type=DaemonConfig)
    if os.fork():
        os._exit(0)
    os.set_inheritable(config.ready_fd, False)
    logging.basicConfig(level=logging.INFO, format=LINE_FORMAT)
    raise_file_limit()
    reports = Reports(config.ready_fd)
    reports.send(Spawned(os.getpid()))
    sys.exit(run(config, reports))


def raise_file_limit() -> None:
    """Have room for the connections that a port may hold, as far as the system's hard limit goes.

    Without it many silent connections would use up the usual 1,024, and the links to the engine could not be made.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(FILES_MAX, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Reports:
    """The pipe to the command that waits for this daemon."""

    def __init__(self, pipe_fd: int) -> None:
        self._pipe: IO[bytes] | None = os.fdopen(pipe_fd, "wb", buffering=0)

    def send(self, report: Report) -> None:
        """Tell the command. The first word that is not `Spawned` is the last one: nobody listens afterwards."""
        if self._pipe is None:
            return
        try:
            self._pipe.write(msgspec.json.encode(report) + b"\n")
        except BrokenPipeError:
            _log.warning("nobody waits for this daemon report=%s", report)
        if not isinstance(report, Spawned):
            self._pipe.close()
            self._pipe = None


def run(config: DaemonConfig, reports: Reports) -> int:
    """Run the daemon that `config` describes, and return its exit status."""
    directory = Path(config.directory)
    state = ProcessState(
        kind=config.kind,
        name=config.name,
        pid=os.getpid(),
        created=psutil.Process().create_time(),
        log_file=str(config.log_file),
    )

    def on_ready(address: Address, http_url: str) -> None:
        write_state(directory, msgspec.structs.replace(state, address=address, http_url=http_url))
        reports.send(Ready())
        collect_rarely()
        _log.info("ready kind=%s name=%s address=%s", state.kind, state.name, address)

    try:
        claim(directory, state)
    except HeliographError as exc:
        reports.send(Refused(str(exc)))
        return 1
    failure: str | None = None
    try:
        import uvloop

        uvloop.run(_body(config, on_ready))
    except HeliographError as exc:
        _log.error("failed kind=%s name=%s error=%s", state.kind, state.name, exc)
        failure = str(exc)
    except Exception as exc:
        _log.exception("failed kind=%s name=%s", state.kind, state.name)
        failure = f"{type(exc).__name__}: {exc}"
    finally:
        remove_files(directory, state)  # before the command is told, for it kills what is left of a refused daemon
    if failure is not None:
        reports.send(Refused(failure))
        return 1
    _log.info("ended kind=%s name=%s", state.kind, state.name)
    return 0


def _body(config: DaemonConfig, on_ready: OnReady) -> Coroutine[Any, Any, None]:
    if config.kind == "locator":
        from heliograph.gfsh import locator_daemon

        return locator_daemon.run(config.options, on_ready)
    from heliograph.gfsh import server_daemon

    return server_daemon.run(config.name, cast("CacheOptions", config.options), on_ready)


if __name__ == "__main__":
    main()
