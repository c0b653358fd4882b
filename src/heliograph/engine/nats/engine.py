"""A connection to a site's NATS JetStream engine.

Streams, buckets and requests about them go through nats-py; appends and deliveries have a bare connection each
(`append`, `consume`), because they are the hot path.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import StreamConfig, StreamInfo
from nats.js.errors import BadRequestError, NotFoundError

from heliograph.engine.nats.append import HEADERS_BYTES_MAX, Appender
from heliograph.engine.nats.blobs import NatsBlobs
from heliograph.engine.nats.connection import Connection, open_connection
from heliograph.engine.nats.failures import translated
from heliograph.engine.nats.log import STREAM, NatsLog, stream_config
from heliograph.engine.nats.registry import NatsRegistry, bucket_config
from heliograph.engine.nats.session import Server, parse_servers
from heliograph.engine.nats.tls import Contexts, client_context
from heliograph.engine.nats.transfer import Extent, check_copies, copy_stream
from heliograph.engine.seam import APPEND_BYTES_MAX
from heliograph.errors import UsageError
from heliograph.model.engine_tls import EngineTls

REQUEST_TIMEOUT_S = 5.0
RECONNECT_WAIT_S = 0.25
PING_INTERVAL_S = 5
VERSION_MIN = (2, 11)
NAME_IN_USE = 10058
OURS = "heliograph"
"""How the descriptions of our streams begin."""

_log = logging.getLogger(__name__)


async def connect_engine(url: str, tls: EngineTls | None = None, *, contexts: Contexts | None = None) -> NatsEngine:
    """Connect to `nats://[user:password@]host:port[,...]` and check that it is a JetStream engine we can use.

    tls: what TLS rests on, for servers that require it and for `tls://` URLs; where it is None, `contexts` has it.

    Raises UsageError (bad URL, credentials refused, older than 2.11, no JetStream) or UnavailableError.
    """
    servers = parse_servers(url, f"heliograph-{secrets.token_hex(4)}")
    if tls is not None or contexts is None:
        context = client_context(tls or EngineTls())
        contexts = lambda: context  # noqa: E731
    appends = await open_connection(servers, contexts)
    try:
        deliveries = await open_connection(servers, contexts)
        try:
            client = await _connect_client(servers, contexts)
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


class _Client(Client):
    """nats-py's client, which sends no credentials in plain text to a server that should have asked for TLS."""

    must_be_tls = False
    contexts: Contexts = staticmethod(ssl.create_default_context)

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """What the next connection is made with."""
        return self.contexts()

    def _connect_command(self) -> bytes:
        if self.must_be_tls and not self._server_info.get("tls_required"):
            raise nats.errors.Error("the engine does not require TLS, and its URL says tls://")
        return super()._connect_command()


async def _connect_client(servers: list[Server], contexts: Contexts) -> Client:
    identity = servers[0].identity

    async def on_error(error: Exception) -> None:
        _log.debug("engine_client_error reason=%s", error)

    client = _Client()
    client.must_be_tls = servers[0].tls
    client.contexts = contexts
    with translated("connect"):
        await client.connect(
            [f"{'tls' if server.tls else 'nats'}://{server.netloc}" for server in servers],
            user=identity.user or None,
            password=identity.password or None,
            token=identity.token or None,
            name=identity.name,
            tls=contexts(),
            error_cb=on_error,
            connect_timeout=int(REQUEST_TIMEOUT_S),
            dont_randomize=True,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]  # any number of seconds
            ping_interval=PING_INTERVAL_S,
            pending_size=0,  # nothing is kept to be written late, after its caller was told that it failed
        )
    return client


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
        names = [info.config.name or "" for info in await self.streams()]
        return sorted(name.removeprefix(STREAM) for name in names if name.startswith(STREAM))

    async def open_registry(self, name: str, *, replicas: int = 1) -> NatsRegistry:
        """As `seam.Engine.open_registry`."""
        await self._open_stream(bucket_config(name, replicas))
        return self.registry(name)

    def registry(self, name: str) -> NatsRegistry:
        """Return a registry that exists."""
        return NatsRegistry(name, self._context, self._deliveries)

    async def open_blobs(self, name: str, *, replicas: int = 1) -> NatsBlobs:
        """As `seam.Engine.open_blobs`."""
        with translated(f"open the blob store {name}"):
            try:
                store = await self._context.create_object_store(
                    name, description=f"{OURS} blob store {name}", replicas=replicas
                )
            except BadRequestError as exc:
                if exc.err_code != NAME_IN_USE:
                    raise
                store = await self._context.object_store(name)  # with another number of replicas
        return NatsBlobs(name, store, self._context, self._deliveries)

    # --- what a locator does with the engine of its site

    @property
    def nodes(self) -> int:
        """Servers of the engine's cluster, as it tells them now; 1 when it tells of none."""
        return max(1, len(self._appends.told))

    async def raise_replicas(self, replicas: int) -> None:
        """Have everything of ours that the engine holds kept in so many copies at least. Raises UnavailableError.

        An operator's engine may hold what others put there: that is left alone.
        """
        for info in await self.streams():
            if (info.config.description or "").startswith(OURS):
                await self._raise_replicas(info, replicas)

    async def raise_replicas_of(self, name: str, replicas: int) -> None:
        """Have a stream kept in so many copies at least. Raises UnavailableError."""
        with translated(f"look at {name}"):
            info = await self._context.stream_info(name)
        await self._raise_replicas(info, replicas)

    async def _raise_replicas(self, info: StreamInfo, replicas: int) -> None:
        before = info.config.num_replicas or 1
        if before < replicas:
            with translated(f"raise the replicas of {info.config.name}"):
                await self._context.update_stream(info.config, num_replicas=replicas)
            _log.info("engine_replicas_raised name=%s replicas=%d before=%d", info.config.name, replicas, before)

    async def holds(self, name: str) -> bool:
        """Say whether there is a stream of that name. Raises UnavailableError when nobody can say now."""
        with translated(f"look for {name}"):
            try:
                await self._context.stream_info(name)
            except NotFoundError:
                return False
        return True

    async def streams(self) -> list[StreamInfo]:
        """Return the streams; in a cluster without those that have no primary replica now. Raises UnavailableError."""
        found: list[StreamInfo] = []
        with translated("list the streams"):
            while page := await self._context.streams_info(offset=len(found)):
                found += page
        return found

    async def delete_stream(self, name: str) -> None:
        """Delete a stream with all that it holds; a missing one is no error. Raises UnavailableError."""
        with translated(f"delete {name}"):
            try:
                await self._context.delete_stream(name)
            except NotFoundError:
                return

    async def copy_stream_to(self, target: NatsEngine, name: str) -> Extent:
        """Copy a stream to an engine that does not have it, see `transfer.copy_stream`."""
        return await copy_stream(self._client, target._client, name)

    async def check_copies(self, name: str, original: Extent, replicas: int) -> None:
        """Compare every replica of a copy with what was copied, see `transfer.check_copies`."""
        await check_copies(self._client, name, original, replicas)

    async def close(self) -> None:
        """As `seam.Engine.close`."""
        await asyncio.gather(self._appends.close(), self._deliveries.close(), self._client.close())

    async def _open_stream(self, config: StreamConfig) -> None:
        """Create a stream, or take the one there is and raise its replicas; they are never lowered, for who asks for
        fewer may have joined when there were fewer.
        """
        with translated(f"open {config.name}"):
            try:
                await self._context.add_stream(config)
                return
            except BadRequestError as exc:
                if exc.err_code != NAME_IN_USE:
                    raise
            info = await self._context.stream_info(config.name or "")
            wanted, found = config.num_replicas or 1, info.config.num_replicas
            if wanted > (found or 1):
                _log.info("engine_stream_changed name=%s replicas=%s before=%s", config.name, wanted, found)
                await self._context.update_stream(info.config, num_replicas=wanted)
