"""Which gateway receiver a server has, of those that are defined for it, its groups and the whole site."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from heliograph.model.attributes import GatewayReceiverAttributes

Defined = tuple[GatewayReceiverAttributes, int]
"""A definition, and the revision of its entry in the registry."""


def receiver_of(
    definitions: Iterable[Defined], name: str, groups: Collection[str], *, newer_than: int = 0
) -> GatewayReceiverAttributes | None:
    """Return the receiver that a server has: its own, else its groups' oldest, else every server's; None without any.

    newer_than: a revision; definitions up to it don't count (`destroy gateway-receiver` on some servers only).
    """
    scopes = {f"group {group.lower()}": 1 for group in groups} | {f"member {name.lower()}": 0, "": 2}
    fitting = [
        (scopes[receiver.scope], revision, receiver)
        for receiver, revision in definitions
        if revision > newer_than and receiver.scope in scopes
    ]
    return min(fitting, key=lambda each: each[:2])[2] if fitting else None
