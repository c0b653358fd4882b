"""A connection to a site's NATS JetStream engine.

Streams, buckets and requests about them go through nats-py; appends and deliveries have a bare connection each
(`append`, `consume`), because they are the hot path.
"""

from __future__ import annotations

import asyncio
import logging
import secrets

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import StreamConfig
from nats.js.errors import BadRequestError

from heliograph.engine.nats.append import HEADERS_BYTES_MAX, Appender
from heliograph.engine.nats.blobs import NatsBlobs
from heliograph.engine.nats.connection import Connection, open_connection
from heliograph.engine.nats.failures import translated
from heliograph.engine.nats.log import STREAM, NatsLog, stream_config
from heliograph.engine.nats.registry import NatsRegistry, bucket_config
from heliograph.engine.nats.session import Server, parse_servers
from heliograph.engine.seam import APPEND_BYTES_MAX
from heliograph.errors import UsageError

REQUEST_TIMEOUT_S = 5.0
RECONNECT_WAIT_S = 0.25
PING_INTERVAL_S = 5
VERSION_MIN = (2, 11)
NAME_IN_USE = 10058

_log = logging.getLogger(__name__)


async def connect_engine(url: str) -> NatsEngine:
    """Connect to `nats://[user:password@]host:port[,...]` and check that it is a JetStream engine we can use.

    Raises UsageError (bad URL, credentials refused, older than 2.11, no JetStream) or UnavailableError.
    """
    servers = parse_servers(url, f"heliograph-{secrets.token_hex(4)}")
    appends = await open_connection(servers)
    try:
        deliveries = await open_connection(servers)
        try:
            client = await _connect_client(servers)
        except BaseException:
            await deliveries.close()
            raise
    except BaseException:
        await appends.close()
        raise
    engine = NatsEngine(client, appends, deliveries)
    try:
        await engine.check()
    except BaseException:
        await engine.close()
        raise
    return engine


async def _connect_client(servers: list[Server]) -> Client:
    identity = servers[0].identity

    async def on_error(error: Exception) -> None:
        _log.debug("engine_client_error reason=%s", error)

    with translated("connect"):
        return await nats.connect(
            [f"nats://{server.host}:{server.port}" for server in servers],
            user=identity.user or None,
            password=identity.password or None,
            token=identity.token or None,
            name=identity.name,
            error_cb=on_error,
            connect_timeout=int(REQUEST_TIMEOUT_S),
            dont_randomize=True,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_WAIT_S,
            ping_interval=PING_INTERVAL_S,
            pending_size=0,  # nothing is kept to be written late, after its caller was told that it failed
        )


class NatsEngine:
    """`seam.Engine` on NATS JetStream."""

    def __init__(self, client: Client, appends: Connection, deliveries: Connection) -> None:
        self._client = client
        self._context: JetStreamContext = client.jetstream(timeout=REQUEST_TIMEOUT_S)
        self._appends = appends
        self._deliveries = deliveries
        self._appender = Appender(appends)

    @property
    def connected(self) -> bool:
        """As `seam.Engine.connected`."""
        return self._appends.connected and self._deliveries.connected and self._client.is_connected

    async def check(self) -> None:
        """Raise UsageError unless the engine is one that we can use."""
        version = self._client.connected_server_version
        if (version.major, version.minor) < VERSION_MIN:
            raise UsageError(f"the engine is nats-server {version}: use 2.11 or newer")
        allowed = self._appends.max_payload - HEADERS_BYTES_MAX
        if allowed < APPEND_BYTES_MAX:
            _log.warning("engine_max_payload allowed=%d wanted=%d", allowed, APPEND_BYTES_MAX)
        with translated("offer JetStream"):
            await self._context.account_info()

    async def open_log(self, store: str, *, replicas: int = 1) -> NatsLog:
        """As `seam.Engine.open_log`."""
        await self._open_stream(stream_config(store, replicas))
        return NatsLog(store, self._context, self._appender, self._deliveries)

    async def stores(self) -> list[str]:
        """As `seam.Engine.stores`."""
        names: list[str] = []
        with translated("list the disk stores"):
            while page := await self._context.streams_info(offset=len(names)):
                names += [info.config.name or "" for info in page]
        return sorted(name.removeprefix(STREAM) for name in names if name.startswith(STREAM))

    async def open_registry(self, name: str, *, replicas: int = 1) -> NatsRegistry:
        """As `seam.Engine.open_registry`."""
        await self._open_stream(bucket_config(name, replicas))
        return NatsRegistry(name, self._context, self._deliveries)

    async def open_blobs(self, name: str, *, replicas: int = 1) -> NatsBlobs:
        """As `seam.Engine.open_blobs`."""
        with translated(f"open the blob store {name}"):
            store = await self._context.create_object_store(name, replicas=replicas)
        return NatsBlobs(name, store, self._context, self._deliveries)

    async def close(self) -> None:
        """As `seam.Engine.close`."""
        await asyncio.gather(self._appends.close(), self._deliveries.close(), self._client.close())

    async def _open_stream(self, config: StreamConfig) -> None:
        """Create a stream, or take the one there is and change what may differ: the replicas."""
        with translated(f"open {config.name}"):
            try:
                await self._context.add_stream(config)
                return
            except BadRequestError as exc:
                if exc.err_code != NAME_IN_USE:
                    raise
            info = await self._context.stream_info(config.name or "")
            wanted, found = config.num_replicas, info.config.num_replicas
            if wanted != found:
                _log.info("engine_stream_changed name=%s replicas=%s before=%s", config.name, wanted, found)
                await self._context.update_stream(info.config, num_replicas=wanted)
