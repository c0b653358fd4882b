"""Reads a cache.xml into the definitions that commands make, and a server's own settings (cache-xml.md).

Order and names are checked first (`config.cache_schema`), values by the structs of `model`, which are those of the
commands. Every error names the line and the element. Where this differs from GemFire: `async-event-queue` has the
defaults of the command, a region without a type is PARTITION as one that a command makes, and a class is written
`module:object` and need not be declarable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from heliograph.config.cache_schema import check_document
from heliograph.config.xml_reader import Element, PlacedError, parse_xml, read_xml
from heliograph.errors import UsageError
from heliograph.model.attributes import (
    REGION_TYPES,
    STRING_PREFIX,
    DiskStoreAttributes,
    GatewayConflictResolverAttributes,
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
    RegionAttributes,
)
from heliograph.model.cluster_configuration import ClusterConfiguration
from heliograph.model.plugins import is_target, with_parameters
from heliograph.model.queues import AsyncEventQueueAttributes

S = TypeVar("S")
D = TypeVar("D", bound=msgspec.Struct)
DATA_POLICIES = {
    "replicate": "REPLICATE",
    "persistent-replicate": "REPLICATE_PERSISTENT",
    "partition": "PARTITION",
    "persistent-partition": "PARTITION_PERSISTENT",
}
_POLICIES_NOT_OFFERED = ("empty", "normal", "preloaded")
_SPELLED: dict[str, dict[str, str]] = {
    "async-event-queue": {"maximum-queue-memory": "max_queue_memory", "disk-store-name": "disk_store"},
    "cache-server": {"port": "server_port"},
}
"""Attributes whose field is called otherwise."""
_FILTERS = {
    "gateway-event-filter": "gateway_event_filters",
    "gateway-transport-filter": "gateway_transport_filters",
}


class CacheXml(msgspec.Struct, frozen=True, kw_only=True):
    """What a cache.xml says.

    configuration: what is defined at the site. server: options of the server itself, called as those of
    `heliograph.Cache`.
    """

    configuration: ClusterConfiguration
    server: dict[str, Any] = {}


def read_cache_xml(path: Path, variables: Mapping[str, str]) -> CacheXml:
    """Read a file; variables stand for `${name}`. Raises UsageError that names file, line and what to change."""
    root = read_xml(path, variables)
    try:
        return _read(root)
    except UsageError as exc:
        raise UsageError(f"{path}: {exc}") from exc


def parse_cache_xml(data: bytes, variables: Mapping[str, str]) -> CacheXml:
    """Read a document. Raises UsageError that names the line and what to change."""
    return _read(parse_xml(data, variables))


def _read(root: Element) -> CacheXml:
    check_document(root)
    templates = _templates(root)
    return CacheXml(
        configuration=_placed(
            root,
            lambda: ClusterConfiguration(
                disk_stores=tuple(_struct(each, DiskStoreAttributes) for each in _all(root, "disk-store")),
                gateway_senders=tuple(
                    _struct(each, GatewaySenderAttributes, **_plugins(each)) for each in _all(root, "gateway-sender")
                ),
                async_event_queues=tuple(
                    _struct(each, AsyncEventQueueAttributes, **_plugins(each), listener=_listener(each))
                    for each in _all(root, "async-event-queue")
                ),
                regions=tuple(_region(each, templates) for each in _all(root, "region")),
                gateway_receivers=tuple(map(_receiver, _all(root, "gateway-receiver"))),
                gateway_conflict_resolver=next(map(_resolver, _all(root, "gateway-conflict-resolver")), None),
            ),
        ),
        server=next(map(_server, _all(root, "cache-server")), {}),
    )


def _receiver(element: Element) -> GatewayReceiverAttributes:
    return _struct(element, GatewayReceiverAttributes, **_plugins(element))


def _resolver(element: Element) -> GatewayConflictResolverAttributes:
    return _placed(element, lambda: GatewayConflictResolverAttributes(resolver=_plugin(element)))


def _all(element: Element, tag: str) -> list[Element]:
    return [child for child in element.children if child.tag == tag]


def _placed(element: Element, make: Callable[[], S]) -> S:
    try:
        return make()
    except PlacedError:
        raise
    except UsageError as exc:
        raise element.wrong(str(exc)) from exc


def _struct(element: Element, struct: type[D], **more: Any) -> D:
    """Make a struct of an element's attributes; `more` are further fields."""
    spelled = _SPELLED.get(element.tag, {})
    fields = {field.name: field.type for field in msgspec.structs.fields(struct)}
    given: dict[str, Any] = {}
    for name, text in element.attributes.items():
        field = spelled.get(name, name.replace("-", "_"))
        given[field] = _value(element, name, text, fields[field])
    return _placed(element, lambda: struct(**given, **more))


def _value(element: Element, name: str, text: str, kind: Any) -> Any:
    """Read an attribute's text as its field's type."""
    if kind is bool:
        words = {"true": True, "1": True, "false": False, "0": False}
        if text not in words:
            raise element.wrong(f"{name} {text!r}: write true or false")
        return words[text]
    if kind in (int, int | None):
        try:
            return int(text)
        except ValueError as exc:
            raise element.wrong(f"{name} {text[:40]!r} is not a whole number") from exc
    if kind == tuple[str, ...]:
        return _list(text)
    if kind is str:
        return text
    word = text.lower()
    if word not in (words := kind.__args__):
        raise element.wrong(f"{name} {text!r}: write {', '.join(words)}")
    return word


def _list(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _plugins(element: Element) -> dict[str, Any]:
    found: dict[str, Any] = {
        field: tuple(map(_plugin, _all(element, tag))) for tag, field in _FILTERS.items() if _all(element, tag)
    }
    for substitution in _all(element, "gateway-event-substitution-filter"):
        found["gateway_event_substitution_filter"] = _plugin(substitution)
    return found


def _listener(queue: Element) -> str:
    listeners = _all(queue, "async-event-listener")
    if not listeners:
        raise queue.wrong("it needs an <async-event-listener>, last in it")
    return _plugin(listeners[0])


def _plugin(element: Element) -> str:
    """Read a class with parameters as a plug-in's name."""
    target = _class(element)
    parameters: dict[str, str] = {}
    for parameter in _all(element, "parameter"):
        if not parameter.children:
            raise parameter.wrong("write its value as <string>...</string>")
        name = parameter.attributes["name"]
        if name in parameters:
            raise parameter.wrong(f"the parameter {name} is given twice: keep one")
        parameters[name] = parameter.children[0].text
    return _placed(element, lambda: with_parameters(element.tag, target, parameters))


def _class(element: Element) -> str:
    (named,) = _all(element, "class-name") or (None,)
    if named is None:
        raise element.wrong("it needs a <class-name>, first in it")
    if not is_target(named.text.partition("{")[0]):
        raise named.wrong(f"{named.text[:80]!r}: write module:object, a class of Python that every server can import")
    return named.text


def _server(element: Element) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name, text in element.attributes.items():
        field = _SPELLED["cache-server"].get(name, name.replace("-", "_"))
        read[field] = _value(element, name, text, int if field == "server_port" else str)
    groups = tuple(group.text for group in _all(element, "group"))
    return {**read, "groups": groups} if groups else read


# --- regions


def _templates(root: Element) -> dict[str, dict[str, Any]]:
    """Read the named region attributes, which may name those before them."""
    templates: dict[str, dict[str, Any]] = {}
    for element in _all(root, "region-attributes"):
        name = element.attributes.get("id")
        if name is None:
            raise element.wrong("outside a region it needs an id, by which regions name it in refid")
        if name in templates or name in REGION_TYPES:
            raise element.wrong(f"id {name!r} is taken: give it another")
        templates[name] = _attributes(element, templates)
    return templates


def _region(element: Element, templates: Mapping[str, dict[str, Any]]) -> RegionAttributes:
    nested = _all(element, "region-attributes")
    fields: dict[str, Any] = {}
    if not any("refid" in each.attributes for each in nested):
        fields |= _referred(element, templates)
    for each in nested:
        fields |= _attributes(each, templates)
    return _placed(element, lambda: RegionAttributes(name=element.attributes["name"], **fields))


def _referred(element: Element, templates: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return what an element's refid stands for: a template, or a region shortcut."""
    name = element.attributes.get("refid")
    if name is None:
        return {}
    if name in templates:
        return templates[name]
    _placed(element, lambda: RegionAttributes(name="r", type=name))  # which says what is wrong with it
    return {"type": name}


def _attributes(element: Element, templates: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    fields = dict(_referred(element, templates))
    policy = element.attributes.get("data-policy")
    partition = _all(element, "partition-attributes")
    if policy in _POLICIES_NOT_OFFERED:
        raise element.wrong(
            f"data-policy {policy} is not offered: every member holds its share; use a thin client else"
        )
    if policy is not None and policy not in DATA_POLICIES:
        raise element.wrong(f"data-policy {policy!r} is not known: write {', '.join(DATA_POLICIES)}")
    if policy is not None:
        fields["type"] = DATA_POLICIES[policy]
    for name, field in (
        ("gateway-sender-ids", "gateway_sender_ids"),
        ("async-event-queue-ids", "async_event_queue_ids"),
        ("groups", "groups"),
    ):
        if name in element.attributes:
            fields[field] = _list(element.attributes[name])
    if "disk-store-name" in element.attributes:
        fields["disk_store"] = element.attributes["disk-store-name"]
    for kind in ("time-to-live", "idle-time"):
        for each in _all(element, f"entry-{kind}"):
            fields |= _expiration(each, f"entry_{kind.replace('-', '_')}_expiration")
    for each in partition:
        fields |= _partition(each)
    return fields


def _expiration(element: Element, field: str) -> dict[str, Any]:
    if not element.children:
        raise element.wrong("it needs an <expiration-attributes>")
    given = element.children[0]
    read: dict[str, Any] = {field: _value(given, "timeout", given.attributes["timeout"], int)}
    if "action" in given.attributes:
        read[f"{field}_action"] = given.attributes["action"]
    return read


def _partition(element: Element) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name, kind in (("total-num-buckets", int), ("redundant-copies", int), ("colocated-with", str)):
        if name in element.attributes:
            read[name.replace("-", "_")] = _value(element, name, element.attributes[name], kind)
    for resolver in _all(element, "partition-resolver"):
        built_in = [named.text for named in resolver.children if named.text == STRING_PREFIX]
        read["partition_resolver"] = built_in[0] if built_in else _class(resolver)
    return read
