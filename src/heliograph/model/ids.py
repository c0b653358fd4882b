"""The names and numbers that identify things: sites, buckets, epochs, sequences, addresses, members."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import NewType

import msgspec

from heliograph.errors import UsageError

SiteId = NewType("SiteId", int)
"""distributed-system-id of a site, 0..255 (spec: configuration.md, member properties)."""
BucketId = NewType("BucketId", int)
"""Number of a bucket within its region, 0..total-num-buckets-1."""
Epoch = NewType("Epoch", int)
"""Counts the primaries of one bucket; grows by one with every take-over."""
Seq = NewType("Seq", int)
"""Position in a disk store's log, 1-based; 0 means "before the first"."""

SITE_ID_MAX = 255
NO_SITE_ID = SiteId(0)
"""Of a site that was given no distributed-system-id: it stands alone, and its events are born at 0."""
NO_SEQ = Seq(0)

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,127}\Z")
_BRACKETS = re.compile(r"(?P<host>[^\s\[\],/@]+)\[(?P<port>[0-9]{1,5})\]\Z")
_COLON = re.compile(r"(?P<host>[^\s\[\]:,/@]+):(?P<port>[0-9]{1,5})\Z")
_COLON_IPV6 = re.compile(r"\[(?P<host>[^\s\[\],/@]+)\]:(?P<port>[0-9]{1,5})\Z")
WORD_MAX = 255
"""Characters of a host, a group or a member that is told by an option."""


LOOPBACK = "127.0.0.1"
EVERY_INTERFACE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  (bind addresses that name no interface)


class Address(msgspec.Struct, frozen=True, order=True, array_like=True):
    """A host and a TCP port, written `host[port]`; an IPv6 address is written without brackets of its own."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `host[port]` or `host:port`, `::1[port]` or `[::1]:port`. Raises UsageError naming the text."""
        stripped = text.strip()
        match = _BRACKETS.match(stripped) or _COLON.match(stripped) or _COLON_IPV6.match(stripped)
        if match is None or int(match["port"]) > 65535 or not match["host"].isprintable():
            raise UsageError(
                f"{text!r} is not an address: write host[port] or host:port, port 0 to 65535; with an IPv6 address "
                "::1[port] or [::1]:port"
            )
        host = match["host"]
        if ":" in host:
            try:
                host = str(IPv6Address(host))
            except ValueError:
                raise UsageError(f"{text!r} is not an address: {host!r} is no IPv6 address") from None
        return cls(host, int(match["port"]))

    @property
    def endpoint(self) -> str:
        """The address as a part of a url: `host:port`, `[::1]:port`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.host}[{self.port}]"


def parse_addresses(text: str) -> tuple[Address, ...]:
    """Read a comma-separated list of addresses; an empty text is an empty list."""
    return tuple(Address.parse(part) for part in text.split(",") if part.strip())


def check_name(kind: str, name: str) -> str:
    """Return `name`, or raise UsageError when it can't name a `kind` (region, gateway sender, member...)."""
    if not isinstance(name, str) or not _NAME.match(name):
        article = "an" if kind.startswith("a") else "a"
        raise UsageError(
            f"{name!r} can't name {article} {kind}: use letters, digits, '_' and '-' (1 to 128, not starting with '-')"
        )
    return name


def check_word(option: str, text: str) -> str:
    """Return the text, or raise UsageError when it is no single short word of what can be shown and told in a list."""
    if not 1 <= len(text) <= WORD_MAX or not text.isprintable() or "," in text or " " in text:
        shown = repr(text[:WORD_MAX])
        raise UsageError(f"{option} {shown}: use a word of 1 to {WORD_MAX} characters, without blanks and commas")
    return text


def check_region_name(name: str) -> str:
    """Return the region's name without its leading '/'. Raises UsageError."""
    return check_name("region", name.removeprefix("/") if isinstance(name, str) else name)


def check_site_id(site: int) -> SiteId:
    """Return `site` as a SiteId, or raise UsageError when it is not within 0..255."""
    if not 0 <= site <= SITE_ID_MAX:
        raise UsageError(f"distributed-system-id {site} is out of range: use 0 to {SITE_ID_MAX}")
    return SiteId(site)
