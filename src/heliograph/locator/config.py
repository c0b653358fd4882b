"""What a locator is started with."""

from __future__ import annotations

import socket
from functools import cache
from pathlib import Path

import msgspec

from heliograph.errors import UsageError
from heliograph.model.ids import EVERY_INTERFACE, LOOPBACK, NO_SITE_ID, Address, SiteId, check_name, check_site_id
from heliograph.model.log_levels import check_log_level
from heliograph.model.tls import NO_TLS, TlsProperties
from heliograph.security.properties import NO_SECURITY_PROPERTIES, SecurityProperties

LOCATOR_PORT = 10334
HTTP_PORT = 7070
LOOPBACK_NAMES = frozenset({"localhost", LOOPBACK, "::1"})
TOMBSTONE_TIMEOUT_S, TOMBSTONE_MAX_AGE_S, TOMBSTONE_S_MAX = 600, 7 * 24 * 3600, 2**31 - 1
CLUSTER_SIZE = 3
"""Engines that form a cluster: the fewest of which one may be lost."""


class LocatorConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A locator's settings (configuration.md §6.1). Raises UsageError when they break a rule.

    port, http_service_port: where to listen; 0 takes a free port.
    bind_address: the interface to listen on; empty means every IPv4 one, `::` those of IPv6 too.
    distributed_system_id: of this site, 0 to 255; None for a site that exchanges nothing with others.
    remote_locators: locators of other sites, contacted until they answer and ever after.
    locators: the locators of the own site, this one too, the same at each. Three form an engine cluster by themselves.
    hostname_for_clients: the host that clients, members and other sites are told; empty means the bind address, else
    the host by which `locators` names this one, else the loopback address, which is of use on this machine only.
    http_service_bind_address: the interface of the admin API, which has no authentication; "0.0.0.0" means every one.
    engine: url of an existing engine; None starts a private one in `<directory>/engine`. Of an existing one:
    engine_credentials_file: holds `user:password` or a token, for a url without them.
    engine_ca_file, engine_certificate_file, engine_key_file: PEM files for TLS.
    engine_replicas: copies of everything, 1, 3 or 5; None: 3 where the engine has so many servers, else 1.
    member_timeout_ms: a member that gives no sign of life for so long is gone.
    max_clock_skew: ms that the clock of another site may be ahead of this one's, before what it sends is refused.
    tombstone_timeout: seconds that what a removal leaves is kept at least; None: 600.
    tombstone_max_age: seconds after which it is no longer kept for a site that is silent or behind; None: seven days.
    disk_synchronous: have the private engine sync every append to disk before it answers.
    log_level: of this process, a name of `model.log_levels`; empty leaves it as the program has it.
    tls: the ssl-* properties.
    security: the security-* properties.
    sources: field -> where it was said, of those that no option said; for `describe config`.
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
    engine_credentials_file: str = ""
    engine_ca_file: str = ""
    engine_certificate_file: str = ""
    engine_key_file: str = ""
    engine_replicas: int | None = None
    member_timeout_ms: int = 5000
    max_clock_skew: int = 60_000
    tombstone_timeout: int | None = None
    tombstone_max_age: int | None = None
    disk_synchronous: bool = False
    log_level: str = ""
    tls: TlsProperties = NO_TLS
    security: SecurityProperties = NO_SECURITY_PROPERTIES
    sources: dict[str, str] = {}

    def __post_init__(self) -> None:
        check_name("locator", self.name)
        if self.log_level:
            check_log_level(self.log_level)
        for option, port in (("port", self.port), ("http-service-port", self.http_service_port)):
            if not 0 <= port <= 65535:
                raise UsageError(f"{option} {port}: use 0 to 65535 (0 takes a free port)")
        if self.distributed_system_id is not None:
            check_site_id(self.distributed_system_id)
        elif self.remote_locators:
            raise UsageError("remote-locators needs a distributed-system-id, by which other sites know this one")
        self._check_locators()
        if self.disk_synchronous and self.engine is not None:
            raise UsageError(
                "disk-synchronous is for the private engine: where engine names another one, its operator sets "
                "`sync_interval: always` there"
            )
        self._check_engine()
        self.tls.check_listening("locator", "web", "engine")
        self._check_tombstones()
        if self.max_clock_skew < 100:
            raise UsageError(f"max-clock-skew {self.max_clock_skew}: use 100 ms or more, clocks are never quite equal")
        if self.member_timeout_ms < 1000:
            raise UsageError(f"member-timeout {self.member_timeout_ms}: use 1000 ms or more")

    def _check_tombstones(self) -> None:
        timeout = TOMBSTONE_TIMEOUT_S if self.tombstone_timeout is None else self.tombstone_timeout
        age = TOMBSTONE_MAX_AGE_S if self.tombstone_max_age is None else self.tombstone_max_age
        if not 1 <= timeout <= TOMBSTONE_S_MAX:
            raise UsageError(f"tombstone-timeout {timeout}: use 1 to {TOMBSTONE_S_MAX} seconds")
        if not timeout <= age <= TOMBSTONE_S_MAX:
            raise UsageError(f"tombstone-max-age {age}: use {timeout} (tombstone-timeout) to {TOMBSTONE_S_MAX} seconds")

    @property
    def site(self) -> SiteId:
        """The site's number in versions and births."""
        return NO_SITE_ID if self.distributed_system_id is None else SiteId(self.distributed_system_id)

    @property
    def advertised_host(self) -> str:
        """The host that others are told."""
        if self.hostname_for_clients:
            return self.hostname_for_clients
        if self.bind_address not in EVERY_INTERFACE:
            return self.bind_address
        named = [own.host for own in self._own_locators() if own.host.lower() not in LOOPBACK_NAMES]
        return named[0] if named else LOOPBACK

    @property
    def peers(self) -> tuple[Address, ...]:
        """The other locators of the site."""
        own = self._own_locators()
        return tuple(locator for locator in self.locators if locator not in own)

    @property
    def forms_cluster(self) -> bool:
        """Say whether this locator's engine is one of a cluster."""
        return self.engine is None and len(self.locators) > 1

    @property
    def advertised_http_host(self) -> str:
        """The host by which the admin API is reached."""
        own = self.http_service_bind_address
        return self.advertised_host if own in EVERY_INTERFACE else own

    @property
    def engine_directory(self) -> Path:
        """Where the private engine keeps its files."""
        return Path(self.directory) / "engine"

    def _check_locators(self) -> None:
        """Check the addresses of the site's own locators. Raises UsageError."""
        if not self.locators:
            return
        shown = ", ".join(map(str, self.locators))
        if len(set(self.locators)) < len(self.locators):
            raise UsageError(f"locators {shown}: an address is given twice")
        own = self._own_locators()
        if len(own) != 1:
            raise UsageError(
                f"locators {shown}: {'more than one' if own else 'none'} of them can be this locator; list every "
                f"locator of the site, this one with port {self.port} and its bind-address, its hostname-for-clients "
                "or a name of this machine"
            )
        if self.engine is None and len(self.locators) not in (1, CLUSTER_SIZE):
            raise UsageError(
                f"locators {shown}: a site has one locator or {CLUSTER_SIZE}; {CLUSTER_SIZE} keep its data when one of "
                "them is lost"
            )

    def _check_engine(self) -> None:
        """Check the options of an existing engine. Raises UsageError."""
        files = ("engine_credentials_file", "engine_ca_file", "engine_certificate_file", "engine_key_file")
        given = [name.replace("_", "-") for name in files if getattr(self, name)]
        if self.engine_replicas is not None:
            given.append("engine-replicas")
        if given and self.engine is None:
            raise UsageError(f"{', '.join(given)}: for an existing engine, which is given with engine")
        if bool(self.engine_certificate_file) != bool(self.engine_key_file):
            raise UsageError("engine-certificate-file and engine-key-file belong together: give both or neither")
        if self.engine_replicas not in (None, 1, 3, 5):
            raise UsageError(f"engine-replicas {self.engine_replicas}: use 1, 3 or 5")

    def _own_locators(self) -> list[Address]:
        """Return the addresses that can be this locator's own: its port, and the host that it was given, or else a name
        or an address of this machine.
        """
        possible = [locator for locator in self.locators if locator.port == self.port]
        given = {self.bind_address.lower(), self.hostname_for_clients.lower()}
        told = [locator for locator in possible if locator.host.lower() in given]
        return told or [each for each in possible if each.host.lower() in LOOPBACK_NAMES | _machine_names()]


@cache
def _machine_names() -> frozenset[str]:
    """Return the names of this machine and the addresses of its interfaces."""
    import psutil  # here, because commands that start nothing load this module too

    names = {socket.gethostname(), socket.gethostname().partition(".")[0], socket.getfqdn()}
    addresses = {address.address for interface in psutil.net_if_addrs().values() for address in interface}
    return frozenset(name.lower() for name in names | addresses)
