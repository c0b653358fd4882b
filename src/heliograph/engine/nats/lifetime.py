"""Tying a `nats-server` to the process that started it, and what one directory keeps from engine to engine."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil

from heliograph.errors import UsageError
from heliograph.model.decoding import MALFORMED
from heliograph.net.listening import resolve

STOP_TIMEOUT_S = 10.0

_PR_SET_PDEATHSIG = 1

_log = logging.getLogger(__name__)


class EngineState(msgspec.Struct):
    """What a directory keeps from one engine to the next. pid, owner: 0 when no engine was left running."""

    password: str
    port: int
    pid: int = 0
    owner: int = 0


def read_state(path: Path) -> EngineState | None:
    """Return what the directory's last engine left. Raises UsageError when the file is damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=EngineState)
    except FileNotFoundError:
        return None
    except MALFORMED as exc:
        raise UsageError(f"{path} is damaged ({exc}): remove it, the engine then gets a new password and port") from exc


def write_private(path: Path, data: bytes) -> None:
    """Replace a file as a whole, readable by its owner only."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    new.replace(path)


def free_port(host: str, wanted: int) -> int:
    """Return `wanted` when it is not 0 and free at `host`, else any free port."""
    port, release = hold_port(host, wanted)
    release()
    return port


def hold_port(host: str, wanted: int) -> tuple[int, Callable[[], None]]:
    """Return a port as `free_port` does, and what to call when it is taken: until then no other program is given it."""
    for port in (wanted, 0) if wanted else (0,):
        try:
            family, address = resolve(host)
            probe = socket.socket(family)
        except OSError as exc:
            raise UsageError(f"the engine can't listen at {host}: {exc}") from exc
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as exc:
            probe.close()
            if not port:
                raise UsageError(f"the engine can't listen at {host}: {exc}") from exc
            _log.warning("engine_port_taken port=%d", port)
            continue
        return int(probe.getsockname()[1]), probe.close
    raise UsageError(f"the engine can't listen at {host}")


def stop_leftover(state: EngineState, conf: Path) -> None:
    """Stop an engine that outlived its owner (`kill -9`, where the system has no PR_SET_PDEATHSIG).

    It is recognised by its pid and by the configuration on its command line. Raises UsageError when its owner lives:
    two processes must not share a directory.
    """
    if not state.pid:
        return
    try:
        process = psutil.Process(state.pid)
        if str(conf) not in process.cmdline():
            return  # the pid is another program's now
        if process.ppid() == state.owner:
            raise UsageError(f"the engine of {conf.parent} is running, started by process {state.owner}")
        _log.warning("engine_leftover_stopped pid=%d", state.pid)
        process.kill()
        process.wait(STOP_TIMEOUT_S)
    except psutil.NoSuchProcess:
        return
    except (psutil.AccessDenied, psutil.TimeoutExpired) as exc:
        raise UsageError(f"an engine left running (pid {state.pid}) can't be stopped: {exc}") from exc


def die_with_parent() -> Callable[[], None] | None:
    """Return what a child runs before it becomes `nats-server`: the kernel then kills it when we are gone, however we
    went. None where only `stop_leftover` helps.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def ask_kernel() -> None:
        if prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0 or os.getppid() != parent:
            os._exit(1)

    return ask_kernel
