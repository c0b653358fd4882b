"""What every route of the admin API needs (the routes: `heliograph.admin`). What is absent is refused.

`{name}` and the like stand for what the path, or the query, has there.
"""

from __future__ import annotations

from collections.abc import Mapping

from heliograph.security.permissions import (
    CLUSTER,
    DATA,
    DEPLOY,
    DISK,
    GATEWAY,
    MANAGE,
    READ,
    WRITE,
    Permission,
)

LOOK = (Permission(CLUSTER, READ),)
_GATEWAYS = (Permission(CLUSTER, MANAGE, GATEWAY),)
_DISKS = (Permission(CLUSTER, MANAGE, DISK),)
_QUEUES = (Permission(CLUSTER, MANAGE, DEPLOY),)
_ALL_DATA = (Permission(DATA, MANAGE),)
_REGION = (Permission(DATA, MANAGE, "{name}"),)
_READ_REGION = (Permission(DATA, READ, "{name}"),)
_WRITE_REGION = (Permission(DATA, WRITE, "{name}"),)
_READ_ENTRY = (Permission(DATA, READ, "{name}", "{key}"),)
_WRITE_ENTRY = (Permission(DATA, WRITE, "{name}", "{key}"),)

COMMANDS: dict[tuple[str, str], tuple[Permission, ...]] = {
    ("GET", "/ping"): (),
    ("GET", "/version"): (),
    ("GET", "/members"): LOOK,
    ("GET", "/members/{name}"): LOOK,
    ("GET", "/members/{name}/settings"): LOOK,
    ("GET", "/shutdown"): LOOK,
    ("POST", "/members/{name}/shutdown"): (Permission(CLUSTER, MANAGE),),
    ("GET", "/members/{name}/log"): LOOK,
    ("GET", "/members/{name}/log/tail"): LOOK,
    ("POST", "/log-level"): (Permission(CLUSTER, WRITE),),
    ("PATCH", "/runtime"): (Permission(CLUSTER, MANAGE),),
    ("POST", "/rebalance"): _ALL_DATA,
    ("GET", "/rebalance"): LOOK,
    ("DELETE", "/rebalance"): _ALL_DATA,
    ("GET", "/redundancy"): LOOK,
    ("GET", "/metrics"): LOOK,
    ("GET", "/regions"): LOOK,
    ("POST", "/regions"): _ALL_DATA,
    ("GET", "/regions/{name}"): LOOK,
    ("PATCH", "/regions/{name}"): _REGION,
    ("DELETE", "/regions/{name}"): _REGION,
    ("GET", "/regions/{name}/entry"): _READ_ENTRY,
    ("GET", "/regions/{name}/entry/locations"): _READ_ENTRY,
    ("GET", "/regions/{name}/query"): (Permission(DATA, READ, "{name}"),),
    ("PUT", "/regions/{name}/entry"): _WRITE_ENTRY,
    ("DELETE", "/regions/{name}/entry"): _WRITE_ENTRY,
    ("DELETE", "/regions/{name}/entries"): _WRITE_REGION,
    ("POST", "/regions/{name}/exports"): _READ_REGION,
    ("GET", "/regions/{name}/exports/{run}"): _READ_REGION,
    ("DELETE", "/regions/{name}/exports/{run}"): _READ_REGION,
    ("POST", "/regions/{name}/imports"): _WRITE_REGION,
    ("GET", "/regions/{name}/imports/{run}"): _WRITE_REGION,
    ("DELETE", "/regions/{name}/imports/{run}"): _WRITE_REGION,
    ("GET", "/disk-stores"): LOOK,
    ("POST", "/disk-stores"): _DISKS,
    ("GET", "/disk-stores/{name}"): LOOK,
    ("PATCH", "/disk-stores/{name}"): _DISKS,
    ("DELETE", "/disk-stores/{name}"): _DISKS,
    ("POST", "/gateway-senders"): _GATEWAYS,
    ("GET", "/gateway-senders/{sender}"): LOOK,
    ("PATCH", "/gateway-senders/{sender}"): _GATEWAYS,
    ("DELETE", "/gateway-senders/{sender}"): _GATEWAYS,
    ("POST", "/gateway-senders/{sender}/actions/{action}"): _GATEWAYS,
    ("GET", "/gateway-senders/{sender}/parked-events"): LOOK,
    ("POST", "/gateway-senders/{sender}/parked-events/redrive"): _GATEWAYS,
    ("DELETE", "/gateway-senders/{sender}/parked-events"): _GATEWAYS,
    ("GET", "/parked-events"): LOOK,
    ("POST", "/wan-copies"): (*_GATEWAYS, Permission(DATA, READ)),
    ("GET", "/wan-copies/{run}"): LOOK,
    ("DELETE", "/wan-copies"): _GATEWAYS,
    ("POST", "/gateway-receivers"): _GATEWAYS,
    ("GET", "/gateway-receivers"): LOOK,
    ("DELETE", "/gateway-receivers"): _GATEWAYS,
    ("POST", "/gateway-receivers/actions/{action}"): _GATEWAYS,
    ("POST", "/gateway-conflict-resolver"): _GATEWAYS,
    ("DELETE", "/gateway-conflict-resolver"): _GATEWAYS,
    ("GET", "/conflicts"): LOOK,
    ("GET", "/async-event-queues"): LOOK,
    ("POST", "/async-event-queues"): _QUEUES,
    ("GET", "/async-event-queues/{queue}"): LOOK,
    ("PATCH", "/async-event-queues/{queue}"): _QUEUES,
    ("DELETE", "/async-event-queues/{queue}"): _QUEUES,
    ("POST", "/async-event-queues/{queue}/actions/{action}"): _QUEUES,
    ("GET", "/gateways"): LOOK,
    ("GET", "/cluster-configuration"): LOOK,
    ("GET", "/cluster-configuration/service"): LOOK,
    ("POST", "/cluster-configuration"): (Permission(CLUSTER, MANAGE), Permission(DATA, MANAGE)),
}


def needed_by(method: str, route: str, values: Mapping[str, str]) -> tuple[Permission, ...] | None:
    """Return what a request needs; None for a route that has no entry, which nobody may use.

    route: without the base, its names in braces. values: of these names, and of the query's parameters.
    """
    needed = COMMANDS.get((method, route))
    return None if needed is None else tuple(_filled(permission, values) for permission in needed)


def _filled(permission: Permission, values: Mapping[str, str]) -> Permission:
    return Permission(
        permission.resource,
        permission.operation,
        _value(permission.target, values).removeprefix("/"),
        _value(permission.key, values),
    )


def _value(part: str, values: Mapping[str, str]) -> str:
    return values.get(part[1:-1], "") if part.startswith("{") else part
