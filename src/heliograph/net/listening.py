"""What a bind address means, for everything that listens.

An empty one is every IPv4 address of the machine, `::` every one of IPv6 and IPv4, and a name that has several
addresses its IPv4 one, so that there is one port.
"""

from __future__ import annotations

import socket

ANY_IPV4 = "0.0.0.0"  # noqa: S104  (what an empty bind address means)
ANY = "::"


def resolve(host: str) -> tuple[socket.AddressFamily, str]:
    """Return the family and the address, as digits, that a bind address means. May ask a name server.

    Raises OSError.
    """
    found = socket.getaddrinfo(host or ANY_IPV4, 0, type=socket.SOCK_STREAM)
    family, _, _, _, address = min(found, key=lambda info: info[0] != socket.AF_INET)
    scope = f"%{address[3]}" if family is socket.AF_INET6 and len(address) == 4 and address[3] else ""
    return family, f"{address[0]}{'' if '%' in str(address[0]) else scope}"


def listening_socket(host: str, port: int, backlog: int) -> socket.socket:
    """Return a socket that listens at a bind address. Raises OSError."""
    family, address = resolve(host)
    both = address == ANY and socket.has_dualstack_ipv6()
    return socket.create_server((address, port), family=family, backlog=backlog, dualstack_ipv6=both)
