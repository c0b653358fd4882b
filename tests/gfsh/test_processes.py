from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from heliograph.errors import UnavailableError, UsageError
from heliograph.gfsh import processes
from heliograph.gfsh.processes import DAEMON_MODULE, ProcessState, claim, process_of, read_state, remove_files, stop
from heliograph.model.ids import Address

BODY = "import signal, sys, time; signal.signal(signal.SIGTERM, {handler}); print(flush=True); time.sleep(60)"


@pytest.fixture
def spawned() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def spawn(
    started: list[subprocess.Popen[bytes]], handler: str = "signal.SIG_DFL", mark: str = DAEMON_MODULE
) -> ProcessState:
    """Start a process that looks like a daemon, and return its state."""
    process = subprocess.Popen([sys.executable, "-c", BODY.format(handler=handler), mark], stdout=subprocess.PIPE)
    started.append(process)
    assert process.stdout is not None
    process.stdout.readline()
    created = psutil.Process(process.pid).create_time()
    return ProcessState(kind="server", name="s1", pid=process.pid, created=created, log_file="s1.log")


def test_files_come_and_go(tmp_path: Path) -> None:
    state = ProcessState(kind="server", name="s1", pid=7, created=1.5, log_file="x")
    assert read_state(tmp_path, "server") is None
    claim(tmp_path, state)
    assert read_state(tmp_path, "server") == state
    assert read_state(tmp_path, "locator") is None
    assert (tmp_path / "s1.pid").read_text() == "7\n"
    with pytest.raises(UsageError, match="another server starts"):
        claim(tmp_path, state)
    ready = msgspec.structs.replace(state, address=Address("h", 1))
    processes.write_state(tmp_path, ready)
    assert read_state(tmp_path, "server") == ready
    remove_files(tmp_path, ready)
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_file_is_not_taken_for_a_state(tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text('{"name": 1}')
    with pytest.raises(UsageError, match="not a state file"):
        read_state(tmp_path, "server")


def test_a_process_is_known_by_pid_creation_time_and_program(spawned: list[subprocess.Popen[bytes]]) -> None:
    state = spawn(spawned)
    assert process_of(state) is not None
    assert process_of(msgspec.structs.replace(state, created=state.created - 1)) is None
    assert process_of(spawn(spawned, mark="another.program")) is None
    spawned[0].kill()
    assert processes.wait_gone([psutil.Process(state.pid)], 10) == []
    assert process_of(state) is None  # not reaped yet: a zombie is gone


def test_stop_ends_only_what_it_knows(spawned: list[subprocess.Popen[bytes]]) -> None:
    state = spawn(spawned)
    assert not stop(msgspec.structs.replace(state, created=0.0))
    assert process_of(state) is not None
    assert stop(state)
    assert spawned[0].wait(10) != 0
    assert not stop(state)


def test_stop_says_when_a_process_stays(spawned: list[subprocess.Popen[bytes]]) -> None:
    state = spawn(spawned, handler="signal.SIG_IGN")
    with pytest.raises(UnavailableError, match=r"still runs after 0\.2 s: see s1\.log"):
        stop(state, timeout_s=0.2)


def test_kill_tree_ends_even_who_ignores_it(spawned: list[subprocess.Popen[bytes]]) -> None:
    state = spawn(spawned, handler="signal.SIG_IGN")
    processes.kill_tree(state.pid, timeout_s=0.2)
    assert process_of(state) is None
