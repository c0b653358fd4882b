"""Reads a topology file: all sites of a WAN with their definitions, in TOML.

    [regions.customer]                       # at every site
    type = "PARTITION_REDUNDANT"

    [gateway-receiver]                       # at every site
    start-port = 1530
    end-port = 1551

    [sites.london]
    distributed-system-id = 1
    locators = ["10.1.0.5[10334]"]

    [sites.london.gateway-senders.to-ny]
    remote-distributed-system-id = 2
    parallel = true

    [sites.london.regions.customer]          # added to what stands above
    gateway-sender-ids = ["to-ny"]

Options are called as the attributes are (`model.attributes`, `model.queues`), with dashes. What stands at the top holds
for every site, and what a site says of the same thing is laid over it, option by option.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from heliograph.errors import UsageError
from heliograph.model.attributes import (
    DiskStoreAttributes,
    GatewayConflictResolverAttributes,
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
    RegionAttributes,
)
from heliograph.model.cluster_configuration import ClusterConfiguration
from heliograph.model.definitions import Attributes
from heliograph.model.ids import Address, check_name
from heliograph.model.queues import AsyncEventQueueAttributes
from heliograph.model.topology import SiteDefinition, Topology

A = TypeVar("A", bound=Attributes)
Table = Mapping[str, Any]
FILE_BYTES_MAX = 4 * 1024 * 1024
KINDS: dict[str, tuple[type[Attributes], str]] = {
    "disk-stores": (DiskStoreAttributes, "name"),
    "gateway-senders": (GatewaySenderAttributes, "id"),
    "async-event-queues": (AsyncEventQueueAttributes, "id"),
    "regions": (RegionAttributes, "name"),
}
"""Table of definitions by name -> what they are, and the attribute that is the name."""
RECEIVER, RESOLVER = "gateway-receiver", "gateway-conflict-resolver"
OF_A_SITE = ("distributed-system-id", "locators", "url")


def read_topology(path: Path) -> Topology:
    """Read a topology file. Raises UsageError that names the file, the place in it and what to change."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as exc:
        raise UsageError(f"{path} can't be read: {exc.strerror}") from exc
    if len(data) > FILE_BYTES_MAX:
        raise UsageError(f"{path} has more than {FILE_BYTES_MAX} bytes: no topology is so large")
    try:
        return parse_topology(data.decode())
    except UnicodeDecodeError as exc:
        raise UsageError(f"{path} is not UTF-8 (byte {exc.start}): save it as UTF-8") from exc
    except UsageError as exc:
        raise UsageError(f"{path}: {exc}") from exc


def parse_topology(text: str) -> Topology:
    """Read the text of a topology file. Raises UsageError."""
    try:
        document = tomllib.loads(text)
    except RecursionError as exc:
        raise UsageError("it is nested too deeply") from exc
    except ValueError as exc:  # an integer of thousands of digits is a plain one
        raise UsageError(f"no TOML: {exc}") from exc
    _check_keys("", document, ("sites", RECEIVER, RESOLVER, *KINDS))
    sites = _table("sites", document.get("sites", {}))
    if not sites:
        raise UsageError("it has no site: write a table [sites.<name>] for each")
    return Topology(tuple(_site(name, _table(f"sites.{name}", site), document) for name, site in sites.items()))


def _site(name: str, site: Table, common: Table) -> SiteDefinition:
    place = f"sites.{name}"
    _check_keys(place, site, (*OF_A_SITE, RECEIVER, RESOLVER, *KINDS))
    dsid = site.get("distributed-system-id")
    if not isinstance(dsid, int) or isinstance(dsid, bool):
        raise UsageError(f"{place}: give it a distributed-system-id, a number")
    locators, url = site.get("locators", []), site.get("url", "")
    if not isinstance(locators, list) or not all(isinstance(each, str) for each in locators):
        raise UsageError(f'{place}.locators: write a list of addresses, as ["host[10334]"]')
    if not isinstance(url, str) or bool(url) == bool(locators):
        raise UsageError(f"{place}: give it either locators or the url of its admin API, so that it is found")
    try:
        return SiteDefinition(
            name=name,
            distributed_system_id=dsid,
            locators=tuple(map(Address.parse, locators)),
            url=url,
            configuration=_configuration(place, site, common),
        )
    except UsageError as exc:
        raise exc if str(exc).startswith(place) else UsageError(f"{place}: {exc}") from exc


def _configuration(place: str, site: Table, common: Table) -> ClusterConfiguration:
    return ClusterConfiguration(
        disk_stores=_definitions(place, site, common, "disk-stores", DiskStoreAttributes),
        gateway_senders=_definitions(place, site, common, "gateway-senders", GatewaySenderAttributes),
        async_event_queues=_definitions(place, site, common, "async-event-queues", AsyncEventQueueAttributes),
        regions=_definitions(place, site, common, "regions", RegionAttributes),
        gateway_receivers=_receivers(place, site, common),
        gateway_conflict_resolver=_only(place, site, common, RESOLVER, GatewayConflictResolverAttributes),
    )


def _receivers(place: str, site: Table, common: Table) -> tuple[GatewayReceiverAttributes, ...]:
    """Read every server's receiver, or a list of those of groups and members, which a site has for itself."""
    if isinstance(listed := site.get(RECEIVER), list):
        where = _at(place, RECEIVER)
        return tuple(_definition(where, _table(where, each), GatewayReceiverAttributes) for each in listed)
    receiver = _only(place, site, common, RECEIVER, GatewayReceiverAttributes)
    return (receiver,) if receiver is not None else ()


def _only(place: str, site: Table, common: Table, name: str, struct: type[A]) -> A | None:
    """Read a definition of which a site has one, or none."""
    given = [(where, table[name]) for where, table in (("", common), (place, site)) if name in table]
    options: dict[str, Any] = {}
    for where, table in given:
        options |= _table(_at(where, name), table)
    return _definition(_at(place, name), options, struct) if given else None


def _definitions(place: str, site: Table, common: Table, kind: str, struct: type[A]) -> tuple[A, ...]:
    named: dict[str, dict[str, Any]] = {}
    for where, table in ((kind, common), (_at(place, kind), site)):
        for name, options in _table(where, table.get(kind, {})).items():
            check_name(kind[:-1].replace("-", " "), name)
            named.setdefault(name, {}).update(_table(f"{where}.{name}", options))
    key = KINDS[kind][1]
    return tuple(
        _definition(f"{_at(place, kind)}.{name}", options, struct, **{key: name}) for name, options in named.items()
    )


def _definition(place: str, options: Table, struct: type[A], **name: str) -> A:
    fields = [field for field in struct.__struct_fields__ if field not in name]
    _check_keys(place, options, [field.replace("_", "-") for field in fields])
    given = {option.replace("-", "_"): value for option, value in options.items()}
    try:
        return msgspec.convert({**given, **name}, struct)
    except msgspec.ValidationError as exc:
        message, _, field = str(exc).partition(" - at `$.")
        option = field.rstrip("`").replace("_", "-")
        message = message.replace("Object missing required field", "it needs the option").replace("_", "-")
        raise UsageError(f"{_at(place, option)}: {message}") from exc
    except UsageError as exc:
        raise UsageError(f"{place}: {exc}") from exc


def _table(place: str, value: Any) -> Table:
    if not isinstance(value, dict):
        raise UsageError(f"{place} is no table: write [{place}]")
    return value


def _check_keys(place: str, table: Table, known: Iterable[str]) -> None:
    names = list(known)
    for key in table:
        if key not in names:
            near = get_close_matches(key, names, 1)
            hint = f"is {near[0]} meant?" if near else f"known are {', '.join(names)}"
            raise UsageError(f"{_at(place, key)} is not known here: {hint}")


def _at(place: str, key: str) -> str:
    return f"{place}.{key}" if place and key else place or key
