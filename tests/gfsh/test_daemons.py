"""Locators and servers as real processes: started, asked, stopped, and what remains when that goes wrong."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from heliograph.gfsh import asking, launch
from heliograph.gfsh.processes import ProcessState, is_alive, process_of, read_state, stop, wait_gone
from heliograph.model.members import MemberKind
from tests.gfsh.support import Program

LOCATOR = ("start", "locator", "--port=0", "--http-service-port=0", "--bind-address=127.0.0.1")
SERVER = ("start", "server", "--server-port=0", "--server-bind-address=127.0.0.1")


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """Stop what a test started, and check that nothing that works in its directory is left."""
    yield
    for path in sorted(tmp_path.glob("*/*.json"), key=lambda path: path.name, reverse=True):
        state = read_state(path.parent, "server" if path.stem == "server" else "locator")
        if state is not None:
            stop(state)
    assert processes_in(tmp_path) == []


def processes_in(directory: Path) -> list[psutil.Process]:
    """Daemons and engines that were told of the directory."""
    found = []
    for process in psutil.process_iter(["cwd", "cmdline"]):
        cwd, words = process.info["cwd"] or "", process.info["cmdline"] or []
        daemon = any("heliograph.gfsh.daemon" in word or "nats-server" in word for word in words)
        if daemon and (cwd.startswith(str(directory)) or any(str(directory) in word for word in words)):
            found.append(process)
    return found


def state_of(directory: Path, kind: MemberKind) -> ProcessState:
    state = read_state(directory, kind)
    assert state is not None
    return state


def test_a_site_is_started_asked_and_stopped(program: Program, tmp_path: Path) -> None:
    started = program(*LOCATOR, "--name=ln", "--J=-Dgemfire.distributed-system-id=1")
    assert (started.status, started.err) == (0, "")
    state = state_of(tmp_path / "ln", "locator")
    assert f"Locator in {tmp_path}/ln on {state.address} as ln is currently online." in started.out
    assert (tmp_path / "ln" / "ln.pid").read_text().strip() == str(state.pid)

    joined = program(
        "-e", f"connect --locator={state.address}",
        "-e", f"{' '.join(SERVER)} --name=s1 --groups=a,b --distributed-system-id=1",
        "-e", "list members --group=a",
        "-e", "create region --name=c",
        "-e", "put --region=c --key=1 --value='a b'",
        "-e", "get --region=c --key=1",
        "-e", "locate entry --region=c --key=1",
        "-e", "query --query=\"SELECT e.key, e.value FROM /c.entries e WHERE e.value LIKE 'a%'\"",
        "-e", "put --region=c --key=2 --value=\"('name':'Ada','age':36)\"",
        "-e", "query --query=\"SELECT * FROM /c WHERE age > 30\"",
    )  # fmt: skip
    assert (joined.status, joined.err) == (0, "")
    assert "Value       : a b" in joined.out.partition("(6) Executing")[2]
    assert "Locations Found : 1" in joined.out
    assert "| 1   | a b   |" in joined.out.partition("(8) Executing")[2]
    assert "| Ada  | 36  |" in joined.out.partition("(10) Executing")[2]

    server = state_of(tmp_path / "s1", "server")
    for where in ("--name=s1", "--dir=s1", f"--pid={server.pid}"):
        assert "as s1 is currently online" in program("status", "server", where).out
    assert state.address is not None
    listens = program("status", "locator", "--host=127.0.0.1", f"--port={state.address.port}")
    assert (
        f"on {state.address} as ln is currently online.\nCluster configuration service is up and running."
        in listens.out
    )
    assert (program("status", "locator", f"--pid={state.pid}").status, listens.status) == (0, 0)
    wrong = program("stop", "locator", f"--pid={server.pid}")
    assert f"no locator runs in {tmp_path}/s1 by itself" in wrong.err
    by_site = program("-e", f"connect --locator={state.address}", "-e", "status locator --name=ln")
    assert f"Process ID            : {state.pid}" in by_site.out

    for kind, name, how in (("server", "s1", f"--pid={server.pid}"), ("locator", "ln", "--name=ln")):
        assert program("stop", kind, how).status == 0
        assert program("status", kind, f"--name={name}").status == 1
        again = program("stop", kind, f"--name={name}")
        assert (again.status, again.err) == (1, f"no {kind} runs in {tmp_path}/{name}\n")
    assert process_of(state) is None
    assert {path.name for path in (tmp_path / "s1").iterdir()} == {"s1.log"}
    assert " INFO heliograph.gfsh.daemon ready kind=locator name=ln " in (tmp_path / "ln" / "ln.log").read_text()


def test_a_server_without_locators_has_one_inside(program: Program, tmp_path: Path) -> None:
    ran = program(
        *SERVER, "--name=s1", "--start-locator=127.0.0.1[0]", "--http-service-port=0", "--distributed-system-id=3"
    )
    assert (ran.status, ran.err) == (0, "")
    assert "Site               : 3" in ran.out
    assert program("status", "locator", "--name=s1").status == 1
    assert "may live in server s1" in program("stop", "locator", "--dir=s1").err
    server = state_of(tmp_path / "s1", "server").address
    assert f"there is no heliograph locator at {server}" in program("connect", f"--locator={server}").err
    assert program("stop", "server", "--name=s1").status == 0


def test_what_a_killed_process_left_is_replaced(
    program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert program(*LOCATOR, "--name=ln").status == 0
    state = state_of(tmp_path / "ln", "locator")
    again = program(*LOCATOR, "--name=ln")
    assert (again.status, again.out) == (1, "")
    assert f"locator ln runs already in {tmp_path}/ln (process {state.pid})" in again.err

    process = psutil.Process(state.pid)
    process.send_signal(signal.SIGSTOP)
    with monkeypatch.context() as patched:
        patched.setattr(asking, "ASK_TIMEOUT_S", 0.3)
        assert "is currently not responding" in program("status", "locator", "--name=ln").err
    engines = process.children(recursive=True)
    process.kill()
    assert wait_gone([process, *engines], 20) == []
    stopped = program("status", "locator", "--name=ln")
    assert (stopped.status, stopped.err) == (
        1, f"Locator in {tmp_path}/ln on {state.address} as ln is currently stopped.\n"
    )  # fmt: skip
    assert "is not running" in program("stop", "locator", "--name=ln").err

    assert program(*LOCATOR, "--name=ln").status == 0
    assert state_of(tmp_path / "ln", "locator").pid != state.pid
    other = program("status", "locator", "--name=other", "--dir=ln")
    assert other.err == f"the locator in {tmp_path}/ln is ln, not other\n"


def test_a_taken_port_is_the_reason(program: Program, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for option in ("--port", "--http-service-port"):
            words = [word for word in LOCATOR if not word.startswith(option + "=")]
            ran = program(*words, f"{option}={port}", "--name=ln")
            assert (ran.status, ran.out) == (1, "")
            assert f"{port}]: " in ran.err
            assert "ddress already in use" in ran.err
    assert read_state(tmp_path / "ln", "locator") is None


def test_a_missing_engine_is_the_reason(program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HELIOGRAPH_NATS_SERVER", str(tmp_path / "none"))
    ran = program(*LOCATOR, "--name=ln")
    assert ran.status == 1
    assert "HELIOGRAPH_NATS_SERVER" in ran.err


def test_the_last_words_of_a_daemon_that_dies_are_shown(
    program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("raise SystemExit('the very last words')\n")
    monkeypatch.setattr(launch, "DAEMON_MODULE", "broken")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    ran = program(*LOCATOR, "--name=ln")
    assert ran.status == 1
    assert "locator ln ended while it started:\nthe very last words" in ran.err


def test_a_daemon_that_is_not_ready_in_time_is_ended(
    program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "slow.py").write_text(
        "import json, os, sys, time\n"
        "config = json.load(sys.stdin)\n"
        "if os.fork(): os._exit(0)\n"
        "os.write(config['ready_fd'], json.dumps({'type': 'Spawned', 'pid': os.getpid()}).encode() + b'\\n')\n"
        "open('pid', 'w').write(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setattr(launch, "DAEMON_MODULE", "slow")
    monkeypatch.setattr(launch, "START_TIMEOUT_S", 1.5)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    ran = program(*LOCATOR, "--name=ln")
    assert ran.status == 1
    assert "was not ready within 1.5 s" in ran.err
    pid = int((tmp_path / "ln" / "pid").read_text())
    assert not psutil.pid_exists(pid) or not is_alive(psutil.Process(pid))
