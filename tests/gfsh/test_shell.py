from __future__ import annotations

import errno
import io
import json
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from heliograph.gfsh.history import RedactedHistory, history_file
from heliograph.gfsh.known import Known
from heliograph.gfsh.output import Printer
from heliograph.gfsh.session import Session
from heliograph.gfsh.shell import candidates, run_shell, run_text
from heliograph.gfsh.topics import TOPICS
from heliograph.model.results import Result, Table
from tests.gfsh.support import FakeAdmin


def offered(line: str) -> list[str]:
    return [text for text, _ in candidates(line)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("conn", ["connect"]),
        (
            "list ",
            ["async-event-queues", "conflicts", "disk-stores", "gateways", "members", "parked-events", "regions"],
        ),
        ("connect --locator=a[1]; describe c", ["config", "connection"]),
        ("create re", ["region"]),
        ("pause gateway-sender ", ["--id=", "--member=", "--group="]),
        ("pause gateway-sender --id=c ", ["--member=", "--group="]),
        ("create region --n", ["--name="]),
        ("create region --type=REPLICATE_", ["--type=REPLICATE_PERSISTENT"]),
        ("create gateway-sender --parallel=", ["--parallel=true", "--parallel=false"]),
        ("put --key=", []),
        ("nonsense ", []),
        ("list  reg", ["regions"]),
        ("help create reg", ["region"]),
        ("help create region --n", ["--name="]),
        ("hint ", [*TOPICS]),
        ("hint w", ["WAN"]),
        ("hint wan ", []),
        ("create region --type REPLICATE_", ["REPLICATE_PERSISTENT"]),
        ("create gateway-sender --parallel t", ["true"]),
    ],
)
def test_completion(line: str, expected: list[str]) -> None:
    assert offered(line) == expected


def test_everything_is_offered_at_the_beginning() -> None:
    assert {"connect", "create", "start", "put", "exit"} <= set(offered(""))


def test_what_is_typed_is_run_up_to_a_failure() -> None:
    out, err = io.StringIO(), io.StringIO()
    session = Session(Printer(out=out, err=err))
    run_text(session, "echo a; nonsense; echo b")
    run_text(session, "# nothing")
    run_text(session, "echo /* open")
    run_text(session, "quit")
    assert out.getvalue() == "a\n"
    assert err.getvalue().splitlines()[0].startswith("No such command 'nonsense'")
    assert "not closed" in err.getvalue()
    assert session.leaving


def test_the_history_holds_no_password(tmp_path: Path) -> None:
    path = tmp_path / "history"
    RedactedHistory(str(path)).append_string("connect --password=secret")
    assert "connect" in path.read_text()
    assert "secret" not in path.read_text()


def test_a_continued_line_is_remembered_as_a_whole_and_without_the_password_in_it(tmp_path: Path) -> None:
    history = RedactedHistory(str(tmp_path / "history"))
    for line in ("connect --user=u --password \\", "secret", "list regions"):
        history.append_string(line)
    assert [*history.load_history_strings()] == ["list regions", "connect --user=u --password  ********"]


def test_the_history_is_kept_in_the_state_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert history_file() == tmp_path / "heliograph" / "history"


def test_where_no_history_can_be_kept_the_shell_says_so_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    out = io.StringIO()
    session = Session(Printer(out=out))
    with create_pipe_input() as typed, create_app_session(input=typed, output=DummyOutput()):
        typed.send_text("echo hello\nexit\n")
        run_shell(session)
    assert "the history of this session is not kept" in out.getvalue()
    assert "hello" in out.getvalue()


CONFIGURATION = {
    "regions": [{"name": "customer"}, {"name": "order"}],
    "gateway_senders": [{"id": "ny"}],
    "async_event_queues": [{"id": "audit"}],
    "disk_stores": [{"name": "wan"}],
}
SITE = {
    ("GET", "/cluster-configuration"): Result(data={"Configuration": json.dumps(CONFIGURATION)}),
    ("GET", "/members"): Result(
        data={"Groups": "east,west"}, tables=[Table(("Name", "Id"), [("s1", "1"), ("l1", "2")])]
    ),
}


def connected(monkeypatch: pytest.MonkeyPatch, admin: FakeAdmin) -> Session:
    monkeypatch.setattr("heliograph.admin.client.AdminClient", admin.client)
    session = Session(Printer(out=io.StringIO()))
    session.connect("http://site", None)
    return session


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("get --region=", ["--region=customer", "--region=order"]),
        ("describe region --name=c", ["--name=customer"]),
        ("create region --name=c", []),
        ("create region --gateway-sender-id=", ["--gateway-sender-id=ny"]),
        ("stop gateway-sender --id=", ["--id=ny"]),
        ("create gateway-sender --id=", []),
        ("destroy async-event-queue --id=", ["--id=audit"]),
        ("describe disk-store --name=", ["--name=wan"]),
        ("stop gateway-sender --member=", ["--member=l1", "--member=s1"]),
        ("stop gateway-sender --member=s1,", ["--member=s1,l1"]),
        ("rebalance --include-region=order,c", ["--include-region=order,customer"]),
        ("rebalance --include-region=/order,/c", ["--include-region=/order,/customer"]),
        ("create region --name=new --groups=east,", ["--groups=east,west"]),
        ("list members --group=w", ["--group=west"]),
        ("start server --group=", ["--group=east", "--group=west"]),
        ("change loglevel --members=", ["--members=l1", "--members=s1"]),
        ("describe config --member=s", ["--member=s1"]),
        ("export data --region=/c", ["--region=/customer"]),
        ("describe region --name c", ["customer"]),
        ("export data --region customer --member s", ["s1"]),
        ("stop gateway-sender --id=/", []),
    ],
)
def test_values_are_completed_with_what_the_site_has(
    monkeypatch: pytest.MonkeyPatch, line: str, expected: list[str]
) -> None:
    session = connected(monkeypatch, FakeAdmin(SITE))
    assert [text for text, _ in candidates(line, Known(session))] == expected


def test_the_site_is_asked_once_for_a_while_and_never_disturbs(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = FakeAdmin(SITE)
    known = Known(connected(monkeypatch, admin))
    assert known.values("get", "--region") == known.values("get", "--region") == ["customer", "order"]
    assert len(admin.calls) == 2
    for broken in (FakeAdmin(SITE, reachable=False), FakeAdmin()):
        assert Known(connected(monkeypatch, broken)).values("get", "--region") == ()
    assert Known(Session(Printer())).values("get", "--region") == ()


@pytest.mark.timeout(60)
def test_at_a_terminal(tmp_path: Path) -> None:
    """The real shell: it completes, remembers over sessions, survives an interrupt, and ends at the end of input."""
    with at_terminal(tmp_path) as shell:
        shell.type(b"ech\t")
        shell.see(b"echo")
        shell.type(b" 'one' 'two'\r")
        shell.see(b"one two\r\n")
        shell.see_prompt()
        shell.type(b"never run\x03")
        shell.see_prompt()
        shell.type(b"echo goes \\\r")
        shell.see(b"     >")
        shell.type(b"on\r")
        shell.see(b"goes on\r\n")
        shell.see_prompt()
        shell.type(b"echo given \\\r")
        shell.see_prompt(b"     >")
        shell.type(b"up\x03")
        shell.see_prompt()
        shell.type(b"\x1b[A 'again'\r")
        shell.see(b"goes on again\r\n")
        shell.see_prompt()
        shell.type(b"list \\\r")
        shell.see_prompt(b"     >")
        shell.type(b"async\t")
        shell.see(b"asyncs")  # of a completed word such a terminal is shown the end
        shell.type(b"\r")
        shell.see(b"not connected")
        shell.see_prompt()
    with at_terminal(tmp_path) as shell:
        shell.type(b"\x1b[A\x1b[A\x1b[A\x1b[A 'three'\r")
        shell.see(b"one two three\r\n")
        shell.see_prompt()
        shell.type(b"history\r")
        shell.see(b"echo 'one' 'two'\r\n")
        shell.see_prompt()
        shell.type(b"history --clear\r")
        shell.see(b"deleted history")
        shell.see_prompt()
    assert "echo" not in (tmp_path / "heliograph" / "history").read_text()


class Terminal:
    """Our end of a terminal, at whose other end the shell is."""

    def __init__(self, ours: int) -> None:
        self._ours = ours
        self._seen = b""

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def see(self, expected: bytes) -> None:
        """Read up to what is expected."""
        deadline = time.monotonic() + 20
        while expected not in self._seen:
            assert time.monotonic() < deadline, self._seen
            if select.select([self._ours], [], [], 0.5)[0]:
                self._seen += os.read(self._ours, 4096)
        self._seen = self._seen.partition(expected)[2]

    def see_prompt(self, prompt: bytes = b"gfsh>") -> None:
        """The prompt stands before the terminal is ready for keys, which it is when it waits for no whole lines."""
        self.see(prompt)
        while termios.tcgetattr(self._ours)[3] & termios.ICANON:
            time.sleep(0.01)

    def until_closed(self) -> None:
        """Read until the other end is closed (Linux says EIO, macOS the end of the file)."""
        try:
            while os.read(self._ours, 4096):
                pass
        except OSError as exc:
            if exc.errno != errno.EIO:
                raise


@contextmanager
def at_terminal(state: Path) -> Iterator[Terminal]:
    """The shell at a terminal of its own; it is left by the end of input."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "XDG_STATE_HOME": str(state), "TERM": "dumb"}
    code = "import sys; from heliograph.gfsh.cli import main; sys.exit(main([]))"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
    ) as shell:
        os.close(theirs)
        terminal = Terminal(ours)
        try:
            terminal.see_prompt()
            yield terminal
            terminal.type(b"\x04")
            terminal.until_closed()
            assert shell.wait(20) == 0
        finally:
            shell.kill()
            os.close(ours)
