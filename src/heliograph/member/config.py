"""What a member is started with."""

from __future__ import annotations

import msgspec

from heliograph.errors import UsageError
from heliograph.model.ids import Address, check_name
from heliograph.model.log_levels import check_log_level
from heliograph.model.tls import NO_TLS, TlsProperties
from heliograph.security.properties import NO_SECURITY_PROPERTIES, SecurityProperties

LOCATOR_WAIT_S = 30
LOCATOR_WAIT_S_MAX = 600


class MemberConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A member's own settings; what the site shares is cluster configuration. Raises UsageError.

    server_port: where members and clients connect; 0 takes a free port.
    bind_address: the interface to listen on; empty means every IPv4 one, loopback too, `::` those of IPv6 too.
    hostname_for_clients: the name others are told; empty means the bind address, else the loopback address.
    redundancy_zone: no two copies of a bucket are put on servers of one zone; empty means a zone of its own.
    locator_wait_time: seconds that it looks for a locator that answers, so that it may be started before one.
    log_level: of this process, a name of `model.log_levels`; empty leaves it as the program has it.
    tls: the ssl-* properties.
    security: the security-* properties.
    sources: field -> where it was said, of those that no option said; for `describe config`.
    write_timeout_ms: how long a write may wait for the engine before it fails with UnavailableError.
    """

    name: str
    locators: tuple[Address, ...]
    directory: str = "."
    server_port: int = 0
    bind_address: str = ""
    hostname_for_clients: str = ""
    groups: tuple[str, ...] = ()
    redundancy_zone: str = ""
    locator_wait_time: int = LOCATOR_WAIT_S
    write_timeout_ms: int = 15_000
    log_level: str = ""
    tls: TlsProperties = NO_TLS
    security: SecurityProperties = NO_SECURITY_PROPERTIES
    sources: dict[str, str] = {}

    def __post_init__(self) -> None:
        check_name("member", self.name)
        if self.log_level:
            check_log_level(self.log_level)
        self.tls.check_listening("member", "gateway")
        if not self.locators:
            raise UsageError("a member needs the address of a locator: give locators=host[port]")
        if not 0 <= self.server_port <= 65535:
            raise UsageError(f"server-port {self.server_port}: use 0 to 65535 (0 takes a free port)")
        for group in self.groups:
            check_name("group", group)
        if self.redundancy_zone:
            check_name("redundancy zone", self.redundancy_zone)
        if not 0 <= self.locator_wait_time <= LOCATOR_WAIT_S_MAX:
            raise UsageError(f"locator-wait-time {self.locator_wait_time}: use 0 to {LOCATOR_WAIT_S_MAX} seconds")
