"""Whole sites in real processes on 127.0.0.1, for tests that kill them.

Every daemon is started as the `start` commands start it, and known by its process; everything else is done with the
commands that an operator types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psutil

import heliograph
from heliograph.gfsh import launch
from heliograph.gfsh.asking import ask
from heliograph.gfsh.dispatch import execute
from heliograph.gfsh.local_sites import free_ports
from heliograph.gfsh.output import Printer
from heliograph.gfsh.processes import is_alive, wait_gone
from heliograph.gfsh.session import Session
from heliograph.gfsh.tokens import parse_line
from heliograph.link import messages
from heliograph.locator.config import LocatorConfig
from heliograph.model.ids import Address
from heliograph.model.keys import Key, decode_value
from heliograph.model.members import MemberInfo, MemberKind
from heliograph.model.results import Result
from tests.system.waiting import PATIENCE_S, until

HOST = "127.0.0.1"
ROOT = Path(__file__).parents[2]
"""On the path of daemons whose program is one of `tests.system.planted`."""
MEMBER_TIMEOUT_MS = 2_000
GONE_S = 30.0
LOG_TAIL_LINES = 40
OPERATOR = " with operator gfsh-"
"""Lines about the many short links of these tests."""
ALARMS = ("Traceback", "InvariantViolation", "never retrieved", "was destroyed but it is pending")
"""What no process logs, whatever is done to its neighbours."""
ALARM_LINES = 25


@dataclass
class Daemon:
    """A locator or a server, started any number of times in its directory."""

    kind: MemberKind
    name: str
    directory: Path
    options: dict[str, Any]
    process: psutil.Process | None = None
    address: Address | None = None
    """Where its present run is reached; None before it is ready and after it ended."""

    def start(self) -> None:
        """Start it and return when it is ready."""
        state = launch.start(self.kind, self.name, self.directory, self.options)
        self.process = psutil.Process(state.pid)
        self.address = state.address

    @property
    def running(self) -> bool:
        """Say whether the process lives."""
        return self.process is not None and is_alive(self.process)

    def kill(self) -> None:
        """Kill -9; returns when it is gone, and with a locator its engine."""
        assert self.process is not None
        self.address = None
        family = [*self.process.children(recursive=True), self.process]
        self.process.kill()
        left = wait_gone(family, GONE_S)
        assert not left, f"{self.name} was killed, and {left} did not go with it"

    def stop(self) -> list[psutil.Process]:
        """Ask it to end; returns what had to be killed."""
        if self.process is None or not self.running:
            return []
        self.address = None
        family = [self.process, *self.process.children(recursive=True)]
        self.process.terminate()
        left = wait_gone(family, GONE_S)
        for process in left:
            process.kill()
        return wait_gone(left, GONE_S) or left


@dataclass
class Site:
    """One site: its locators, one or three, and its servers."""

    number: int
    locators: list[Daemon]
    servers: list[Daemon]
    addresses: list[Address]
    """Of the locators, in their order."""
    receiver_ports: tuple[int, int]
    hostname_for_senders: str = HOST

    @property
    def locator(self) -> Daemon:
        """The first locator."""
        return self.locators[0]

    @property
    def address(self) -> Address:
        """Of the first locator that runs."""
        running = [address for locator, address in zip(self.locators, self.addresses, strict=True) if locator.running]
        return (running or self.addresses)[0]

    @property
    def everywhere(self) -> str:
        """The addresses of all locators, as clients and servers are told them."""
        return ",".join(map(str, self.addresses))

    @property
    def daemons(self) -> list[Daemon]:
        """Its processes, in the order in which they are started."""
        return [*self.locators, *self.servers]

    def start(self) -> None:
        """Start what does not run: the locators, then all servers."""
        at_once([locator.start for locator in self.locators if not locator.running])
        at_once([server.start for server in self.servers if not server.running])

    def stop(self) -> None:
        """Stop everything in order."""
        at_once([server.stop for server in self.servers])
        at_once([locator.stop for locator in self.locators])

    def kill(self) -> None:
        """Kill -9 everything at once."""
        processes = [daemon.process for daemon in self.daemons if daemon.process is not None]
        family = []
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # it ended before
                family += [process, *process.children(recursive=True)]
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        left = wait_gone(family, GONE_S)
        assert not left, left

    def run(self, line: str) -> Result:
        """Run a command at this site, whatever becomes of it."""
        session = Session(Printer())
        try:
            connected = execute(session, ["connect", f"--locator={self.everywhere}"])
            assert connected.status == "OK", connected
            (command,) = parse_line(line)
            return execute(session, command.words)
        finally:
            session.disconnect()

    def do(self, *lines: str) -> None:
        """Run commands that must succeed."""
        for line in lines:
            result = self.run(line)
            assert result.status == "OK", f"{line}: {result}"

    def receive(self) -> None:
        """Create the gateway receivers."""
        first, last = self.receiver_ports
        self.do(
            f"create gateway-receiver --start-port={first} --end-port={last} --bind-address={HOST}"
            f" --hostname-for-senders={self.hostname_for_senders}"
        )

    # --- what it says of itself

    def view(self) -> messages.SiteView:
        """Return the site as its locator sees it."""
        return ask(self.address, messages.SiteQuery(), messages.SiteView)

    def live_servers(self) -> list[MemberInfo]:
        """Return the servers that the locator lists, by name."""
        return sorted((each for each in self.view().members if each.kind == "server"), key=lambda each: each.name)

    def primaries(self, region: str) -> set[str]:
        """Return the names of the members that hold primaries of a region."""
        (placement,) = [each for each in self.view().placements if each.region == region]
        return {bucket.primary for bucket in placement.buckets}

    def senders(self) -> list[messages.SenderStatus]:
        """Return the state of every gateway sender on every live server."""
        answers = [ask(each.address, messages.GatewayQuery(), messages.Gateways) for each in self.live_servers()]
        return [status for answer in answers for status in answer.senders]

    def serial_primary(self, sender: str) -> Daemon:
        """Wait until one server runs a serial sender, and return it."""
        found: list[str] = []

        def one() -> bool:
            found[:] = [status.member for status in self.senders() if (status.id, status.policy) == (sender, "Primary")]
            return len(found) == 1

        until(one, f"one server runs {sender}")
        return self.server(found[0])

    def server(self, name: str) -> Daemon:
        """Return a server by name."""
        (server,) = [server for server in self.servers if server.name == name]
        return server

    def entries(self, region: str) -> dict[Key, Any]:
        """Return every entry of a region as a client sees it."""
        with heliograph.connect(self.everywhere) as client:
            return dict(client.region(region).items())

    def entries_at(self, member: MemberInfo, region: str, keys: Sequence[Key]) -> dict[Key, Any]:
        """Ask one server for entries."""
        values = ask(member.address, messages.GetAll(region, list(keys)), messages.Values).values
        return {key: decode_value(value) for key, value in zip(keys, values, strict=True) if value}

    def wait_joined(self) -> None:
        """Wait until the site lists exactly the servers that run."""
        running = sorted(server.name for server in self.servers if server.running)
        until(
            lambda: [each.name for each in self.live_servers()] == running, f"site {self.number} consists of {running}"
        )

    def wait_drained(self, *, within_s: float = PATIENCE_S) -> None:
        """Wait until nothing waits in the queues of the gateway senders."""
        until(
            self.drained,
            lambda: f"the queues at site {self.number} are empty: {self.senders()}",
            within_s=within_s,
        )

    def drained(self) -> bool:
        """Say whether nothing waits in the queues, and every serial sender is run by somebody."""
        instances = self.senders()
        served = {each.id for each in instances if each.type == "Parallel" or each.policy == "Primary"}
        return served == {each.id for each in instances} and all(each.drained for each in instances)


@dataclass
class Sites:
    """Sites that know each other, under one directory."""

    directory: Path
    all: list[Site] = field(default_factory=list)

    def start(self, servers: Mapping[int, int], *, locators: Mapping[int, int] | None = None) -> list[Site]:
        """Start sites. servers: site -> number of servers. locators: site -> number of locators, where not one."""
        self.make(servers, locators=locators)
        at_once([site.start for site in self.all])
        return self.all

    def make(self, servers: Mapping[int, int], *, locators: Mapping[int, int] | None = None) -> list[Site]:
        """Prepare sites as `start` does, without starting anything."""
        addresses = {
            number: [Address(HOST, free_ports(1)) for _ in range((locators or {}).get(number, 1))] for number in servers
        }
        self.all = [
            self._site(number, count, addresses, free_ports(max(4, 2 * count))) for number, count in servers.items()
        ]
        return self.all

    def _site(self, number: int, servers: int, addresses: Mapping[int, list[Address]], first_port: int) -> Site:
        place = self.directory / f"site{number}"
        own = addresses[number]
        remote = tuple(address for other, known in addresses.items() if other != number for address in known)
        names = [f"locator{number}" + (f"-{index}" if len(own) > 1 else "") for index in range(1, len(own) + 1)]
        return Site(
            number,
            [
                locator_daemon(place, name, number, address, own, remote)
                for name, address in zip(names, own, strict=True)
            ],
            [self._server(place, f"server{number}-{index}", own) for index in range(1, servers + 1)],
            own,
            (first_port, first_port + max(4, 2 * servers) - 1),
        )

    def _server(self, place: Path, name: str, locators: Sequence[Address]) -> Daemon:
        options = {
            "locators": ",".join(map(str, locators)),
            "bind_address": HOST,
            "server_port": 0,
            "directory": str(place / name),
        }
        return Daemon("server", name, place / name, options)

    def close(self) -> list[str]:
        """Stop everything; returns what is wrong with how that went."""
        stopped = at_once([server.stop for site in self.all for server in site.servers])
        stopped += at_once([locator.stop for site in self.all for locator in site.locators])
        killed = [process for left in stopped for process in left]
        left = processes_in(self.directory)
        for process in left:
            process.kill()
        wait_gone(left, GONE_S)
        return [f"did not end when asked: {each}" for each in killed] + [f"left running: {each}" for each in left]

    def logs(self) -> list[Path]:
        """Return every process's log."""
        return sorted(self.directory.rglob("*.log"))

    def alarms(self) -> str:
        """Return what no log should have, with some lines around it."""
        found = []
        for log in self.logs():
            lines = log.read_text(errors="replace").splitlines()
            for number, line in enumerate(lines):
                if any(alarm in line for alarm in ALARMS):
                    found += [f"--- {log.name}", *lines[max(0, number - 1) : number + ALARM_LINES]]
        return "\n".join(found)

    def log_tails(self) -> str:
        """Return the last lines of every process's log."""
        tails: list[str] = []
        for log in self.logs():
            lines = [line for line in log.read_text(errors="replace").splitlines() if OPERATOR not in line]
            tails += [f"--- {log.relative_to(self.directory)}", *lines[-LOG_TAIL_LINES:]]
        return "\n".join(tails)


def locator_daemon(
    place: Path,
    name: str,
    number: int,
    address: Address,
    locators: Sequence[Address],
    remote: Sequence[Address] = (),
) -> Daemon:
    """Return a locator of a site. locators: of its site. remote: of the other sites."""
    config = LocatorConfig(
        name=name,
        port=address.port,
        bind_address=HOST,
        directory=str(place / name),
        distributed_system_id=number,
        locators=tuple(locators),
        remote_locators=tuple(remote),
        http_service_port=0,
        member_timeout_ms=MEMBER_TIMEOUT_MS,
    )
    return Daemon("locator", name, place / name, msgspec.to_builtins(config))


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Call all in threads, and return or raise when every one has ended."""
    with ThreadPoolExecutor(max(1, len(calls))) as pool:
        futures = [pool.submit(call) for call in calls]
    return [future.result() for future in futures]


def processes_in(directory: Path) -> list[psutil.Process]:
    """Return the processes that work in the directory, or were told of it."""
    found = []
    for process in psutil.process_iter(["cwd", "cmdline"]):
        words = process.info["cmdline"] or []
        if (process.info["cwd"] or "").startswith(str(directory)) or any(str(directory) in word for word in words):
            found.append(process)
    return found
