"""How a private engine is configured: our options, and the `nats.conf` that says the same to `nats-server`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from heliograph.engine.nats.append import HEADERS_BYTES_MAX
from heliograph.engine.nats.server_tls import EngineServerTls
from heliograph.engine.seam import APPEND_BYTES_MAX
from heliograph.model.ids import Address

USER = "heliograph"
LOCATOR_USER = "locator"


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """How engines of one site form a cluster; all but `server_name` and `port` are the same at each of them.

    routes: `host:port` of the cluster ports of all engines. password: of clients and routes.
    advertised: `host:port` by which clients reach this engine; it tells the clients of the others.
    closed: only locators are let in, no members: the site's data are not complete yet.
    """

    name: str
    server_name: str
    port: int
    routes: tuple[str, ...]
    password: str
    host: str = "127.0.0.1"
    advertised: str = ""
    closed: bool = False


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How to run a private engine.

    port: 0 takes the port of the directory's previous engine if it is free, or any free one.
    disk_synchronous: sync every append to disk before it is answered. tls: of clients and of engines among themselves.
    """

    host: str = "127.0.0.1"
    port: int = 0
    disk_synchronous: bool = False
    cluster: ClusterOptions | None = None
    tls: EngineServerTls | None = None


def configuration(directory: Path, options: EngineOptions, port: int, password: str) -> str:
    """Return the text of `nats.conf`; JSON strings are strings of its grammar too."""
    sync = ", sync_interval: always" if options.disk_synchronous else ""
    cluster = options.cluster
    text = f"""\
listen: {json.dumps(Address(options.host, port).endpoint)}
max_payload: {APPEND_BYTES_MAX + HEADERS_BYTES_MAX}
authorization {{ {_users(password, cluster)} }}
jetstream {{ store_dir: {json.dumps(str(directory / "jetstream"))}{sync} }}
"""
    if options.tls is not None:
        text += f"{options.tls.block(directory)}\n"
    routes_tls = "" if options.tls is None else options.tls.block(directory, routes=True)
    return text if cluster is None else text + _cluster(cluster, routes_tls)


def locator_password(password: str) -> str:
    """Return the password of `LOCATOR_USER` in a cluster, from that of `USER`."""
    return hashlib.sha256(f"locator:{password}".encode()).hexdigest()


def _users(password: str, cluster: ClusterOptions | None) -> str:
    member = f"user: {USER}, password: {json.dumps(password)}"
    if cluster is None:
        return member
    locator = f"{{ user: {LOCATOR_USER}, password: {json.dumps(locator_password(password))} }}"
    return f"users: [{locator}]" if cluster.closed else f"users: [{locator}, {{ {member} }}]"


def _cluster(cluster: ClusterOptions, tls: str) -> str:
    routes = ", ".join(json.dumps(f"nats-route://{USER}:{cluster.password}@{route}") for route in cluster.routes)
    advertised = f"client_advertise: {json.dumps(cluster.advertised)}\n" if cluster.advertised else ""
    return f"""\
{advertised}server_name: {json.dumps(cluster.server_name)}
cluster {{
  name: {json.dumps(cluster.name)}
  listen: {json.dumps(Address(cluster.host, cluster.port).endpoint)}
  authorization {{ user: {USER}, password: {json.dumps(cluster.password)} }}
  routes: [{routes}]
  {tls}
}}
"""
