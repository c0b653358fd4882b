"""The awaited cache: a member of a site in this process, with the site's locator too when it is given none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Unpack

import msgspec

from heliograph.api.cache_config import CacheOptions, read_options
from heliograph.api.opened import Opened
from heliograph.api.options import checked, read_plugins
from heliograph.api.region import Region
from heliograph.api.region_options import RegionOptions, read_region_options
from heliograph.errors import UsageError
from heliograph.locator.config import LocatorConfig
from heliograph.member.member import Member
from heliograph.model.attributes import (
    DiskStoreAttributes,
    GatewayConflictResolverAttributes,
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
)
from heliograph.model.ids import Address
from heliograph.model.queues import AsyncEventQueueAttributes


class Cache(Opened):
    """A member in this process: `async with heliograph.aio.Cache("app1", locators="host[10334]") as cache`.

    It hosts data, gateway senders and a gateway receiver like any server. Options: `CacheOptions`.

    What `create_...` creates is cluster-wide, like what the commands create: it is there for every member, now and
    later. What exists already with the same attributes is left as it is; with others, UsageError.
    """

    def __init__(self, name: str, **options: Unpack[CacheOptions]) -> None:
        self.name = name
        self._config = read_options(name, options)
        self._member: Member | None = None
        self._closing = AsyncExitStack()

    def __repr__(self) -> str:
        return f"<heliograph.aio.Cache {self.name}>"

    async def open(self) -> None:
        """Join the site; returns when this member holds what it should.

        Raises UnavailableError when no locator answers or a port is taken, UsageError when the name is.
        """
        config = self._config.member
        async with AsyncExitStack() as closing:
            if self._config.locator is not None:
                address = await closing.enter_async_context(_locator(self._config.locator))
                config = msgspec.structs.replace(config, locators=(address,))
            member = Member(config)
            await member.start()
            closing.push_async_callback(member.stop)
            await member.adopt(self._config.configuration)
            self._member, self._closing = member, closing.pop_all()

    async def close(self) -> None:
        """Leave the site in order; the locator of this process ends last. A second call does nothing."""
        self._member = None
        await self._closing.aclose()

    @property
    def member(self) -> Member:
        """The member. Raises UsageError unless the cache is open."""
        if self._member is None:
            raise UsageError(f"cache {self.name} is not open")
        return self._member

    @property
    def address(self) -> Address:
        """Where clients and other members reach this member."""
        return self.member.address

    @property
    def locators(self) -> tuple[Address, ...]:
        """The locators of the site: what to give to `connect`."""
        return self.member.config.locators

    def region(self, name: str) -> Region:
        """Return a region; one that does not exist is noticed by its first operation (RegionNotFoundError)."""
        return Region(name, self.member)

    async def create_region(
        self,
        name: str,
        type: str = "PARTITION",  # noqa: A002  (the option's name)
        **options: Unpack[RegionOptions],
    ) -> Region:
        """Create a region. Options: `RegionOptions`. Raises UsageError."""
        await self.member.configure(read_region_options(name, type, options))
        return self.region(name)

    async def create_disk_store(self, name: str, *, max_disk: int = 0) -> None:
        """Create a disk store for regions to name; `max_disk` in MB, 0 for no limit. Raises UsageError."""
        attributes = {"name": name, "max_disk": max_disk}
        await self.member.configure(checked(DiskStoreAttributes, "create_disk_store", attributes))

    async def create_gateway_sender(
        self,
        id: str,  # noqa: A002  (the option's name)
        *,
        remote_distributed_system_id: int,
        parallel: bool = False,
        **attributes: Any,
    ) -> None:
        """Create a gateway sender; further attributes are those of `GatewaySenderAttributes`. Raises UsageError.

        Plug-ins are named, `"module:object"`, because every server has to load them (docs/plugins.md).
        """
        attributes |= {
            "id": id,
            "remote_distributed_system_id": remote_distributed_system_id,
            "parallel": parallel,
        }
        _read_plugins(attributes, "gateway_event_filters", "gateway_transport_filters")
        await self.member.configure(checked(GatewaySenderAttributes, "create_gateway_sender", attributes))

    async def create_async_event_queue(
        self,
        id: str,  # noqa: A002  (the option's name)
        *,
        listener: str,
        parallel: bool = False,
        **attributes: Any,
    ) -> None:
        """Create an async event queue; further attributes are those of `AsyncEventQueueAttributes`. Raises UsageError.

        The listener is named, `"module:object"`, because every server has to load it (docs/plugins.md).
        """
        attributes |= {"id": id, "listener": listener, "parallel": parallel}
        _read_plugins(attributes, "gateway_event_filters")
        await self.member.configure(checked(AsyncEventQueueAttributes, "create_async_event_queue", attributes))

    async def create_gateway_conflict_resolver(self, resolver: str) -> None:
        """Have a resolver, named `"module:object"`, decide on conflicts between sites (docs/plugins.md).

        Raises UsageError.
        """
        attributes = {"resolver": resolver}
        await self.member.configure(
            checked(GatewayConflictResolverAttributes, "create_gateway_conflict_resolver", attributes)
        )

    async def create_gateway_receiver(self, **attributes: Any) -> None:
        """Create the gateway receiver of every server, with `GatewayReceiverAttributes`. Raises UsageError."""
        _read_plugins(attributes, "gateway_transport_filters")
        await self.member.configure(checked(GatewayReceiverAttributes, "create_gateway_receiver", attributes))


def _read_plugins(attributes: dict[str, Any], *options: str) -> None:
    for option in options:
        if option in attributes:
            attributes[option] = read_plugins(option, attributes[option])


@asynccontextmanager
async def _locator(config: LocatorConfig) -> AsyncIterator[Address]:
    """Run a locator in this process. What it needs is loaded only here: most caches join a site."""
    from heliograph.admin.locator_process import running
    from heliograph.locator.locator import Locator

    async with running(Locator(config)) as locator:
        yield locator.address
