"""Running processes as an operator sees them: levels, settings, and the end of a whole site, in real processes."""

from __future__ import annotations

from pathlib import Path

from heliograph.gfsh.processes import process_of, wait_gone
from tests.gfsh.support import Program
from tests.gfsh.test_daemons import LOCATOR, SERVER, nothing_left, state_of
from tests.gfsh.test_logs import exported

__all__ = ["nothing_left"]  # pytest uses it


def test_a_site_is_looked_at_changed_and_shut_down(program: Program, tmp_path: Path) -> None:
    (tmp_path / "s1.properties").write_text("groups=a,b\nlog-level=config\n")
    locator = f"{' '.join(LOCATOR)} --name=l1"
    assert program("-e", locator, "-e", f"{' '.join(SERVER)} --name=s1 --properties-file=s1.properties").status == 0
    site = f"connect --locator={state_of(tmp_path / 'l1', 'locator').address}"

    ran = program(
        "-e", site,
        "-e", "status cluster-config-service",
        "-e", "alter runtime --log-level=error",
        "-e", "change loglevel --loglevel=fine --members=l1",
        "-e", f"{' '.join(SERVER)} --name=s2 --log-level=info",
        "-e", "describe config --member=s1",
        "-e", "describe config --member=s2",
        "-e", "describe config --member=l1",
    )  # fmt: skip
    assert (ran.status, ran.err) == (0, "")
    service, s1, s2, l1 = (ran.out.partition(f"({number}) Executing")[2] for number in (2, 6, 7, 8))
    assert "| l1   | RUNNING |" in service
    assert words(s1, "Properties files") >= {"groups", "a,b", "log-level", "config"}
    assert words(s1, "Cluster configuration (alter runtime)") >= {"log-level", "error"}
    assert words(s2, "Options") >= {"log-level", "info"}
    assert words(s2, "Cluster configuration (alter runtime)") >= {"log-level", "error"}
    assert words(l1, "Changed while it runs") >= {"log-level", "fine"}
    assert "log level changed from=the program's to=fine" in (tmp_path / "l1" / "l1.log").read_text()

    logs = program(
        "-e", site, "-e", "export logs --dir=all", "-e", "export logs --dir=l1s --member=l1 --log-level=debug"
        " --only-log-level", "-e", "show log --member=s1 --lines=1",
    )  # fmt: skip
    assert (logs.status, logs.err) == (0, "")
    assert {*exported(tmp_path / "all")} == {"l1/l1.log", "s1/s1.log", "s2/s2.log"}
    assert exported(tmp_path / "all")["s2/s2.log"] == (tmp_path / "s2" / "s2.log").read_bytes()
    assert all(b" DEBUG " in line for line in exported(tmp_path / "l1s")["l1/l1.log"].splitlines())
    assert (tmp_path / "s1" / "s1.log").read_text().splitlines()[-1] in logs.out

    state = state_of(tmp_path / "l1", "locator")
    assert state.address is not None
    for where in (f"--pid={state.pid}", f"--host={state.address.host} --port={state.address.port}"):
        status = program("status", "locator", *where.split())
        assert (status.status, f"Process ID            : {state.pid}" in status.out) == (0, True), status
    assert program("status", "server", f"--pid={state.pid}").status == 1

    states = [state_of(tmp_path / name, "server") for name in ("s1", "s2")]
    ended = program("-e", site, "-e", "shutdown", "-e", "list members")
    assert (ended.status, ended.err) == (0, "")
    assert "Member Count : 1" in ended.out
    servers = [process for each in states if (process := process_of(each)) is not None]
    assert wait_gone(servers, 20) == [], "one that has left may take a moment to end"
    for name in ("s1", "s2"):
        assert {path.name for path in (tmp_path / name).iterdir()} == {f"{name}.log"}

    process = process_of(state)
    assert process is not None
    last = program("-e", site, "-e", "shutdown", "-e", "shutdown --include-locators=true", "-e", "describe connection")
    assert (last.status, last.err) == (0, "")
    assert "no server to stop" in last.out
    assert "Not connected" in last.out
    assert wait_gone([process], 20) == []
    assert {path.name for path in (tmp_path / "l1").iterdir()} == {"l1.log", "engine"}


def words(shown: str, title: str) -> set[str]:
    """Return what stands in the table of that title."""
    table = shown.partition(f"\n{title}\n\n")[2].partition("\n\n")[0]
    return set(table.replace("|", " ").split())
