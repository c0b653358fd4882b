"""The awaited thin client: it talks to a site's members and hosts nothing."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Mapping
from copy import copy
from typing import TypeVar

from heliograph.api.call import Call
from heliograph.api.locators import Locators
from heliograph.api.opened import Opened
from heliograph.api.operations import GetAll, Keys, Operation, Size
from heliograph.api.options import Addresses, check_timeout, read_addresses
from heliograph.api.region import Region
from heliograph.api.writes import Change, Clear, PutAll
from heliograph.config.reading import Source, read_settings
from heliograph.errors import (
    InvariantViolation,
    NotPrimaryError,
    PeerError,
    RegionNotFoundError,
    UnavailableError,
    UsageError,
)
from heliograph.guard.security import Security, signed_in
from heliograph.link import messages
from heliograph.link.hello import Hello
from heliograph.model.attributes import RegionAttributes
from heliograph.model.ids import Address
from heliograph.model.keys import Key
from heliograph.model.requests import Identities
from heliograph.net.identity import UNKNOWN, Introduction
from heliograph.net.link import KeepAlive
from heliograph.net.links import Links
from heliograph.net.real import RealNetwork
from heliograph.net.seam import Network

TIMEOUT_S = 15.0
"""How long an operation may take, with everything that is tried again; longer than a site needs to notice a dead
member and to hand its buckets over."""

KEEP_ALIVE = KeepAlive(interval_s=2.0, silence_s=6.0)
"""A member that hangs is given up early enough for a call to be sent again to the next primary in time."""
CLOSED = "the client is closed"

_log = logging.getLogger(__name__)

Op = TypeVar("Op", bound=Operation)


class ClientBackend:
    """Operations on a site's regions from outside; satisfies `api.backend.Backend`."""

    def __init__(
        self,
        locators: tuple[Address, ...],
        timeout_s: float,
        network: Network,
        rng: random.Random,
        introduction: Introduction = UNKNOWN,
    ) -> None:
        hello = Hello(role="client", name=f"client-{os.getpid()}")
        self._timeout_s = timeout_s
        self._rng = rng
        self._locators = Locators(network.to("locator"), locators, hello, introduction)
        self._links = Links(network.to("member"), hello, keep_alive=KEEP_ALIVE, introduction=introduction)
        self._identities = Identities(rng.getrandbits(64), self._locators.now_ms)

    def within(self, timeout_s: float) -> ClientBackend:
        """Return the same backend, links and all, with another time for every operation."""
        other = copy(self)
        other._timeout_s = timeout_s
        return other

    async def open(self) -> None:
        """Look at the site. Raises UnavailableError when no locator answers, PeerError or UsageError when what answers
        is no locator.
        """
        await self._locators.routes()

    async def close(self) -> None:
        """Close every link; calls under way fail."""
        await self._locators.close(CLOSED)
        await self._links.close(CLOSED)

    async def region_names(self) -> list[str]:
        """Return the names of the site's regions as they are now, sorted."""
        return (await self._locators.renew(await self._locators.routes())).regions

    async def attributes(self, region: str) -> RegionAttributes:
        """Return a region's attributes. Raises RegionNotFoundError that lists the regions there are."""
        routes = await self._locators.routes()
        try:
            return routes.attributes(region)
        except RegionNotFoundError:
            return (await self._locators.renew(routes)).attributes(region)

    async def put_all(self, region: str, keys: list[Key], values: list[bytes], argument: bytes = b"") -> None:
        """Put entries at the primaries of their buckets."""
        await self._do(PutAll(region, keys, values, argument, self._identities))

    async def change(
        self, region: str, op: messages.Condition, key: Key, value: bytes, expected: bytes, argument: bytes = b""
    ) -> messages.Changed:
        """Have the bucket's primary decide on an operation."""
        message = messages.Change(region, 0, op, key, value, expected, argument=argument)
        changed = (await self._do(Change(message, self._identities))).changed
        if changed is None:
            raise InvariantViolation(f"a change of {region} ended undecided")
        return changed

    async def clear(self, region: str) -> None:
        """Have the primaries take away every entry."""
        await self._do(Clear(region, self._identities))

    async def get_all(self, region: str, keys: list[Key]) -> list[bytes]:
        """Return the values of keys; empty where there is no entry."""
        return (await self._do(GetAll(region, keys))).values

    async def keys(self, region: str) -> list[Key]:
        """Return every key of the region."""
        return (await self._do(Keys(region))).keys

    async def size(self, region: str) -> int:
        """Count the region's entries."""
        return (await self._do(Size(region))).count

    async def holders(self, region: str, failed: Mapping[str, int], *, anew: bool) -> list[str]:
        """Return whom to ask for the events of each bucket: its primary, or another holder after a failure."""
        routes = await self._locators.routes()
        if anew:
            try:
                routes = await self._locators.renew(routes)
            except (UnavailableError, PeerError) as exc:
                # The members may well live on without a locator.
                _log.debug("site not seen anew region=%s error=%s", region, exc)
        buckets = routes.attributes(region).total_num_buckets
        return [routes.member_for(region, bucket, failed).name for bucket in range(buckets)]

    async def hear(self, member: str, request: messages.Listen) -> messages.Heard:
        """Ask a member for events."""
        server = (await self._locators.routes()).member(member)
        if server is None:
            raise NotPrimaryError(f"{member} is gone")
        timeout_s = request.wait_ms / 1000 + self._timeout_s
        return await self._links.call(server.address, request, messages.Heard, timeout_s=timeout_s)

    async def _do(self, operation: Op) -> Op:
        await Call(operation, self._locators, self._links, self._rng).run(self._timeout_s)
        return operation


class Client(Opened):
    """A thin client of one site: `async with heliograph.aio.connect("host[10334]") as client`."""

    def __init__(
        self,
        locators: Addresses | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        properties_file: Source | None = None,
        security_properties_file: Source | None = None,
        user: str = "",
        password: str = "",
        network: Network | None = None,
        rng: random.Random | None = None,
    ) -> None:
        settings = read_settings("client", properties_file, security_properties_file)
        told: Addresses = settings.options.get("locators", ()) if locators is None else locators
        addresses = read_addresses("locators", told)
        if not addresses:
            raise UsageError("connect needs the address of a locator: host[port], or several separated by commas")
        check_timeout(timeout_s)
        self.locators = addresses
        self.backend = ClientBackend(
            addresses,
            timeout_s,
            network or RealNetwork(settings.tls),
            rng or random.Random(),
            Security(signed_in(settings.security, user, password)).to_others,
        )

    def __repr__(self) -> str:
        return f"<heliograph.aio.Client of {', '.join(map(str, self.locators))}>"

    async def open(self) -> None:
        """Look at the site. Raises UnavailableError when no locator answers, PeerError or UsageError when what answers
        is no locator.
        """
        await self.backend.open()

    async def close(self) -> None:
        """Close every link; calls under way fail, later ones raise UsageError."""
        await self.backend.close()

    def region(self, name: str, *, timeout_s: float | None = None) -> Region:
        """Return a region; one that does not exist is noticed by its first operation (RegionNotFoundError).

        timeout_s: how long its operations may take, when that is not the client's; a region costs nothing to make.
        """
        return Region(name, self.backend_within(timeout_s))

    def backend_within(self, timeout_s: float | None) -> ClientBackend:
        """Return the backend of a region. Raises UsageError for an unfit time."""
        return self.backend if timeout_s is None else self.backend.within(check_timeout(timeout_s))

    async def regions(self) -> list[str]:
        """Return the names of the site's regions, sorted."""
        return await self.backend.region_names()
