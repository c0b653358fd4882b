"""Permissions, in GemFire's words, and what implies what.

    CLUSTER:READ                      look at anything but data
    CLUSTER:MANAGE:GATEWAY            create, start, stop gateways
    DATA:READ:customer                read every entry of a region
    DATA:WRITE:customer:42            write one entry
    SITE:2                            speak for site 2: its gateway senders and locators

Parts follow one another from wide to narrow: resource, operation, target (a part of the cluster, or a region) and key.
What is granted implies everything narrower: a part that is left out, or `*`, stands for all, and commas separate
several: `DATA:READ,WRITE:customer,orders`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from heliograph.errors import UsageError
from heliograph.model.keys import Key

CLUSTER, DATA, SITE = "CLUSTER", "DATA", "SITE"
READ, WRITE, MANAGE = "READ", "WRITE", "MANAGE"
GATEWAY, DISK, DEPLOY = "GATEWAY", "DISK", "DEPLOY"
ANY = "*"
RESOURCES = (CLUSTER, DATA, SITE)
OPERATIONS = (READ, WRITE, MANAGE)
TARGETS = (GATEWAY, DISK, DEPLOY, "QUERY", "LUCENE")
"""Parts of a cluster that GemFire's permissions name; those of the last two guard nothing here."""
PARTS_MAX = 4

Part: TypeAlias = frozenset[str] | None
"""Of a grant: what it allows there, None for everything."""


class Permission(msgspec.Struct, frozen=True):
    """What somebody needs. operation: of SITE the site's number. Parts that are "" mean all there is.

    target: a part of the cluster, or the region. key: of one entry, as `key_text` writes it.
    """

    resource: str
    operation: str
    target: str = ""
    key: str = ""

    def __str__(self) -> str:
        parts = [self.resource, self.operation, self.target, self.key]
        while parts and not parts[-1]:
            parts.pop()
        return ":".join(part or ANY for part in parts)


class Grant(msgspec.Struct, frozen=True):
    """What somebody was given: for each part, what it allows."""

    parts: tuple[Part, Part, Part, Part]

    def implies(self, needed: Permission) -> bool:
        """Say whether this is enough."""
        wanted = (needed.resource, needed.operation, needed.target, needed.key)
        return all(part is None or want in part for part, want in zip(self.parts, wanted, strict=True))


def key_text(key: Key) -> str:
    """Return a key as permissions name it: bytes in hexadecimal digits."""
    return key.hex() if isinstance(key, bytes) else str(key)


def site_permission(dsid: int) -> Permission:
    """Return what whoever speaks for a site needs."""
    return Permission(SITE, str(dsid))


def parse_grant(text: str) -> Grant:
    """Read what is granted. Raises UsageError that names what is wrong."""
    given = text.strip().split(":", PARTS_MAX - 1)
    kind = given[0].upper()
    second, third, fourth = [*given[1:], *[ANY] * (PARTS_MAX - len(given))]
    resource = _part(kind, RESOURCES, text, "begin with")
    if kind == SITE:
        if (third, fourth) != (ANY, ANY):
            raise UsageError(f"permission {text!r} has a part too many")
        return Grant((resource, _sites(second, text), None, None))
    operation = _part(second.upper(), OPERATIONS, text, "its second part is")
    if kind == DATA:
        return Grant((resource, operation, _regions(third), None if fourth == ANY else frozenset({fourth})))
    if fourth != ANY:
        raise UsageError(f"permission {text!r} has a part too many")
    third = ANY if third.upper() == "ALL" else third.upper()
    return Grant((resource, operation, _part(third, TARGETS, text, "its third part is"), None))


def parse_grants(texts: Iterable[str]) -> tuple[Grant, ...]:
    """Read several. Raises UsageError."""
    return tuple(map(parse_grant, texts))


def implied(grants: Iterable[Grant], needed: Permission) -> bool:
    """Say whether one of the grants is enough."""
    return any(grant.implies(needed) for grant in grants)


def _part(given: str, known: tuple[str, ...], text: str, where: str) -> Part:
    words = frozenset(word.strip() for word in given.split(","))
    if ANY in words:
        return None
    if not words <= set(known):
        raise UsageError(f"permission {text!r}: {where} {', '.join(known)} or {ANY}")
    return words


def _regions(given: str) -> Part:
    words = frozenset(word.strip().removeprefix("/") for word in given.split(","))
    return None if ANY in words else words


def _sites(given: str, text: str) -> Part:
    words = frozenset(word.strip() for word in given.split(","))
    if ANY in words:
        return None
    if not all(word.isascii() and word.isdigit() and int(word) <= 255 for word in words):
        raise UsageError(f"permission {text!r}: write {SITE}: and the site's distributed-system-id, 0 to 255")
    return frozenset(str(int(word)) for word in words)
