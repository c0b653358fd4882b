"""Daemons as their working directory knows them: state file, pid file, identity, stopping.

A daemon writes `<dir>/<name>.pid` (its pid as text, for operators) and `<dir>/locator.json` or `server.json` (a
`ProcessState`), and removes both when it ends. What a killed one left behind is recognised: a state counts only while a
process with its pid *and* its creation time runs heliograph's daemon module.
"""

from __future__ import annotations

import gc
import time
from pathlib import Path

import msgspec
import psutil

from heliograph.errors import UnavailableError, UsageError
from heliograph.model.decoding import MALFORMED
from heliograph.model.ids import Address
from heliograph.model.members import MemberKind

DAEMON_MODULE = "heliograph.gfsh.daemon"
STOP_TIMEOUT_S = 60.0
GC_THRESHOLD = 50_000
"""Objects made and not yet freed after which Python collects the youngest ones."""
_POLL_S = 0.05


class ProcessState(msgspec.Struct, frozen=True, kw_only=True):
    """What a daemon says about itself to commands on its machine.

    created: when the process was created, seconds since the Unix epoch as psutil tells it; with the pid its identity.
    address: where its link port is reached from this machine; None while it starts. http_url: of its admin API, if any.
    """

    kind: MemberKind
    name: str
    pid: int
    created: float
    log_file: str
    address: Address | None = None
    http_url: str = ""


def collect_rarely() -> None:
    """Have Python look for garbage in cycles less often: the hot path makes none, and many objects that live long."""
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, *gc.get_threshold()[1:])


def state_file(directory: Path, kind: MemberKind) -> Path:
    """Return the path of a daemon's state file."""
    return directory / f"{kind}.json"


def pid_file(directory: Path, name: str) -> Path:
    """Return the path of a daemon's pid file."""
    return directory / f"{name}.pid"


def read_state(directory: Path, kind: MemberKind) -> ProcessState | None:
    """Return what the directory says about its daemon, alive or not. Raises UsageError for a file that is not ours."""
    path = state_file(directory, kind)
    try:
        return msgspec.json.decode(path.read_bytes(), type=ProcessState)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except MALFORMED as exc:
        raise UsageError(f"{path} is not a state file of heliograph ({exc}): remove it or use another --dir") from exc


def claim(directory: Path, state: ProcessState) -> None:
    """Write the files of a daemon that begins. Raises UsageError when another one of its kind has the directory."""
    path = state_file(directory, state.kind)
    try:
        with path.open("xb") as file:
            file.write(msgspec.json.encode(state))
    except FileExistsError as exc:
        raise UsageError(f"{path} exists: another {state.kind} starts in this directory") from exc
    pid_file(directory, state.name).write_text(f"{state.pid}\n")


def write_state(directory: Path, state: ProcessState) -> None:
    """Replace the directory's state file as a whole."""
    path = state_file(directory, state.kind)
    fresh = path.with_suffix(".json.new")
    fresh.write_bytes(msgspec.json.encode(state))
    fresh.replace(path)


def remove_files(directory: Path, state: ProcessState) -> None:
    """Remove what a daemon wrote about itself."""
    pid_file(directory, state.name).unlink(missing_ok=True)
    state_file(directory, state.kind).unlink(missing_ok=True)


def process_of(state: ProcessState) -> psutil.Process | None:
    """Return the live process that wrote the state, or None: it is gone, or its pid belongs to another program now."""
    try:
        process = psutil.Process(state.pid)
        same = process.create_time() == state.created and DAEMON_MODULE in process.cmdline()
    except psutil.Error:
        return None
    return process if same and is_alive(process) else None


def directory_of(pid: int) -> Path:
    """Return the directory of the daemon that has that process id. Raises UsageError when there is none."""
    try:
        process = psutil.Process(pid)
        if DAEMON_MODULE in process.cmdline() and is_alive(process):
            return Path(process.cwd())
    except psutil.NoSuchProcess:
        pass
    except psutil.AccessDenied as exc:
        raise UsageError(f"process {pid} belongs to another user: look at it as them") from exc
    raise UsageError(f"process {pid} is no locator or server of heliograph on this machine")


def is_alive(process: psutil.Process) -> bool:
    """Say whether a process runs; one that has ended and waits for its parent to notice does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_gone(processes: list[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Wait until the processes are gone, and return those that are not after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while alive := [process for process in processes if is_alive(process)]:
        if time.monotonic() > deadline:
            return alive
        time.sleep(_POLL_S)
    return []


def stop(state: ProcessState, *, timeout_s: float = STOP_TIMEOUT_S) -> bool:
    """Ask a daemon to end and wait until it is gone; False when it was not running.

    Raises UnavailableError when it is still there after `timeout_s`.
    """
    process = process_of(state)
    if process is None:
        return False
    try:
        process.terminate()
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied as exc:
        raise UsageError(
            f"process {state.pid} ({state.kind} {state.name}) belongs to another user: stop it as them"
        ) from exc
    if wait_gone([process], timeout_s):
        raise UnavailableError(
            f"process {state.pid} ({state.kind} {state.name}) was asked to end and still runs after {timeout_s:g} s: "
            f"see {state.log_file}"
        )
    return True


def kill_tree(pid: int, *, timeout_s: float) -> None:
    """End a process that did not become ready, with whatever it started: politely first, then for certain."""
    try:
        process = psutil.Process(pid)
        family = [*process.children(recursive=True), process]
        process.terminate()
    except psutil.NoSuchProcess:
        return
    wait_gone([process], timeout_s)
    for member in family:
        if is_alive(member):
            member.kill()
    wait_gone(family, timeout_s)
