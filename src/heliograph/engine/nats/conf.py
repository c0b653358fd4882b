"""How a private engine is configured: our options, and the `nats.conf` that says the same to `nats-server`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from heliograph.engine.nats.append import HEADERS_BYTES_MAX
from heliograph.engine.seam import APPEND_BYTES_MAX

USER = "heliograph"


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """How engines of one site form a cluster; all but `server_name` and `port` are the same at each of them.

    routes: `host:port` of the cluster ports of all engines. password: of clients and routes.
    """

    name: str
    server_name: str
    port: int
    routes: tuple[str, ...]
    password: str
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How to run a private engine.

    port: 0 takes the port of the directory's previous engine if it is free, or any free one.
    disk_synchronous: sync every append to disk before it is answered.
    """

    host: str = "127.0.0.1"
    port: int = 0
    disk_synchronous: bool = False
    cluster: ClusterOptions | None = None


def configuration(directory: Path, options: EngineOptions, port: int, password: str) -> str:
    """Return the text of `nats.conf`; JSON strings are strings of its grammar too."""
    sync = ", sync_interval: always" if options.disk_synchronous else ""
    text = f"""\
listen: {json.dumps(f"{options.host}:{port}")}
max_payload: {APPEND_BYTES_MAX + HEADERS_BYTES_MAX}
authorization {{ user: {USER}, password: {json.dumps(password)} }}
jetstream {{ store_dir: {json.dumps(str(directory / "jetstream"))}{sync} }}
"""
    return text if options.cluster is None else text + _cluster(options.cluster)


def _cluster(cluster: ClusterOptions) -> str:
    routes = ", ".join(json.dumps(f"nats-route://{USER}:{cluster.password}@{route}") for route in cluster.routes)
    return f"""\
server_name: {json.dumps(cluster.server_name)}
cluster {{
  name: {json.dumps(cluster.name)}
  listen: {json.dumps(f"{cluster.host}:{cluster.port}")}
  authorization {{ user: {USER}, password: {json.dumps(cluster.password)} }}
  routes: [{routes}]
}}
"""
