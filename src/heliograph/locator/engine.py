"""The site's engine as its locator has it: a private one that it runs, alone or in a cluster, or an existing one."""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast
from urllib.parse import quote

import msgspec

from heliograph.engine.nats.conf import LOCATOR_USER, USER, ClusterOptions, EngineOptions, locator_password
from heliograph.engine.nats.engine import connect_engine
from heliograph.engine.nats.server import PrivateEngine
from heliograph.engine.nats.server_tls import EngineServerTls
from heliograph.engine.nats.tls import Contexts
from heliograph.engine.seam import Engine
from heliograph.errors import UsageError, invariant
from heliograph.link.messages import ClusterPlan, EngineNode
from heliograph.locator.assembly import Assembly, engine_host, read_kept
from heliograph.locator.config import LocatorConfig
from heliograph.locator.growth import forget_alone, grow
from heliograph.model.engine_tls import EngineTls
from heliograph.model.ids import Address
from heliograph.net.tls import TlsContexts

REPLICAS = 3
"""Copies of everything in an existing engine that has as many servers."""


@dataclass(frozen=True)
class SiteEngine:
    """A connection to the engine.

    urls: those (with credentials) by which the site's members connect to it too, as they are now: keep them out of
    logs. replicas: how many copies of everything the engine keeps, or is about to. tend: what has to be done for it now
    and then. tls: for connections to it.
    """

    engine: Engine
    urls: Callable[[], tuple[str, ...]]
    replicas: Callable[[], int] = lambda: 1
    private: PrivateEngine | None = None
    tend: Callable[[], Awaitable[None]] | None = None
    tls: EngineTls | None = None

    def url_for(self, member: str) -> str:
        """Return every url, separated by commas; each member has one of them first, so that they spread."""
        urls = self.urls()
        first = zlib.crc32(member.encode()) % len(urls)
        return ",".join(urls[first:] + urls[:first])

    async def close(self) -> None:
        """Close the connection, and stop the engine if it is private."""
        await self.engine.close()
        if self.private is not None:
            await self.private.stop()


OpenEngine = Callable[[LocatorConfig, Assembly], Awaitable[SiteEngine]]


async def open_site_engine(config: LocatorConfig, assembly: Assembly) -> SiteEngine:
    """Start the private engine, or connect to the one at `config.engine`. Raises UsageError and UnavailableError.

    A private engine listens where members expect it: see `engine_host`. Of three locators this returns when a majority
    of their engines has found together.
    """
    if config.engine is not None:
        return await _open_existing(config, config.engine)
    if config.forms_cluster:
        return await _open_clustered(config, assembly)
    kept = read_kept(config.engine_directory / "cluster.json")
    if kept is not None:
        names = ", ".join(node.name for node in kept.plan.nodes) if kept.plan else "several"
        raise UsageError(
            f"locator {config.name} is one of {names}, whose engines form a cluster: give the --locators that it was "
            "started with"
        )
    return await _open_alone(config)


async def _open_existing(config: LocatorConfig, url: str) -> SiteEngine:
    if config.engine_credentials_file:
        url = with_credentials(url, read_file("engine-credentials-file", config.engine_credentials_file).strip())
    tls = EngineTls(
        ca=read_file("engine-ca-file", config.engine_ca_file),
        certificate=read_file("engine-certificate-file", config.engine_certificate_file),
        key=read_file("engine-key-file", config.engine_key_file),
    )
    engine = await connect_engine(url, tls)
    most_nodes = 1

    def replicas() -> int:
        """One server of the engine may be down when the locator starts, or join later; copies are never taken away."""
        nonlocal most_nodes
        most_nodes = max(most_nodes, engine.nodes)
        return config.engine_replicas or (REPLICAS if most_nodes >= REPLICAS else 1)

    return SiteEngine(engine, lambda: (url,), replicas, None, lambda: engine.raise_replicas(replicas()), tls)


def read_file(option: str, path: str) -> str:
    """Return the text of a file that an option names, "" without one. Raises UsageError."""
    if not path:
        return ""
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"{option}: {path} can't be read ({type(exc).__name__})") from exc


def with_credentials(url: str, credentials: str) -> str:
    """Return an engine's url with `user:password` or a token. Raises UsageError when it has some already."""
    if "@" in url:
        raise UsageError("engine-credentials-file: the engine URL holds credentials already, give them once")
    if not credentials or len(credentials.splitlines()) > 1:
        raise UsageError("engine-credentials-file: write user:password, or a token, into one line")
    user, colon, password = credentials.partition(":")
    shown = quote(user, safe="") + (f":{quote(password, safe='')}" if colon else "")
    first, *others = url.split(",")
    scheme, found, host = first.strip().rpartition("://")
    return ",".join([f"{scheme if found else 'nats'}://{shown}@{host}", *others])


async def _open_alone(config: LocatorConfig) -> SiteEngine:
    contexts, tls = _tls_of(config)
    options = EngineOptions(engine_host(config), disk_synchronous=config.disk_synchronous, tls=tls)
    private = PrivateEngine(config.engine_directory, options, contexts)
    await private.start()
    try:
        engine = await connect_engine(private.url, contexts=contexts)
    except BaseException:
        await private.stop()
        raise
    url = engine_url(USER, private.password, config.advertised_host, private.port, tls=tls is not None)
    return SiteEngine(engine, lambda: (url,), private=private, tend=private.tend)


async def _open_clustered(config: LocatorConfig, assembly: Assembly) -> SiteEngine:
    plan = await assembly.agree()
    contexts, tls = _tls_of(config)
    options = replace(cluster_options(config, assembly.node, plan), tls=tls)
    private = PrivateEngine(assembly.directory, options, contexts)
    assembly.release_ports()
    await private.start()
    replicas = len(plan.nodes)
    try:
        engine = await assembly.until(
            "a majority of the site's engines",
            lambda: connect_engine(_locator_url(config, assembly), contexts=contexts),
        )
        try:
            if plan.grow_from:
                await grow(assembly, engine, replicas)
                await private.admit_members()
            await asyncio.to_thread(forget_alone, assembly)
        except BaseException:
            await engine.close()
            raise
    except BaseException:
        await private.stop()
        raise

    def urls() -> tuple[str, ...]:
        plan = assembly.plan
        secured = tls is not None
        return tuple(engine_url(USER, plan.password, n.host, n.client_port, tls=secured) for n in plan.nodes)

    async def tend() -> None:
        await engine.raise_replicas(replicas)
        await private.tend()

    return SiteEngine(engine, urls, lambda: replicas, private, tend)


def _tls_of(config: LocatorConfig) -> tuple[Contexts | None, EngineServerTls | None]:
    """Return how the private engine is connected to, and its own TLS. Raises UsageError."""
    component = config.tls.component_of("engine")
    if component is None:
        return None, None
    # The host is checked by members: a locator reaches its own engine at a bind address, which no certificate is for.
    contexts = TlsContexts(msgspec.structs.replace(config.tls, endpoint_identification_enabled=False))
    stores = config.tls.stores_of(component)
    server = EngineServerTls(
        stores.keystore,
        stores.keystore_password,
        stores.truststore,
        asks_certificates=config.tls.require_authentication,
        newest_only=config.tls.versions(listening=True) == ("TLSv1.3",),
    )
    return partial(_connecting, contexts), server


def _connecting(contexts: TlsContexts) -> ssl.SSLContext:
    context = contexts.connecting("engine")
    invariant(context is not None, "an engine that spoke TLS does not any more")
    return cast("ssl.SSLContext", context)


def cluster_options(config: LocatorConfig, own: EngineNode, plan: ClusterPlan) -> EngineOptions:
    """Return how the engine of one node of the plan is run."""
    host = engine_host(config)
    cluster = ClusterOptions(
        name=plan.id,
        server_name=own.name,
        port=own.cluster_port,
        routes=tuple(Address(node.host, node.cluster_port).endpoint for node in plan.nodes),
        password=plan.password,
        host=host,
        advertised=Address(own.host, own.client_port).endpoint,
        closed=bool(plan.grow_from),
    )
    return EngineOptions(host, own.client_port, config.disk_synchronous, cluster)


def _locator_url(config: LocatorConfig, assembly: Assembly) -> str:
    """Return the urls for this locator itself: its own engine's, then the others'."""
    plan, own = assembly.plan, assembly.node
    password = locator_password(plan.password)
    tls = config.tls.component_of("engine") is not None
    places = [(engine_host(config), own.client_port)]
    places += [(node.host, node.client_port) for node in plan.nodes if node.name != own.name]
    return ",".join(engine_url(LOCATOR_USER, password, host, port, tls=tls) for host, port in places)


def engine_url(user: str, password: str, host: str, port: int, *, tls: bool = False) -> str:
    """Return the url of an engine with the credentials for it."""
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return f"{'tls' if tls else 'nats'}://{login}@{Address(host, port).endpoint}"
