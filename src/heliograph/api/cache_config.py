"""The options of a cache, and what runs in its process because of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypedDict

import msgspec

from heliograph.api.options import Addresses, check_known, check_timeout, checked, read_addresses, read_names
from heliograph.config.cache_xml import CacheXml, read_cache_xml
from heliograph.config.reading import Source, read_settings
from heliograph.errors import UsageError
from heliograph.locator.config import LOCATOR_PORT, LocatorConfig
from heliograph.member.config import MemberConfig
from heliograph.model.cluster_configuration import ClusterConfiguration
from heliograph.model.ids import Address, check_name
from heliograph.process.settings import FILES

XML = "cache.xml"
"""Where a setting was said, for `describe config`."""
LOCATOR_OPTIONS = (
    "distributed_system_id",
    "remote_locators",
    "http_service_port",
    "http_service_bind_address",
    "engine",
    "engine_credentials_file",
    "engine_ca_file",
    "engine_certificate_file",
    "engine_key_file",
    "engine_replicas",
    "member_timeout_ms",
    "max_clock_skew",
    "tombstone_timeout",
    "tombstone_max_age",
    "disk_synchronous",
)


class CacheOptions(TypedDict, total=False):
    """What a cache may be started with.

    locators: the site's locators, see `Addresses`. With none, one is started in this process:
    start_locator: where it listens; 0.0.0.0[10334] when not said, port 0 for a free one.
    directory: where its engine keeps its files, a directory named like the cache when not said.
    server_port, bind_address, hostname_for_clients, redundancy_zone, locator_wait_time, log_level: see `MemberConfig`.
    groups: names, or a text with commas.
    cache_xml_file: a cache.xml: the site is given what it defines and lacks; options given here win over its own.
    timeout_s: how long an operation may take.
    properties_file, security_properties_file: of a server, files or mappings (docs/commands.md); what is given
    otherwise wins over them.
    distributed_system_id and what follows it: of the locator in this process, see `LocatorConfig`.
    """

    locators: Addresses
    start_locator: str | Address
    directory: str
    server_port: int
    bind_address: str
    hostname_for_clients: str
    groups: str | Iterable[str]
    redundancy_zone: str
    locator_wait_time: int
    log_level: str
    cache_xml_file: str
    timeout_s: float
    properties_file: Source
    security_properties_file: Source
    distributed_system_id: int
    remote_locators: Addresses
    http_service_port: int
    http_service_bind_address: str
    engine: str
    engine_credentials_file: str
    engine_ca_file: str
    engine_certificate_file: str
    engine_key_file: str
    engine_replicas: int
    member_timeout_ms: int
    max_clock_skew: int
    tombstone_timeout: int
    tombstone_max_age: int
    disk_synchronous: bool


class CacheConfig(msgspec.Struct, frozen=True):
    """What runs in this process: a member, and the site's locator unless there are others.

    configuration: what the member adds to the site's definitions.
    """

    member: MemberConfig
    locator: LocatorConfig | None
    configuration: ClusterConfiguration = ClusterConfiguration()


def read_options(name: str, options: CacheOptions) -> CacheConfig:
    """Sort and check the options of a cache. Raises UsageError for one that is unknown, unfit or without effect."""
    check_known("Cache", options, CacheOptions.__annotations__)
    check_name("member", name)
    settings = read_settings("server", options.get("properties_file"), options.get("security_properties_file"))
    given: dict[str, Any] = {**settings.options, **options}
    file = _read_cache_xml(given.pop("cache_xml_file", None))
    configuration = file.configuration
    given = {"directory": name, **file.server, **given, "name": name, "tls": settings.tls}
    given["security"] = settings.security
    for option in ("properties_file", "security_properties_file"):
        given.pop(option, None)
    sources = dict.fromkeys(settings.options.keys() - options.keys(), FILES)
    sources |= dict.fromkeys(file.server.keys() - settings.options.keys() - options.keys(), XML)
    given["groups"] = read_names("groups", given.get("groups", ()))
    if "timeout_s" in given:
        given["write_timeout_ms"] = round(check_timeout(given.pop("timeout_s")) * 1000)
    start_locator = read_addresses("start_locator", given.pop("start_locator", ""))
    of_locator = {option: given.pop(option) for option in LOCATOR_OPTIONS if option in given}
    given["sources"] = {field: where for field, where in sources.items() if field in given and field != "name"}
    sources = {field: where for field, where in sources.items() if field in of_locator}
    locators = read_addresses("locators", given.pop("locators", ""))
    if locators:
        idle = ["start_locator"] * bool(start_locator) + list(of_locator)
        if idle:
            raise UsageError(f"{', '.join(idle)}: for a cache that starts a locator of its own, without locators=")
        return CacheConfig(checked(MemberConfig, "Cache", {**given, "locators": locators}), None, configuration)
    if len(start_locator) > 1:
        raise UsageError("start_locator: one locator is started, so give one address")
    where = start_locator[0] if start_locator else Address("", LOCATOR_PORT)
    member = checked(MemberConfig, "Cache", {**given, "locators": (where,)})
    of_locator["remote_locators"] = read_addresses("remote_locators", of_locator.get("remote_locators", ""))
    of_locator |= {"name": f"{name}-locator", "port": where.port, "bind_address": where.host}
    of_locator |= {"tls": settings.tls, "security": settings.security, "sources": sources}
    of_locator |= {"directory": member.directory, "hostname_for_clients": member.hostname_for_clients}
    return CacheConfig(member, checked(LocatorConfig, "Cache", of_locator), configuration)


def _read_cache_xml(path: str | None) -> CacheXml:
    """Read the file that is given, if one is."""
    return CacheXml(configuration=ClusterConfiguration()) if path is None else read_cache_xml(Path(path), os.environ)
