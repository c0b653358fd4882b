"""The blocking cache: a member of a site in this process."""

from __future__ import annotations

from typing import Any, Unpack

from heliograph.api import cache as awaited
from heliograph.api.cache_config import CacheOptions
from heliograph.api.region_options import RegionOptions
from heliograph.api.sync import Face
from heliograph.api.sync_region import Region
from heliograph.model.ids import Address


class Cache(Face):
    """A member in this process: `with heliograph.Cache("app1", locators="host[10334]") as cache`.

    Options, and what `create_...` means, are those of `heliograph.aio.Cache`.
    """

    def __init__(self, name: str, **options: Unpack[CacheOptions]) -> None:
        self._cache = awaited.Cache(name, **options)
        super().__init__(f"cache {name}", self._cache)

    @property
    def name(self) -> str:
        """The member's name."""
        return self._cache.name

    @property
    def address(self) -> Address:
        """Where clients and other members reach this member."""
        return self._cache.address

    @property
    def locators(self) -> tuple[Address, ...]:
        """The locators of the site: what to give to `connect`."""
        return self._cache.locators

    def region(self, name: str) -> Region:
        """Return a region. Raises RegionNotFoundError, listing the regions there are."""
        return self._region(name, self._cache.member)

    def create_region(
        self,
        name: str,
        type: str = "PARTITION",  # noqa: A002  (the option's name)
        **options: Unpack[RegionOptions],
    ) -> Region:
        """Create a region. Options: `RegionOptions`. Raises UsageError."""
        self._loop.run(self._cache.create_region(name, type, **options))
        return self.region(name)

    def create_disk_store(self, name: str, *, max_disk: int = 0) -> None:
        """Create a disk store for regions to name; `max_disk` in MB, 0 for no limit. Raises UsageError."""
        self._loop.run(self._cache.create_disk_store(name, max_disk=max_disk))

    def create_gateway_sender(
        self,
        id: str,  # noqa: A002  (the option's name)
        *,
        remote_distributed_system_id: int,
        parallel: bool = False,
        **attributes: Any,
    ) -> None:
        """Create a gateway sender; further attributes are those of `GatewaySenderAttributes`. Raises UsageError."""
        self._loop.run(
            self._cache.create_gateway_sender(
                id, remote_distributed_system_id=remote_distributed_system_id, parallel=parallel, **attributes
            )
        )

    def create_async_event_queue(
        self,
        id: str,  # noqa: A002  (the option's name)
        *,
        listener: str,
        parallel: bool = False,
        **attributes: Any,
    ) -> None:
        """Create an async event queue; further attributes: `AsyncEventQueueAttributes`. Raises UsageError."""
        self._loop.run(self._cache.create_async_event_queue(id, listener=listener, parallel=parallel, **attributes))

    def create_gateway_conflict_resolver(self, resolver: str) -> None:
        """Have a resolver, named `"module:object"`, decide on conflicts between sites. Raises UsageError."""
        self._loop.run(self._cache.create_gateway_conflict_resolver(resolver))

    def create_gateway_receiver(self, **attributes: Any) -> None:
        """Create the gateway receiver of every server, with `GatewayReceiverAttributes`. Raises UsageError."""
        self._loop.run(self._cache.create_gateway_receiver(**attributes))
