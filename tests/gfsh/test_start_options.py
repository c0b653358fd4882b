"""What GemFire's options of start commands do here: what reaches the daemon, and what is said of the others."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

from heliograph.errors import UnavailableError
from heliograph.gfsh import launch
from heliograph.gfsh.dispatch import run_line
from heliograph.gfsh.output import Printer
from heliograph.gfsh.processes import ProcessState
from heliograph.gfsh.session import Session
from heliograph.gfsh.state_block import online_unseen, starting
from heliograph.model.ids import Address
from heliograph.model.results import Result, failed
from tests.gfsh.support import FakeAdmin, Program

OF_SITE = ("GET", "/cluster-configuration")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The options that daemons are started with; they are not."""
    seen: list[dict[str, Any]] = []

    def start(kind: str, name: str, _directory: Path, options: dict[str, Any], *rest: Any) -> ProcessState:
        seen.append({"kind": kind, "name": name, "classpath": rest[-1], **options})
        raise UnavailableError("not started")

    monkeypatch.setattr(launch, "start", start)
    return seen


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("start server --initial-heap=1g --max-heap=4g", "--initial-heap is not offered: there is no JVM"),
        ("start server --max-heap=4g", "--max-heap is not offered: there is no JVM"),
        ("start server --critical-heap-percentage=80", "--critical-heap-percentage is not offered"),
        ("start server --eviction-heap-percentage=80", "nothing is evicted"),
        ("start server --max-connections=100", "a server takes 4096 links"),
        ("start server --use-cluster-configuration=false", "is not offered (only true): a site's configuration is"),
        ("start server --start-rest-api", "is not offered (only false)"),
        ("start server --enable-time-statistics=false", "is not offered (only true): statistics are in the admin API"),
        ("start server --redirect-output=false", "is not offered (only true): what a process prints is in its log"),
        ("start server --spring-xml-location=x", "there is no Spring here"),
        ("start server --bind-address=a --server-bind-address=b", "a server listens at one address"),
        ("start server --password=p", "--password is given without --user"),
        ("start server --classpath=/nowhere", "--classpath: there is no /nowhere"),
        ("start server --classpath=lib/app.jar", "app.jar holds Java classes; plug-ins are modules of Python"),
        ("start server --classpath='lib/*'", "holds Java classes"),
        ("start server --J=-Djavax.net.ssl.keyStorePassword=secret", "keyStorePassword=******** is not offered"),
        ("start locator --group=g", "a locator holds nothing"),
        ("start locator --mcast-address=239.1.1.1", "--mcast-address is not offered: members speak one protocol"),
        ("start locator --enable-cluster-configuration=false", "is not offered (only true)"),
        ("start locator --jmx-manager-hostname-for-clients=h", "there is no JMX here"),
        ("start locator --cluster-config-dir=d", "a site's configuration is kept in its engine"),
    ],
)
def test_what_means_nothing_here_is_refused_with_its_reason(
    program: Program, started: list[dict[str, Any]], line: str, message: str
) -> None:
    ran = program("-e", line)
    assert (ran.status, started) == (1, [])
    assert message in ran.err
    assert "secret" not in ran.out + ran.err


def test_all_that_is_refused_is_named_at_once(program: Program, started: list[dict[str, Any]]) -> None:
    ran = program("start", "server", "--max-heap=4g", "--force", "--critical-heap-percentage=80", "--J=-Xmx4g")
    assert (ran.status, ran.out, started) == (1, "", [])
    assert [line.partition(" ")[0] for line in ran.err.splitlines()] == [
        "--max-heap", "--critical-heap-percentage", "--J=-Xmx4g"
    ]  # fmt: skip


def test_what_asks_for_what_is_done_anyway_is_accepted(program: Program, started: list[dict[str, Any]]) -> None:
    common = "--force --redirect-output=true --mcast-port=0 --include-system-classpath --J=-Dgemfire.mcast-port=0"
    program(
        "-e", f"start locator --name=l {common} --enable-cluster-configuration=true --connect=false --log-level=fine"
    )
    program(
        "-e",
        f"start server --name=s {common} --assign-buckets --use-cluster-configuration=true --enable-time-statistics"
        " --disable-default-server=false --critical-heap-percentage=0 --start-rest-api=false --lock-memory=false",
    )
    assert [each["name"] for each in started] == ["l", "s"]


def test_what_is_given_empty_is_not_given(program: Program, started: list[dict[str, Any]]) -> None:
    common = "--locators= --mcast-address= --bind-address= --hostname-for-clients= --classpath= --log-level= --max-heap"
    files = "--properties-file= --security-properties-file= --dir="
    program("-e", f"start locator --name=l {common} {files} --cluster-config-dir= --group=")
    program("-e", f"start server --name=s {common} {files} --cache-xml-file= --groups= --off-heap-memory-size")
    assert [each["name"] for each in started] == ["l", "s"]


def test_properties_of_java_are_those_of_files_and_win_over_them(
    program: Program, started: list[dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / "s.properties"
    file.write_text("groups=a\nredundancy-zone=z\n")
    program(
        "start", "server", "--name=s", f"--properties-file={file}", "--J=-Dgemfire.groups=b,c",
        "--J=-Dgemfire.locators=h[1],i[2]", "--user=u", "--password=p", "--bind-address=127.0.0.1",
        "--server-bind-address=127.0.0.1", f"--classpath={tmp_path}{os.pathsep}{tmp_path.parent}",
    )  # fmt: skip
    (options,) = started
    assert (options["groups"], options["locators"], options["bind_address"]) == (("b", "c"), "h[1],i[2]", "127.0.0.1")
    assert options["properties_file"] == {"redundancy-zone": "z"}
    assert options["security_properties_file"] == {"security-username": "u", "security-password": "p"}
    assert options["classpath"] == (str(tmp_path), str(tmp_path.parent))


def test_a_password_that_is_not_given_is_asked_for(program: Program, started: list[dict[str, Any]]) -> None:
    program("start", "server", "--name=s", "--user=u", stdin="asked\n")
    assert started[0]["security_properties_file"]["security-password"] == "asked"


def test_a_daemon_takes_modules_from_its_class_path(
    program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "theirs.py").write_text("raise SystemExit('it was found')\n")
    monkeypatch.setattr(launch, "DAEMON_MODULE", "theirs")
    assert "it was found" in program("start", "locator", "--name=l", "--classpath=lib").err
    assert "it was found" not in program("start", "locator", "--name=l").err


def test_no_second_site_is_begun_by_mistake(program: Program, started: list[dict[str, Any]], admin: FakeAdmin) -> None:
    admin.answers[OF_SITE] = Result(data={"distributed-system-id": "1"})
    again = program("-e", "connect --url=http://site", "-e", "start locator --name=l2 --distributed-system-id=1")
    assert (again.status, started) == (1, [])
    assert "the shell is connected to site 1 (http://site): to add locators to it, start three" in again.err
    program("-e", "connect --url=http://site", "-e", "start locator --name=other --distributed-system-id=2")
    program("-e", "connect --url=http://site", "-e", "start locator --name=l2 --locators=localhost[10334]")
    assert [each["name"] for each in started] == ["other", "l2"]


def test_a_locator_that_has_died_is_started_from_the_shell_that_was_connected_to_it(
    monkeypatch: pytest.MonkeyPatch, started: list[dict[str, Any]], admin: FakeAdmin
) -> None:
    monkeypatch.setattr("heliograph.admin.client.AdminClient", admin.client)
    session = Session(Printer(out=io.StringIO(), err=io.StringIO()))
    session.connect("http://site", None)
    admin.reachable = False
    assert not run_line(session, "start locator --name=l1 --distributed-system-id=1")
    assert [each["name"] for each in started] == ["l1"]
    assert session.connection is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Result(), "Rebalancing has begun."),
        (failed("there is no region to rebalance"), "there is no region to rebalance"),
        (UnavailableError("gone"), "Rebalancing could not begin (gone): use `rebalance`."),
    ],
)
def test_a_server_that_is_started_may_be_given_its_share(
    program: Program, monkeypatch: pytest.MonkeyPatch, admin: FakeAdmin, answer: Result | Exception, said: str
) -> None:
    state = ProcessState(kind="server", name="s", pid=1, created=1.0, log_file="", address=Address("h", 2))
    online = online_unseen("s", state, UnavailableError("it is a fake"))
    monkeypatch.setattr("heliograph.gfsh.commands.lifecycle._start", lambda *_: (state, online))

    def connect_to(session: Any, *locators: Address) -> None:
        assert locators == (Address("h", 1),)
        if isinstance(answer, Exception):
            raise answer
        session.connect("http://site", locators[0])

    monkeypatch.setattr("heliograph.gfsh.commands.lifecycle.connect_to", connect_to)
    if isinstance(answer, Result):
        admin.answers["POST", "/rebalance"] = answer
    ran = program("start", "server", "--name=s", "--locators=h[1]", "--rebalance")
    assert (ran.status, said in ran.out) == (0, True)


def test_a_process_that_starts_is_shown_by_what_is_known() -> None:
    state = ProcessState(kind="locator", name="l", pid=os.getpid(), created=1e9, log_file="l.log")
    shown = starting("/there", state)
    assert shown.info == ["Locator in /there as l is currently starting."]
    assert [*shown.data] == ["Process ID", "Start Time", "Log File"]
    assert shown.data["Start Time"].startswith("2001-09-0")
