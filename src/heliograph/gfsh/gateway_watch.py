"""Watching the gateways of some servers closely, over their link ports: how much waits in the queues."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from heliograph.errors import UnavailableError
from heliograph.link.hello import Hello
from heliograph.link.messages import GatewayQuery, Gateways, SenderStatus
from heliograph.model.ids import Address
from heliograph.model.tls import NO_TLS, TlsProperties
from heliograph.net.links import Links
from heliograph.net.real import RealNetwork

CALL_TIMEOUT_S = 15.0


class GatewayWatch:
    """Links to the servers of some sites.

    servers: site -> the link addresses of its servers. but_to: the site whose gateway senders are left out, None for
    none.
    """

    def __init__(
        self, servers: Mapping[int, Sequence[Address]], *, but_to: int | None = None, tls: TlsProperties = NO_TLS
    ) -> None:
        self._servers = servers
        self._but_to = but_to
        self._links = Links(RealNetwork(tls).to("member"), Hello(role="operator", name=f"watch-{os.getpid()}"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._links.close("nobody watches any more")

    async def gateways(self, site: int) -> list[Gateways]:
        """Return the state of every server's gateways at a site. Raises UnavailableError."""
        return [
            await self._links.call(address, GatewayQuery(), Gateways, timeout_s=CALL_TIMEOUT_S)
            for address in self._servers[site]
        ]

    async def senders(self, site: int) -> list[SenderStatus]:
        """Return the state of the site's gateway senders at every server. Raises UnavailableError."""
        return [
            sender
            for gateways in await self.gateways(site)
            for sender in gateways.senders
            if sender.remote_dsid != self._but_to
        ]

    async def all_connected(self, *, timeout_s: float) -> None:
        """Wait until every gateway sender is connected. Raises UnavailableError, naming one that is not."""
        waiting = ""
        try:
            async with asyncio.timeout(timeout_s):
                while waiting := await self._unconnected():  # noqa: ASYNC110  (another process's doing)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise UnavailableError(f"not connected after {timeout_s:g} s: {waiting}") from None

    async def _unconnected(self) -> str:
        for site in self._servers:
            for sender in await self.senders(site):
                if sender.policy != "Secondary" and sender.status != "Running and Connected":
                    return f"gateway sender {sender.id} of site {site} is {sender.status} {sender.error}"
        return ""
