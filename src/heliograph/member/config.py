"""What a member is started with."""

from __future__ import annotations

import msgspec

from heliograph.errors import UsageError
from heliograph.model.ids import Address, check_name


class MemberConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A member's own settings; what the site shares is cluster configuration. Raises UsageError.

    server_port: where members and clients connect; 0 takes a free port.
    bind_address: the interface to listen on; empty means loopback and every other one.
    hostname_for_clients: the name others are told; empty means the bind address, else the loopback address.
    write_timeout_ms: how long a write may wait for the engine before it fails with UnavailableError.
    """

    name: str
    locators: tuple[Address, ...]
    directory: str = "."
    server_port: int = 0
    bind_address: str = ""
    hostname_for_clients: str = ""
    groups: tuple[str, ...] = ()
    write_timeout_ms: int = 15_000

    def __post_init__(self) -> None:
        check_name("member", self.name)
        if not self.locators:
            raise UsageError("a member needs the address of a locator: give locators=host[port]")
        if not 0 <= self.server_port <= 65535:
            raise UsageError(f"server-port {self.server_port}: use 0 to 65535 (0 takes a free port)")
        for group in self.groups:
            check_name("group", group)
