"""Writes a cluster configuration as a cache.xml that `config.cache_xml` reads as the same."""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, register_namespace, tostring

import msgspec

from heliograph.config.cache_schema import NAMESPACE, OURS
from heliograph.config.cache_xml import DATA_POLICIES
from heliograph.model.attributes import (
    EXPIRATION_OPTIONS,
    DiskStoreAttributes,
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
    RegionAttributes,
)
from heliograph.model.cluster_configuration import ClusterConfiguration
from heliograph.model.plugins import read_plugin
from heliograph.model.queues import AsyncEventQueueAttributes

register_namespace("heliograph", OURS)

_LOCATION = "http://geode.apache.org/schema/cache http://geode.apache.org/schema/cache/cache-1.0.xsd"
_SPELLED = {"max_queue_memory": "maximum-queue-memory", "disk_store": "disk-store-name"}
_OURS = {"max_disk", "members", "groups", "member", "group"}
_PLUGINS = ("gateway_event_filters", "gateway_event_substitution_filter", "gateway_transport_filters", "listener")
"""Fields that are elements, in their order."""
_ELEMENTS = {
    "gateway_event_filters": "gateway-event-filter",
    "gateway_transport_filters": "gateway-transport-filter",
    "gateway_event_substitution_filter": "gateway-event-substitution-filter",
    "listener": "async-event-listener",
}


def write_cache_xml(configuration: ClusterConfiguration) -> str:
    """Return the text of a cache.xml; attributes that have their defaults are left out."""
    root = Element(
        "cache",
        {
            "xmlns": NAMESPACE,
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:schemaLocation": _LOCATION,
            "version": "1.0",
        },
    )
    for sender in configuration.gateway_senders:
        _definition(root, "gateway-sender", sender)
    for receiver in configuration.gateway_receivers:
        _definition(root, "gateway-receiver", receiver)
    if configuration.gateway_conflict_resolver is not None:
        resolver = SubElement(root, "gateway-conflict-resolver")
        _plugin(resolver, "gateway-conflict-resolver", configuration.gateway_conflict_resolver.resolver)
    for queue in configuration.async_event_queues:
        _definition(root, "async-event-queue", queue)
    for store in configuration.disk_stores:
        _definition(root, "disk-store", store)
    for region in configuration.regions:
        _region(root, region)
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, encoding="unicode")}\n'


def _definition(
    root: Element,
    tag: str,
    attributes: GatewaySenderAttributes | GatewayReceiverAttributes | AsyncEventQueueAttributes | DiskStoreAttributes,
) -> None:
    element = SubElement(root, tag)
    for field in msgspec.structs.fields(attributes):
        value = getattr(attributes, field.name)
        if field.name in _PLUGINS or (not field.required and value == field.default):
            continue
        name = _SPELLED.get(field.name, field.name.replace("_", "-"))
        element.set(f"{{{OURS}}}{name}" if field.name in _OURS else name, _text(value))
    for name in _PLUGINS:
        value = getattr(attributes, name, ())
        for plugin in (value,) if isinstance(value, str) and value else value:
            _plugin(SubElement(element, _ELEMENTS[name]), name, plugin)


def _plugin(element: Element, option: str, name: str) -> None:
    """Write parameters as elements where all are texts; others keep the spelling of commands."""
    target, parameters = read_plugin(option, name)
    plain = all(isinstance(value, str) and value == value.strip() for value in parameters.values())
    SubElement(element, "class-name").text = target if plain else name
    for key, value in parameters.items() if plain else ():
        SubElement(SubElement(element, "parameter", {"name": key}), "string").text = value


def _region(root: Element, region: RegionAttributes) -> None:
    default = RegionAttributes(name=region.name)
    policies = {type_: policy for policy, type_ in DATA_POLICIES.items()}
    element = SubElement(root, "region", {"name": region.name})
    attributes = SubElement(element, "region-attributes")
    if region.type in policies:
        attributes.set("data-policy", policies[region.type])
    else:
        attributes.set("refid", region.type)
    if region.gateway_sender_ids:
        attributes.set("gateway-sender-ids", ",".join(region.gateway_sender_ids))
    if region.async_event_queue_ids:
        attributes.set("async-event-queue-ids", ",".join(region.async_event_queue_ids))
    if region.disk_store != default.disk_store:
        attributes.set("disk-store-name", region.disk_store)
    if region.groups:
        attributes.set(f"{{{OURS}}}groups", _text(region.groups))
    for field in EXPIRATION_OPTIONS:
        action = f"{field}_action"
        if any(getattr(region, each) != getattr(default, each) for each in (field, action)):
            tag = field.removesuffix("_expiration").replace("_", "-")
            given = {"timeout": _text(getattr(region, field)), "action": getattr(region, action)}
            SubElement(SubElement(attributes, tag), "expiration-attributes", given)
    partition = {
        name.replace("_", "-"): _text(getattr(region, name))
        for name in ("total_num_buckets", "redundant_copies", "colocated_with")
        if getattr(region, name) != getattr(default, name)
    }
    if partition or region.partition_resolver:
        placed = SubElement(attributes, "partition-attributes", partition)
        if region.partition_resolver:
            SubElement(SubElement(placed, "partition-resolver"), "class-name").text = region.partition_resolver


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple) else str(value)
