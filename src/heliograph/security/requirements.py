"""What every role of a hello and every request on a link needs: one table each. What is absent is refused.

A member of the site, or another of its locators, is a *peer*: it needs `CLUSTER:MANAGE` to open a link, as it is told
the engine's password, and may then ask everything that its role may.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from heliograph.link import messages
from heliograph.link.hello import Hello
from heliograph.link.messages import Request
from heliograph.security.permissions import (
    CLUSTER,
    DATA,
    GATEWAY,
    MANAGE,
    READ,
    SITE,
    WRITE,
    Permission,
    site_permission,
)

MANAGE_CLUSTER = Permission(CLUSTER, MANAGE)


class Rule(msgspec.Struct, frozen=True):
    """What a kind of request needs: of DATA for the region that it names, of SITE for the site that it speaks for.

    keys: the field with the keys of the request; whoever has not the region needs each of them.
    """

    resource: str = CLUSTER
    operation: str = MANAGE
    target: str = ""
    keys: Literal["", "key", "keys"] = ""


SIGNED_IN = Rule("", "")
"""Enough that we know who it is: nothing secret is told, and every client needs it."""
_PEER = Rule()
_LOOK = Rule(CLUSTER, READ)
_GATEWAY = Rule(CLUSTER, MANAGE, GATEWAY)

RULES: dict[type, Rule] = {
    messages.PutAll: Rule(DATA, WRITE, keys="keys"),
    messages.Change: Rule(DATA, WRITE, keys="key"),
    messages.Clear: Rule(DATA, WRITE),
    messages.GetAll: Rule(DATA, READ, keys="keys"),
    messages.Keys: Rule(DATA, READ),
    messages.Size: Rule(DATA, READ),
    messages.Listen: Rule(DATA, READ),
    messages.Select: Rule(DATA, READ),
    messages.Locate: Rule(DATA, READ, keys="key"),
    messages.PutSilently: _PEER,
    messages.ApplyParts: _PEER,
    messages.WereRead: _PEER,
    messages.SiteQuery: SIGNED_IN,
    messages.JoinQuery: _PEER,
    messages.EngineQuery: _PEER,
    messages.ReceiversQuery: _LOOK,
    messages.Exchange: Rule(SITE, ""),
    messages.StatusQuery: _LOOK,
    messages.CopiesQuery: _LOOK,
    messages.GatewayQuery: _LOOK,
    messages.ConflictQuery: _LOOK,
    messages.DiskStoreQuery: _LOOK,
    messages.LogEndsQuery: _LOOK,
    messages.WanCopyQuery: _LOOK,
    messages.SettingsQuery: _LOOK,
    messages.LogQuery: _LOOK,
    messages.LogTail: _LOOK,
    messages.ShutDown: _PEER,
    messages.LogLevelCommand: Rule(CLUSTER, WRITE),
    messages.Apply: _PEER,
    messages.Rebalance: Rule(DATA, MANAGE),
    messages.SenderCommand: _GATEWAY,
    messages.ReceiverCommand: _GATEWAY,
    messages.Redrive: _GATEWAY,
    messages.WanCopy: _PEER,
    messages.WanCopyCancel: _GATEWAY,
    messages.Export: _PEER,
    messages.Import: _PEER,
    messages.FilesQuery: _PEER,
    messages.TransferQuery: _LOOK,
    messages.TransferCancel: _PEER,
}


def needed_for(message: Request) -> Permission | None:
    """Return what a request needs, without a look at its keys; None when it is enough to be signed in."""
    rule = RULES[type(message)]
    if rule is SIGNED_IN:
        return None
    if isinstance(message, messages.Exchange):
        return site_permission(message.sender.dsid)
    return Permission(rule.resource, rule.operation, rule.target or getattr(message, "region", ""))


def is_peer(hello: Hello, dsid: int) -> bool:
    """Say whether who says this hello is of our own site, `dsid`."""
    return hello.role in ("member", "server") or (hello.role == "locator" and hello.dsid == dsid)


def needed_to_open(hello: Hello, dsid: int) -> Permission | None:
    """Return what who says this hello to us, of site `dsid`, needs; None when it is enough to be signed in."""
    if is_peer(hello, dsid):
        return MANAGE_CLUSTER
    return site_permission(hello.dsid) if hello.role in ("sender", "locator") else None
