"""What a locator is started with."""

from __future__ import annotations

import socket
from pathlib import Path

import msgspec

from heliograph.errors import UsageError
from heliograph.model.ids import EVERY_INTERFACE, LOOPBACK, NO_SITE_ID, Address, SiteId, check_name, check_site_id

LOCATOR_PORT = 10334
HTTP_PORT = 7070
LOOPBACK_NAMES = frozenset({"localhost", LOOPBACK, "::1"})


class LocatorConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A locator's settings (configuration.md §6.1). Raises UsageError when they break a rule.

    port, http_service_port: where to listen; 0 takes a free port.
    bind_address: the interface to listen on; empty means every one.
    distributed_system_id: of this site, 0 to 255; None for a site that exchanges nothing with others.
    remote_locators: locators of other sites, contacted until they answer and ever after.
    locators: the locators of the own site; only this one's own address for now.
    hostname_for_clients: the host that clients, members and other sites are told; empty means the bind address, else
    the loopback address, which is of use on this machine only.
    http_service_bind_address: the interface of the admin API, which has no authentication; "0.0.0.0" means every one.
    engine: url of an existing engine; None starts a private one in `<directory>/engine`.
    member_timeout_ms: a member that gives no sign of life for so long is gone.
    disk_synchronous: have the private engine sync every append to disk before it answers.
    """

    name: str
    port: int = LOCATOR_PORT
    bind_address: str = ""
    directory: str = "."
    distributed_system_id: int | None = None
    remote_locators: tuple[Address, ...] = ()
    locators: tuple[Address, ...] = ()
    hostname_for_clients: str = ""
    http_service_port: int = HTTP_PORT
    http_service_bind_address: str = LOOPBACK
    engine: str | None = None
    member_timeout_ms: int = 5000
    disk_synchronous: bool = False

    def __post_init__(self) -> None:
        check_name("locator", self.name)
        for option, port in (("port", self.port), ("http-service-port", self.http_service_port)):
            if not 0 <= port <= 65535:
                raise UsageError(f"{option} {port}: use 0 to 65535 (0 takes a free port)")
        if self.distributed_system_id is not None:
            check_site_id(self.distributed_system_id)
        elif self.remote_locators:
            raise UsageError("remote-locators needs a distributed-system-id, by which other sites know this one")
        if len(self.locators) > 1 or not all(map(self._is_own, self.locators)):
            raise UsageError(
                f"locators {', '.join(map(str, self.locators))}: for the time being a site has one locator, "
                "so only this one's own address can be given"
            )
        if self.disk_synchronous and self.engine is not None:
            raise UsageError(
                "disk-synchronous is for the private engine: where engine names another one, its operator sets "
                "`sync_interval: always` there"
            )
        if self.member_timeout_ms < 1000:
            raise UsageError(f"member-timeout {self.member_timeout_ms}: use 1000 ms or more")

    @property
    def site(self) -> SiteId:
        """The site's number in versions and births."""
        return NO_SITE_ID if self.distributed_system_id is None else SiteId(self.distributed_system_id)

    @property
    def advertised_host(self) -> str:
        """The host that others are told."""
        if self.hostname_for_clients:
            return self.hostname_for_clients
        return LOOPBACK if self.bind_address in EVERY_INTERFACE else self.bind_address

    @property
    def advertised_http_host(self) -> str:
        """The host by which the admin API is reached."""
        own = self.http_service_bind_address
        return self.advertised_host if own in EVERY_INTERFACE else own

    @property
    def engine_directory(self) -> Path:
        """Where the private engine keeps its files."""
        return Path(self.directory) / "engine"

    def _is_own(self, locator: Address) -> bool:
        """Say whether an address can be this locator's own: its port, and a name or an address of this machine."""
        host = locator.host.lower()
        given = {self.bind_address.lower(), self.hostname_for_clients.lower()}
        return locator.port == self.port and (host in given | LOOPBACK_NAMES or host in _machine_names())


def _machine_names() -> set[str]:
    """Return the names of this machine and the addresses of its interfaces."""
    import psutil  # here, because commands that start nothing load this module too

    names = {socket.gethostname(), socket.gethostname().partition(".")[0], socket.getfqdn()}
    addresses = {address.address for interface in psutil.net_if_addrs().values() for address in interface}
    return {name.lower() for name in names | addresses}
