"""Whole sites on this machine, in a directory that goes away with them; for the demo and the benchmark.

They are made with the same commands that an operator types, each site in a session of its own, and the commands are
announced, so that a reader sees how it is done.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from types import TracebackType

from heliograph.errors import HeliographError, UnavailableError
from heliograph.gfsh.asking import ask
from heliograph.gfsh.dispatch import execute
from heliograph.gfsh.output import Printer
from heliograph.gfsh.processes import kill_tree, process_of, read_state
from heliograph.gfsh.session import Session
from heliograph.gfsh.tokens import parse_line
from heliograph.link.messages import SiteQuery, SiteView
from heliograph.model.ids import Address
from heliograph.model.members import MemberInfo, MemberKind
from heliograph.model.results import Result, failed

HOST = "127.0.0.1"
LOG_TAIL_LINES = 15
STOP_TIMEOUT_S = 20.0
_PORTS = range(12_000, 30_000)
"""Below the ports that the system gives to outgoing connections, which could take one before a daemon listens on it."""

Say = Callable[[str], None]


def free_ports(count: int) -> int:
    """Return the first of `count` ports in a row on which nobody listens now."""
    for _ in range(1_000):
        first = random.randrange(_PORTS.start, _PORTS.stop - count)
        if all(map(_is_free, range(first, first + count))):
            return first
    raise UnavailableError(f"this machine has no {count} free ports in a row between {_PORTS.start} and {_PORTS.stop}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


@dataclass(slots=True)
class LocalSite:
    """One site.

    neighbours: the locators of the sites that it exchanges events with. server_count: servers that it starts with.
    receiver_port: the first of `server_count` (at least one) ports set aside for gateway receivers.
    """

    number: int
    directory: Path
    locator: Address
    server_port: int
    receiver_port: int
    server_count: int
    neighbours: tuple[Address, ...]
    say: Say
    session: Session = field(default_factory=lambda: Session(Printer()))
    properties: Path | None = None
    """What its processes, and the commands about it, are given as `--security-properties-file`."""

    @property
    def receiver_ports(self) -> tuple[int, int]:
        """The first and the last port of the gateway receivers' range."""
        return self.receiver_port, self.receiver_port + max(1, self.server_count) - 1

    def run(self, line: str) -> Result:
        """Run a command at this site. Raises HeliographError with its words when it fails."""
        self.say(f"site {self.number}> {line}")
        (command,) = parse_line(line)
        result = execute(self.session, command.words)
        if result == failed("interrupted"):  # the dispatcher has made a result of the Ctrl-C that is meant for us
            raise KeyboardInterrupt
        if result.status == "ERROR":
            rows = [" ".join(row) for table in result.tables for row in table.rows]
            raise HeliographError("\n".join([f"`{line}` failed at site {self.number}:", *result.info, *rows]))
        return result

    def start(self) -> None:
        """Start the locator and the servers, and connect."""
        remote = f" --remote-locators={','.join(map(str, self.neighbours))}" if self.neighbours else ""
        self.run(
            f"start locator --name=locator{self.number} --dir={self.directory / 'locator'} --bind-address={HOST}"
            f" --port={self.locator.port} --http-service-port=0 --distributed-system-id={self.number}{remote}"
            f"{self._secured}"
        )
        for server in range(1, self.server_count + 1):
            self.start_server(server)
        self.run(f"connect --locator={self.locator}{self._secured}")

    def start_server(self, server: int) -> None:
        """Start a server by its number, from 1 on; its name ends with it."""
        self.run(
            f"start server --name=server{self.number}-{server} --dir={self.directory / f'server{server}'}"
            f" --locators={self.locator} --server-bind-address={HOST} --server-port={self.server_port + server - 1}"
            f"{self._secured}"
        )

    @property
    def _secured(self) -> str:
        return "" if self.properties is None else f" --security-properties-file={self.properties}"

    def members(self, kind: MemberKind) -> list[MemberInfo]:
        """Return the live members of a kind, by name. Raises UnavailableError when the locator does not answer."""
        members = ask(self.locator, SiteQuery(), SiteView, tls=self.session.tls, identity=self.session.identity).members
        return sorted((member for member in members if member.kind == kind), key=lambda member: member.name)


class LocalSites:
    """Some sites, as a context: on leaving it every process is ended and every file removed, whatever happened.

    links: site -> the sites whose locators it is told. servers: site -> servers that it starts.
    """

    def __init__(self, links: Mapping[int, tuple[int, ...]], servers: Mapping[int, int], say: Say) -> None:
        self._say = say
        self._directory = Path(tempfile.mkdtemp(prefix="heliograph-"))
        widths = {site: max(1, servers[site]) for site in links}
        ends = accumulate(1 + 2 * width for width in widths.values())  # a locator's, the servers', the receivers'
        first = free_ports(sum(1 + 2 * width for width in widths.values()))
        ports = dict(zip(links, (first, *(first + end for end in ends)), strict=False))
        locators = {site: Address(HOST, port) for site, port in ports.items()}
        self._sites = {
            site: LocalSite(
                number=site,
                directory=self._directory / f"site{site}",
                locator=locators[site],
                server_port=ports[site] + 1,
                receiver_port=ports[site] + 1 + widths[site],
                server_count=servers[site],
                neighbours=tuple(locators[other] for other in remotes),
                say=say,
            )
            for site, remotes in links.items()
        }

    def secure(self, components: str, hosts: Iterable[str]) -> None:
        """Have components of all sites speak TLS (`ssl-enabled-components`), with certificates made for these hosts.

        To be called before the start.
        """
        from heliograph.gfsh.bench.certificates import Authority

        authority, hosts = Authority(self._directory), tuple(hosts)
        for site in self:
            stores = authority.stores(f"site{site.number}", hosts, site=site.number)
            site.properties = self._directory / f"site{site.number}.properties"
            site.properties.write_text(
                f"ssl-enabled-components={components}\nssl-keystore={stores.keystore}\n"
                f"ssl-truststore={stores.truststore}\nssl-require-site-identity=true\n"
            )

    def __getitem__(self, site: int) -> LocalSite:
        return self._sites[site]

    def __iter__(self) -> Iterator[LocalSite]:
        return iter(self._sites.values())

    def start(self) -> None:
        """Start all sites, as many at a time as there are processors: a start is mostly the loading of modules."""
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as threads:
            for started in [threads.submit(site.start) for site in self]:
                started.result()

    def __enter__(self) -> LocalSites:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with _undisturbed():
            if isinstance(error, Exception):
                self._say(self.log_tails())
            for site in self:
                site.session.disconnect()
            self._stop("server")
            self._stop("locator")
            shutil.rmtree(self._directory)

    def log_tails(self) -> str:
        """Return the last lines of every process's log."""
        tails = []
        for log in sorted(self._directory.rglob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
            tails += [f"--- {log.relative_to(self._directory)}", *lines]
        return "\n".join(tails)

    def _stop(self, kind: MemberKind) -> None:
        """End every daemon of a kind, also one that was not ready yet: all are asked first, then waited for."""
        states = [read_state(path.parent, kind) for path in self._directory.rglob(f"{kind}.json")]
        processes = [process for state in states if state is not None and (process := process_of(state)) is not None]
        ending = [threading.Thread(target=kill_tree, args=(process.pid,), kwargs={"timeout_s": STOP_TIMEOUT_S})
                  for process in processes]  # fmt: skip
        for thread in ending:
            thread.start()
        for thread in ending:
            thread.join()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let no second Ctrl-C keep what was started from being ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def terminable() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP as Ctrl-C, so that contexts are left in order; in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:  # noqa: ARG001
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
