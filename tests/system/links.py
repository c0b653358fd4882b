"""The links between sites go through proxies, which can be cut link by link.

A site's gateway receivers tell other sites a host of their own, where a proxy of theirs listens. It knows which site a
gateway sender is of by the first words that it says.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import partial

from heliograph.gfsh.bench.proxy import DelayProxy, ProxyConfig, Route, _End
from heliograph.model.ids import Address
from heliograph.net.real import RealNetwork
from tests.system.sites import HOST, Site

DELAY_MS = 5.0
HELLO_S = 5.0
_SENDER = re.compile(rb"@server(\d+)-")


def outside(number: int) -> str:
    """Return the host that a site is reached at by other sites; all of them are this machine."""
    return f"127.0.2.{number}"


class Gate(DelayProxy):
    """In front of the gateway receivers of one site."""

    def __init__(self, site: Site) -> None:
        first, last = site.receiver_ports
        routes = [Route(Address(outside(site.number), port), Address(HOST, port)) for port in range(first, last + 1)]
        super().__init__(ProxyConfig(tuple(routes), DELAY_MS), RealNetwork())
        self._shut: set[int] = set()
        self._ends_of: dict[int, set[_End]] = {}

    async def _open(self, near: _End, target: Address) -> None:
        source = await _source(near)
        if source in self._shut and near.transport is not None:
            near.transport.abort()
            return
        self._ends_of.setdefault(source, set()).add(near)
        await super()._open(near, target)

    def shut(self, source: int, *, held: bool) -> None:
        """Let nothing in from a site. held: what comes is held back, else the connections break."""
        self._shut.add(source)
        for end in self._ends_of.get(source, set()) & self._ends:
            if end.transport is not None and not end.transport.is_closing():
                if held:
                    end.transport.pause_reading()
                else:
                    end.transport.abort()

    def open(self, source: int) -> None:
        """Undo `shut`."""
        self._shut.discard(source)
        for end in self._ends_of.get(source, set()) & self._ends:
            if end.transport is not None and not end.transport.is_closing():
                end.transport.resume_reading()


async def _source(near: _End) -> int:
    """Wait until a gateway sender has said who it is, and return its site; 0 when it does not."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + HELLO_S
    while loop.time() < deadline and near.transport is not None and not near.transport.is_closing():
        said = b"".join(data for _, data in near.line._held)
        if found := _SENDER.search(said):
            return int(found[1])
        await asyncio.sleep(0.01)
    return 0


class Link:
    """What leads from some sites to another one. Its two steps may be called from any thread."""

    def __init__(self, gate: Gate, sources: Sequence[int], target: int) -> None:
        self.name = f"link {'+'.join(map(str, sources))} -> {target}"
        self._gate = gate
        self._sources = sources
        self._loop = asyncio.get_running_loop()

    def cut(self, *, held: bool) -> None:
        """Let nothing through."""
        for source in self._sources:
            self._loop.call_soon_threadsafe(partial(self._gate.shut, source, held=held))

    def heal(self) -> None:
        """Undo `cut`."""
        for source in self._sources:
            self._loop.call_soon_threadsafe(self._gate.open, source)


def links_of(ways: Mapping[int, Sequence[int]], gates: Mapping[int, Gate]) -> list[Link]:
    """Return every link of a graph, and for each site all links that lead to it as one."""
    links = [Link(gates[remote], (site,), remote) for site, remotes in ways.items() for remote in remotes]
    for site in ways:
        feeders = [other for other, remotes in ways.items() if site in remotes]
        if len(feeders) > 1:
            links.append(Link(gates[site], feeders, site))
    return links
