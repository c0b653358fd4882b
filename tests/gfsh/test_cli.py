"""Ways to run commands, what is printed where, and exit statuses (gfsh.md §1.1, §1.2)."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from socketserver import StreamRequestHandler, TCPServer
from threading import Thread

import msgspec
import pytest

from heliograph import __version__
from heliograph.gfsh.dispatch import run_line
from heliograph.gfsh.output import Printer
from heliograph.gfsh.session import Session
from heliograph.model.results import Result, Table, failed
from tests.gfsh.support import FakeAdmin, NoTerminal, Program

SITE = "connect --url=http://site"


def test_commands_of_one_run_share_a_session_and_are_announced(program: Program, admin: FakeAdmin) -> None:
    ran = program("-e", SITE, "-e", "list regions; disconnect", "-e", "describe connection")
    assert ran.status == 0
    assert f"\n(1) Executing - {SITE}\n\n" in ran.out
    assert "\n(2) Executing - list regions; disconnect\n\nGET /regions\nDisconnected from: http://site\n" in ran.out
    assert "Not connected" in ran.out.partition("(3) Executing")[2]
    assert admin.closed == 1


def test_the_first_failure_ends_a_run(program: Program, admin: FakeAdmin) -> None:
    admin.answers["GET", "/regions"] = failed("no regions today")
    ran = program("-e", SITE, "-e", "list regions; echo a", "-e", "echo b")
    assert (ran.status, ran.err) == (1, "no regions today\n")
    assert "a" not in ran.out.splitlines()
    assert "(3)" not in ran.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "regions"], "not connected"),
        (["-e", "list regions"], "not connected"),
        (["nonsense"], "No such command 'nonsense'. (`help` lists all commands)"),
        (["create", "region", "--name=r", "--type=local"], "region type 'LOCAL' is not offered"),
        (["start", "locator", "--locators=otherhost.invalid[10334]"], "none of them can be this locator"),
        (["start", "locator", "--dir=a-file"], "a-file is a file"),
        (["start", "server", "--dir=a-file"], "a-file is a file"),
        (["start", "server", "--locators=a[1]", "--http-service-bind-address=b"], "bind-address is for a locator"),
        (["bench", "wan", "--parallel", "--serial"], "either --parallel or --serial"),
        (["bench", "wan", "--value-size=4194304"], "value-size 4194304: use 1 to 4194299"),
        (["bench", "wan", "--value-size=4000000", "--put-all=100"], "put-all 100 x value-size 4000000"),
        (["bench", "wan", "--clients=1000"], "--clients"),
        (["bench", "wan", "--servers=17"], "--servers"),
        (["bench", "wan", "--batch-size=0"], "batch-size 0"),
        (["-e", "nonsense"], "No such command 'nonsense'"),
        (["-e", "echo 'a"], "quote is not closed"),
        (["--nonsense"], "No such option"),
        (["-e", "echo a", "echo", "b"], "not both"),
        (["create"], "create region"),
        (["help", "nonsense"], "no command 'nonsense'"),
        (["run", "--file=missing.gfsh"], "missing.gfsh: No such file"),
        (["run", "--file=."], "Is a directory"),
        (["connect", "--locator=127.0.0.1[1]"], "no locator answers at 127.0.0.1[1]: check that it is started"),
        (["connect", "--url=http://127.0.0.1:1"], "is that the HTTP port"),
        (["connect", "--locator=a[1]", "--url=http://b"], "either --locator or --url"),
        (["start", "server", "--cache-xml-file=a.xml"], "a.xml can't be read: No such file"),
        (["start", "server", "--properties-file=a"], "a can't be read: No such file"),
        (["start", "locator", "--security-properties-file=a"], "a can't be read: No such file"),
        (["connect", "--security-properties-file=a"], "a can't be read: No such file"),
        (["start", "server", "--locators=a[1]", "--start-locator=b[2]"], "--start-locator is for a locator"),
        (["start", "server", "--locators=a[1]", "--remote-locators=b[2]"], "--remote-locators is for a locator"),
        (["start", "locator", "--J=-Xmx1g"], "--J=-Xmx1g is not offered: there is no JVM here"),
        (["start", "locator", "--J=-Dgemfire.mcast-port=1"], "--J: mcast-port is not offered (only 0): members speak"),
        (["start", "locator", "--J=-Dgemfire.mcast=0"], "--J: there is no property mcast"),
        (
            ["start", "locator", "--J=-Dgemfire.distributed-system-id=x"],
            "distributed-system-id=x: write a whole number",
        ),
        (["start", "locator", "--J=-Dgemfire.port=1", "--J=-Dgemfire.port=2"], "port is given twice"),
        (["connect", "--jmx-manager=a[1099]"], "--jmx-manager is not offered: there is no JMX"),
        (["connect", "--use-http=false"], "--use-http is not offered (only true)"),
        (["connect", "--skip-ssl-validation"], "give --trust-store"),
        (["connect", "--user=a", "--username=b"], "--user and --username are one option"),
        (["status", "locator", "--host=127.0.0.1", "--port=1"], "can't connect to 127.0.0.1[1]"),
        (["status", "locator", "--port=1", "--name=a"], "give either --host and --port"),
        (["status", "server", "--port=1"], "No such option '--port'"),
        (["status", "server", "--pid=1"], "process 1 is no locator or server"),
        (["stop", "locator", "--pid=999999999"], "process 999999999 is no locator or server"),
        (["stop", "locator", "--pid=1", "--name=a"], "give one of --name, --dir and --pid"),
        (["set", "variable", "--name=APP_RESULT_VIEWER", "--value=external"], "it is always basic"),
        (
            ["start", "locator", "--distributed-system-id=1", "--J=-Dgemfire.distributed-system-id=1"],
            "distributed-system-id is given twice",
        ),
        (["start", "locator", "--distributed-system-id=256"], "use 0 to 255"),
        (["stop", "server"], "no server runs in"),
        (["stop", "locator", "--name=none"], "there is no directory ./none"),
        (["status", "server", "--dir=none"], "no server runs in"),
    ],
)
def test_a_failure_is_explained_on_standard_error(program: Program, arguments: list[str], message: str) -> None:
    Path("a-file").touch()
    ran = program(*arguments)
    assert ran.status == 1
    assert message in ran.err
    assert message not in ran.out


@pytest.mark.parametrize(
    "arguments", [["--help"], ["-h"], ["help"], ["create", "region", "--help"], ["help", "create"]]
)
def test_help_succeeds(program: Program, arguments: list[str]) -> None:
    ran = program(*arguments)
    assert (ran.status, ran.err) == (0, "")
    assert "region" in ran.out


@pytest.mark.parametrize("arguments", [["help"], ["help", "create", "region"], ["create", "region", "--help"]])
def test_help_is_one_object_in_json(program: Program, arguments: list[str]) -> None:
    (line,) = program("--json", *arguments).out.splitlines()
    result = msgspec.json.decode(line, type=Result)
    assert result.status == "OK"
    assert any("region" in text for text in result.info)


def test_help_shows_region_types_as_they_are_written_and_what_is_not_there_yet(program: Program) -> None:
    assert "REPLICATE_PERSISTENT" in program("help", "create", "region").out
    assert program("create", "gateway-sender", "--help").out.lower().count("not available yet") == 0


@pytest.mark.parametrize(
    ("arguments", "status", "out"),
    [
        (["disconnect"], 0, "Not connected.\n"),
        (["-e", "exit", "-e", "nonsense"], 0, "\n(1) Executing - exit\n\n"),
        (["sh", "--command=echo hi", "--use-console"], 0, ""),
        (["-e", "set variable --name=a --value=x; echo ${a}"], 0, "is now: x\n\n"),
        (["-e", "set variable --name=a --value=x", "-e", "echo ${a}"], 0, "(2) Executing - echo ${a}\n\nx\n"),
        (["-e", "echo ${APP_QUIET_EXECUTION}"], 0, "\n\ntrue\n"),
        (["echo", "a", "--string=b"], 0, "a b\n"),
        (["hint", "nonsense"], 0, "Unknown topic: nonsense"),
        (["set", "variable", "--name=APP_RESULT_VIEWER", "--value=basic"], 0, "is now: basic"),
    ],
)
def test_what_commands_print_and_how_they_end(program: Program, arguments: list[str], status: int, out: str) -> None:
    ran = program(*arguments)
    assert (ran.status, ran.err) == (status, "")
    assert out in ran.out


def test_a_question_of_e_takes_its_default_on_a_terminal_too(
    program: Program, admin: FakeAdmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = '{"regions": [], "gateway_senders": [], "async_event_queues": [], "disk_stores": []}'
    admin.answers["GET", "/cluster-configuration"] = Result(
        data={"distributed-system-id": "1", "Configuration": configuration}
    )
    Path("there.xml").touch()
    monkeypatch.setattr(NoTerminal, "isatty", lambda _: True)
    monkeypatch.setattr("click.confirm", lambda *_, **__: pytest.fail("it asks"))
    assert program("-e", SITE, "-e", "export cluster-configuration --xml-file=there.xml").status == 0
    assert "<cache" in Path("there.xml").read_text()


def test_the_version_of_the_program(program: Program) -> None:
    ran = program("--version")
    assert (ran.status, ran.out) == (0, f"heliograph {__version__}\n")


class _Closing(StreamRequestHandler):
    """Another service: it says something and hangs up."""

    def handle(self) -> None:
        self.wfile.write(b"220 welcome\r\n")


def test_a_service_of_another_kind_is_said_to_be_no_locator() -> None:
    with TCPServer(("127.0.0.1", 0), _Closing) as other:
        thread = Thread(target=other.handle_request)
        thread.start()
        where = f"--locator=127.0.0.1[{other.server_address[1]}]"
        code = f"import sys; from heliograph.gfsh.cli import main; sys.exit(main(['connect', '{where}']))"
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
        thread.join()
    (line,) = ran.stderr.splitlines()  # and nothing of the log
    assert "there is no heliograph locator at 127.0.0.1[" in line


def test_an_unreachable_site_is_not_connected_to(program: Program, admin: FakeAdmin) -> None:
    admin.reachable = False
    ran = program("-e", SITE)
    assert (ran.status, admin.closed) == (1, 1)
    assert "can't be reached" in ran.err


def test_a_connection_that_is_lost_is_made_anew(monkeypatch: pytest.MonkeyPatch, admin: FakeAdmin) -> None:
    monkeypatch.setattr("heliograph.admin.client.AdminClient", admin.client)
    out = io.StringIO()
    session = Session(Printer(out=out, err=out))
    for reachable in (True, False, True):
        admin.reachable = reachable
        run_line(session, "connect --url=http://site")
    assert "Already connected" not in out.getvalue()
    assert out.getvalue().count("Successfully connected") == 2
    assert session.connection is not None


def test_json_is_one_object_a_command(program: Program, admin: FakeAdmin) -> None:
    table = Table(("Name", "Id"), [("s1", "h[1]")])
    admin.answers["GET", "/members"] = Result(tables=[table])
    admin.answers["GET", "/regions"] = failed("no regions today")
    ran = program("--json", "-e", SITE, "-e", "list members", "-e", "list regions")
    results = [msgspec.json.decode(line, type=Result) for line in ran.out.splitlines()]
    assert [result.status for result in results] == ["OK", "OK", "ERROR"]
    assert results[1].tables == [table]
    assert (ran.status, ran.err) == (1, "no regions today\n")


def test_a_script_ends_with_a_summary(program: Program, admin: FakeAdmin, tmp_path: Path) -> None:
    script = tmp_path / "site.gfsh"
    script.write_text(f"# a site\n{SITE}\nlist \\\n  regions\n")
    ran = program("run", f"--file={script}")
    assert (ran.status, ran.err) == (0, "")
    assert f"\n1. Executing - {SITE}\n" in ran.out
    summary = ran.out.partition("Execution Summary")[2]
    assert summary.count("PASSED") == 2


@pytest.mark.parametrize(("option", "executed"), [("--quiet=false", 1), ("--continue-on-error", 2)])
def test_a_script_stops_unless_told_to_go_on(program: Program, tmp_path: Path, option: str, executed: int) -> None:
    script = tmp_path / "site.gfsh"
    script.write_text("list regions\necho after\n")
    ran = program("run", f"--file={script}", option)
    assert ran.status == 1
    assert ran.out.count("Executing -") == executed
    assert f"failed in {script}: list regions" in ran.err
    assert "FAILED" in ran.err


def test_a_quiet_script_shows_its_failures_only(program: Program, tmp_path: Path) -> None:
    script = tmp_path / "site.gfsh"
    script.write_text("echo before\nlist regions\n")
    ran = program("run", f"--file={script}", "--quiet")
    assert (ran.status, ran.out) == (1, "")
    assert "not connected" in ran.err


@pytest.mark.parametrize(("stdin", "status"), [("echo a\nexit\nnonsense\n", 0), ("echo a\nnonsense\necho b\n", 1)])
def test_standard_input_is_a_script(program: Program, stdin: str, status: int) -> None:
    ran = program(stdin=stdin)
    assert ran.status == status
    assert "a" in ran.out.splitlines()
    assert "b" not in ran.out.splitlines()


def test_exit_ends_a_run(program: Program) -> None:
    ran = program("-e", "exit", "-e", "nonsense")
    assert ran.status == 0


def test_echo_sleep_version(program: Program) -> None:
    ran = program("-e", "echo a 'b c'", "-e", "echo --string='d e'", "-e", "sleep --time=0.01", "-e", "version")
    assert ran.status == 0
    assert {"a b c", "d e"} < set(ran.out.splitlines())
    assert "heliograph 0." in ran.out


def test_passwords_are_not_announced(program: Program) -> None:
    ran = program("-e", "connect --password=secret")
    assert "secret" not in ran.out + ran.err


def test_starting_loads_nothing_heavy() -> None:
    code = (
        "import sys; from heliograph.gfsh.cli import main; main(['--help']);"
        "heavy = {'httpx', 'asyncio', 'rich', 'prompt_toolkit', 'psutil', 'litestar', 'nats'};"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "[]"


def test_a_reader_that_goes_away_is_no_crash() -> None:
    code = "import sys; from heliograph.gfsh.cli import main; sys.exit(main(['-e', 'help'] * 400))"
    command = f'{sys.executable} -c "{code}" | head -c 1'
    ran = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert ran.stderr == ""
