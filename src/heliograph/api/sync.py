"""The blocking client: `connect`.

A blocking face has an event loop in a background thread. Its methods may be called from any thread, also from one that
runs an event loop of its own, which it then blocks.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from heliograph.api import client as awaited
from heliograph.api.backend import Backend
from heliograph.api.client import TIMEOUT_S
from heliograph.api.loop import LoopThread
from heliograph.api.opened import Opened
from heliograph.api.options import Addresses
from heliograph.api.sync_region import Region
from heliograph.config.reading import Source


class Face:
    """What a blocking client and a blocking cache share: the loop, opened and closed with them."""

    def __init__(self, description: str, inner: Opened) -> None:
        self._description = description
        self._inner = inner
        self._loop = LoopThread(description)
        try:
            self._loop.run(inner.open())
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<heliograph {self._description}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close. Calls under way fail, later ones raise UsageError. A second close does nothing."""
        self._loop.close(self._inner.close)

    def _region(self, name: str, backend: Backend) -> Region:
        region = Region(name, backend, self._loop)
        self._loop.run(backend.attributes(region.name))
        return region


class Client(Face):
    """A thin client of one site; made by `connect`."""

    def __init__(self, client: awaited.Client) -> None:
        self._client = client
        super().__init__(f"client of {', '.join(map(str, self._client.locators))}", self._client)

    def region(self, name: str, *, timeout_s: float | None = None) -> Region:
        """Return a region. Raises RegionNotFoundError, listing the regions there are.

        timeout_s: how long its operations may take, when that is not the client's.
        """
        return self._region(name, self._client.backend_within(timeout_s))

    def regions(self) -> list[str]:
        """Return the names of the site's regions, sorted."""
        return self._loop.run(self._client.regions())


def connect(
    locators: Addresses | None = None,
    *,
    timeout_s: float = TIMEOUT_S,
    properties_file: Source | None = None,
    security_properties_file: Source | None = None,
    user: str = "",
    password: str = "",
) -> Client:
    """Connect to a site: `with heliograph.connect("host[10334]") as client`.

    locators: of one site: `host[port]`, or several separated by commas, or a list, or `cache.locators`.
    timeout_s: how long an operation may take, with everything that is tried again meanwhile; see also `region`.
    properties_file, security_properties_file: files of properties, or mappings (docs/commands.md): `locators`, unless
    they are given, how to reach the site by TLS, and who this client is.
    user, password: who this client is, where the site wants to know; they win over the files.
    Raises UnavailableError when no locator answers, AuthenticationError when it does not know
    this user, PeerError or UsageError when what answers is no locator.
    """
    return Client(
        awaited.Client(
            locators,
            timeout_s=timeout_s,
            properties_file=properties_file,
            security_properties_file=security_properties_file,
            user=user,
            password=password,
        )
    )
