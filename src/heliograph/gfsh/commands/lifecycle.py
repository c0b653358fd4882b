"""start locator, start server (gfsh.md §3.1, §3.2)."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
import msgspec

from heliograph.config.known import KNOWN, REFUSED
from heliograph.config.properties import Property
from heliograph.errors import AuthenticationError, HeliographError, NotAuthorizedError, UnavailableError, UsageError
from heliograph.gfsh.commands.configuration import PATH as CONFIGURATION
from heliograph.gfsh.commands.connection import connect_to
from heliograph.gfsh.commands.rebalance import PATH as REBALANCE
from heliograph.gfsh.grammar import (
    ADDRESS,
    ADDRESSES,
    BOOLEAN,
    PORT,
    TEXT_LIST,
    attributes,
    command,
    note_refused,
    refused,
)
from heliograph.gfsh.java import read_classpath, read_java, with_java
from heliograph.gfsh.passwords import ask_password
from heliograph.gfsh.property_files import property_files, read_property_files
from heliograph.gfsh.session import Session
from heliograph.locator.config import LocatorConfig
from heliograph.model.ids import Address
from heliograph.model.log_levels import DEFAULT, LEVELS
from heliograph.model.members import MemberKind
from heliograph.model.refusals import START_LOCATOR, START_SERVER
from heliograph.model.results import Result
from heliograph.model.tls import NO_TLS, Port, TlsProperties
from heliograph.process.settings import FILES
from heliograph.security.users import PASSWORD, USERNAME

if TYPE_CHECKING:
    from heliograph.api.cache_config import CacheOptions
    from heliograph.config.reading import Settings
    from heliograph.gfsh.processes import ProcessState

_HELPS = {
    "name": "Name of the process; by default one is made up.",
    "directory": "Working directory, made when it is missing. [default: ./<name>]",
    "hostname_for_clients": "Host that others are told; by default the bind address, else 127.0.0.1: give it when "
    "others are on other machines.",
    "http_service_bind_address": "Interface of the admin API, where everybody may do everything unless there is a "
    "security-manager; 0.0.0.0: every one.",
    "distributed_system_id": "Number of the site, 0 to 255.",
    "remote_locators": "Locators of other sites.",
}
LOCATOR_LOOK_S = 0.2
SERVER_PORT = 40404
_AS_PROPERTIES = ("mcast-address", "mcast-port")
"""Options that GemFire has as properties, too."""
_OF_LOCATOR = (
    *_AS_PROPERTIES,
    "jmx-manager-hostname-for-clients",
    "enable-cluster-configuration",
    "load-cluster-configuration-from-dir",
)
_OF_SERVER = (*_AS_PROPERTIES, "enable-time-statistics", "statistic-archive-file", "use-cluster-configuration")


def _read_java(ctx: click.Context, _: click.Parameter, texts: tuple[str, ...]) -> list[Property]:
    properties, reasons = read_java(texts)
    for reason in reasons:
        note_refused(ctx, reason)
    return properties


_java = click.option(
    "--J", "java", multiple=True, callback=_read_java,
    help="-Dgemfire.<property>=<value>: any property that a --properties-file may have; may be given several times.",
)  # fmt: skip
_classpath = click.option(
    "--classpath", default="", callback=lambda _context, _param, text: read_classpath(text),
    help=f"Directories and zip files that modules of plug-ins are taken from, with {os.pathsep} between them.",
)  # fmt: skip


@command("start locator")
@attributes(
    LocatorConfig,
    {
        **_HELPS,
        "port": "Port to listen on; 0: a free one.",
        "bind_address": "Interface to listen on; by default every one.",
        "locators": "Locators of this site.",
        "http_service_port": "Port of the admin API; 0: a free one.",
        "engine": "An existing JetStream cluster (nats://host:port,... or tls://...) instead of a private engine.",
        "engine_credentials_file": "File with the engine's user:password or token: better than in its URL.",
        "engine_ca_file": "PEM file with whom to trust about the engine; by default whom the system trusts.",
        "engine_certificate_file": "PEM file with the certificate to show to the engine.",
        "engine_key_file": "PEM file with the key of that certificate.",
        "engine_replicas": "Copies in the engine: 1, 3 or 5; by default 3 where it has so many servers, else 1.",
        "member_timeout_ms": "A member silent for so long (ms) is gone.",
        "max_clock_skew": "A clock of another site that is further ahead (ms): what it sends is refused, and waits.",
        "tombstone_timeout": "Seconds that what a removal leaves is kept at least. [default: 600]",
        "tombstone_max_age": "Seconds after which it is no longer kept for a site that is away. [default: 604800]",
        "log_level": f"What its log holds: this level and those above it ({', '.join(LEVELS)}). [default: {DEFAULT}]",
        "disk_synchronous": "Sync every append to disk before it is acknowledged.",
    },
    spelled={"directory": ("dir",), "member_timeout_ms": ("member-timeout",)},
    optional=("name",),
    without=("tls", "security", "sources"),
)
@property_files
@_java
@_classpath
@refused({**START_LOCATOR, **{name: REFUSED[name] for name in _OF_LOCATOR}})
@click.option("--connect", "connects", type=BOOLEAN, default=True, help="Connect to it afterwards. [default: true]")
@click.pass_obj
def start_locator(
    session: Session, /, java: list[Property], classpath: tuple[str, ...], connects: bool, **options: Any
) -> Result:
    """Start a locator, and with it a site."""
    settings, options = read_property_files("locator", options, java)
    options = with_java("locator", options, settings, java)
    fields = _placed("locator", {**settings.options, **options})
    sources = dict.fromkeys(settings.options.keys() - options.keys(), FILES)
    config = LocatorConfig(**fields, tls=settings.tls, security=settings.security, sources=sources)
    _check_apart(session, config)
    state, block = _start(
        "locator", config.name, config.directory, msgspec.to_builtins(config), settings, classpath=classpath
    )
    _go_by(session, settings.tls)
    if not connects or session.connection is not None:
        return block
    try:
        connected = connect_to(session, _address(state))
    except HeliographError as exc:
        return msgspec.structs.replace(block, info=[*block.info, f"Not connected to it ({exc}): use `connect`."])
    return msgspec.structs.replace(block, info=[*block.info, *connected.info])


@command("start server")
@click.option("--name", help=_HELPS["name"])
@click.option("--dir", "directory", help=_HELPS["directory"])
@click.option("--server-port", type=PORT, help=f"Port to listen on; 0: a free one. [default: {SERVER_PORT}]")
@click.option("--server-bind-address", help="Interface to listen on; by default every one.")
@click.option("--bind-address", help="The same: clients and members find a server at one address.")
@click.option("--hostname-for-clients", help=_HELPS["hostname_for_clients"])
@click.option("--server-groups", "--groups", "--group", "groups", type=TEXT_LIST, help="Groups that it belongs to.")
@click.option("--locators", type=ADDRESSES, help="Locators of the site to join; by default the one connected to.")
@click.option("--locator-wait-time", type=click.INT, help="Seconds to wait for a locator that answers. [default: 30]")
@click.option("--log-level", help=f"What its log holds: this level and those above it. [default: {DEFAULT}]")
@click.option("--redundancy-zone", help="No two copies of a bucket are put on servers of one zone.")
@click.option("--start-locator", type=ADDRESS, help="Begin a site: where a locator inside the server listens.")
@click.option("--distributed-system-id", type=click.INT, help=_HELPS["distributed_system_id"])
@click.option("--remote-locators", type=ADDRESSES, help=_HELPS["remote_locators"])
@click.option("--http-service-port", type=PORT, help="Port of the admin API of a locator inside; 0: a free one.")
@click.option("--http-service-bind-address", help=_HELPS["http_service_bind_address"] + " [default: 127.0.0.1]")
@click.option("--rebalance", "rebalances", type=BOOLEAN, default=False,
              help="Then begin to give it its share of the buckets. [default: false]")  # fmt: skip
@click.option("--user", "--username", "user", help="Who the server is, where the site wants to know.")
@click.option("--password", help="Its password; better in a --security-properties-file, or not given: it is asked for.")
@_java
@_classpath
@click.option("--cache-xml-file", help="A cache.xml: the site is given what it defines and lacks.")
@property_files
@refused({**START_SERVER, **{name: REFUSED[name] for name in _OF_SERVER}})
@click.pass_obj
def start_server(
    session: Session, /, java: list[Property], classpath: tuple[str, ...], rebalances: bool, **options: Any
) -> Result:
    """Start a server; without locators it runs one inside itself."""
    from heliograph.api.cache_config import read_options
    from heliograph.member.config import LOCATOR_WAIT_S

    properties = [*java, *_credentials(options)]
    settings, options = read_property_files("server", _with_one_interface(options), properties)
    options = with_java("server", options, settings, properties)
    fields = _placed("server", {**settings.options, **options})
    fields.setdefault("server_port", _port_of(fields))
    locators = fields.get("locators") or (() if "start_locator" in fields else _connected_locator(session))
    if locators:
        fields = _joining({**fields, "locators": locators}, settings)
    name = fields.pop("name")
    passed_on = _as_given(fields, options, settings)
    read_options(name, cast("CacheOptions", passed_on))
    waits_s = fields.get("locator_wait_time", LOCATOR_WAIT_S)
    _, block = _start("server", name, fields["directory"], passed_on, settings, waits_s, classpath)
    _go_by(session, settings.tls)
    return _rebalancing(session, block, locators, settings) if rebalances and locators else block


def _with_one_interface(options: dict[str, Any]) -> dict[str, Any]:
    """Replace the two options that say where a server listens by one field. Raises UsageError when they differ."""
    given = [each for each in (options.pop("server_bind_address"), options.pop("bind_address")) if each is not None]
    if len(set(given)) > 1:
        raise UsageError("--server-bind-address and --bind-address differ, and a server listens at one address")
    return {**options, "bind_address": given[0] if given else None}


def _credentials(options: dict[str, Any]) -> list[Property]:
    """Take --user and --password out, as properties; ask for a password that is missing. Raises UsageError."""
    user, password = options.pop("user"), options.pop("password")
    if user is None:
        if password is not None:
            raise UsageError("--password is given without --user")
        return []
    password = ask_password() if password is None else password
    return [Property(USERNAME, user, "--user"), Property(PASSWORD, password, "--password")]


def _rebalancing(session: Session, block: Result, locators: tuple[Address, ...], settings: Settings) -> Result:
    """Have the site begin to give a server its share of the buckets, and say so."""
    from heliograph.locator.requests import RebalanceRequest

    aside = session.aside()
    if session.connection is None:
        aside.tls, aside.identity = settings.tls, settings.security
    try:
        connect_to(aside, *locators)
        begun = aside.client.call("POST", REBALANCE, RebalanceRequest())
        said = ["Rebalancing has begun."] if begun.status == "OK" else begun.info
    except HeliographError as exc:
        said = [f"Rebalancing could not begin ({exc}): use `rebalance`."]
    finally:
        aside.disconnect()
    return msgspec.structs.replace(block, info=[*block.info, *said])


def _check_apart(session: Session, config: LocatorConfig) -> None:
    """Raise UsageError when a locator would begin a second site with the number of the one connected to.

    GemFire's would join that one (gfsh.md §3.1). Here the locators of a site are all started with one list of them.
    """
    session.drop_lost()
    if session.connection is None or config.locators or config.engine is not None:
        return
    from heliograph.locator.site_configuration import DSID

    connected = session.client.call("GET", CONFIGURATION).data.get(DSID)
    if connected == str(config.site):
        raise UsageError(
            f"the shell is connected to site {connected} ({session.connection}): to add locators to it, start three of "
            "them with the same --locators; to begin another site, `disconnect` first"
        )


def _as_given(fields: dict[str, Any], options: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Return what a server is told, over a pipe: properties as properties, by name, for they may hold passwords.

    fields: everything; options: what was given on the command line.
    """
    from_files = {
        name: text
        for name, text in settings.given.items()
        if (field := KNOWN["server"][name].field) in fields and field not in options
    }
    said = {KNOWN["server"][name].field for name in from_files}
    told = {option: _text(value) for option, value in fields.items() if option not in said}
    if from_files:
        told["properties_file"] = from_files
    if settings.passed_on:
        told["security_properties_file"] = dict(settings.passed_on)
    return told


def _go_by(session: Session, tls: TlsProperties) -> None:
    """Reach processes as the one that was just started does, unless `connect` has said how."""
    if session.connection is None and tls != NO_TLS:
        session.tls = tls


def _port_of(fields: dict[str, Any]) -> int:
    """Return the port of a server that is given none: that of its cache.xml, if it has one."""
    if "cache_xml_file" not in fields:
        return SERVER_PORT
    from heliograph.config.cache_xml import read_cache_xml

    return int(read_cache_xml(Path(fields["cache_xml_file"]), os.environ).server.get("server_port", SERVER_PORT))


def _text(value: Any) -> Any:
    """Return addresses as a cache takes them; any other value as it is."""
    match value:
        case Address() | (Address(), *_):
            return ",".join(map(str, value if isinstance(value, tuple) else (value,)))
    return value


def _connected_locator(session: Session) -> tuple[Address, ...]:
    if session.connection is None:
        return ()
    if session.connection.locator is None:
        raise UsageError("give --locators, or --start-locator to begin a site: the shell is connected by a url")
    return (session.connection.locator,)


def _joining(fields: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Check and drop what a server that joins a site has from the site's locator. Raises UsageError."""
    for option in ("start_locator", "remote_locators", "http_service_port", "http_service_bind_address"):
        if option in fields:
            raise UsageError(
                f"--{option.replace('_', '-')} is for a locator, and this server joins a site that has one"
            )
    dsid = fields.pop("distributed_system_id", None)
    if dsid is not None and dsid != (site := _site_of(fields["locators"], fields.get("locator_wait_time"), settings)):
        raise UsageError(f"--distributed-system-id={dsid}: the site of {_text(fields['locators'])} is {site}")
    return fields


def _site_of(locators: tuple[Address, ...], wait_s: int | None, settings: Settings) -> int:
    """Ask what site it is, as soon as a locator answers. Raises UnavailableError when none does in time."""
    from heliograph.gfsh.asking import ask_any
    from heliograph.link.messages import SiteQuery, SiteView
    from heliograph.member.config import LOCATOR_WAIT_S

    deadline = time.monotonic() + (LOCATOR_WAIT_S if wait_s is None else wait_s)
    while True:
        try:
            return ask_any(locators, SiteQuery(), SiteView, tls=settings.tls, identity=settings.security).dsid
        except UnavailableError:
            if time.monotonic() > deadline:
                raise
        time.sleep(LOCATOR_LOOK_S)


def _start(
    kind: MemberKind,
    name: str,
    directory: str,
    options: dict[str, Any],
    settings: Settings,
    waits_s: float = 0.0,
    classpath: tuple[str, ...] = (),
) -> tuple[ProcessState, Result]:
    from heliograph.gfsh import launch, state_block
    from heliograph.gfsh.asking import ask
    from heliograph.link.messages import Status, StatusQuery

    state = launch.start(kind, name, Path(directory), options, waits_s, classpath)
    port: Port = "locator" if kind == "locator" else "member"
    try:
        status = ask(_address(state), StatusQuery(), Status, tls=settings.tls, port=port, identity=settings.security)
    except (AuthenticationError, NotAuthorizedError) as exc:
        return state, state_block.online_unseen(directory, state, exc)
    return state, state_block.online(status)


def _address(state: ProcessState) -> Address:
    if state.address is None:
        raise UsageError(f"{state.kind} {state.name} is still starting")
    return state.address


def _placed(kind: MemberKind, fields: dict[str, Any]) -> dict[str, Any]:
    """Fill in a name, and the paths as a daemon needs them, which runs in another directory. Raises UsageError."""
    name = fields.get("name") or f"{kind}-{os.urandom(3).hex()}"
    directory = Path(fields.get("directory") or name).resolve()
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is a file: --dir names a directory, which is made when it is missing")
    files = {option: str(Path(path).resolve()) for option, path in fields.items() if option.endswith("_file")}
    return {**fields, **files, "name": name, "directory": str(directory)}


COMMANDS = (start_locator, start_server)
