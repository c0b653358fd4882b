"""Valid examples of structs, made from their types: every field filled, every list with an item."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect

from heliograph.model import attributes, batch, queues
from heliograph.model.cluster_configuration import ClusterConfiguration
from heliograph.model.runtime import RuntimeProperties

COLUMNS = batch.encode_columns(batch.Columns(bytes([0, 1, 2]), ["a", 7, b"c"], [b"\x01", b"\x02", b""], [5, 6, 7]))
PART = batch.Part(1, (2,), 3, 9, 3, COLUMNS)
WITH_RULES: dict[type, Any] = {
    batch.Part: PART,
    batch.Removal: batch.Removal(batch.EXPIRED, ["a", 7, b"c"]),
    attributes.RegionAttributes: attributes.RegionAttributes(
        name="customer", gateway_sender_ids=("s2",), redundant_copies=1, entry_time_to_live_expiration=60
    ),
    attributes.DiskStoreAttributes: attributes.DiskStoreAttributes(name="fast", max_disk=10),
    attributes.GatewaySenderAttributes: attributes.GatewaySenderAttributes(
        id="s2", remote_distributed_system_id=2, gateway_event_filters=('a:b{"x": [1]}',)
    ),
    attributes.GatewayReceiverAttributes: attributes.GatewayReceiverAttributes(),
    attributes.GatewayConflictResolverAttributes: attributes.GatewayConflictResolverAttributes(resolver="a:b"),
    RuntimeProperties: RuntimeProperties(log_level="fine"),
    queues.AsyncEventQueueAttributes: queues.AsyncEventQueueAttributes(id="q1", listener="a:b"),
    ClusterConfiguration: ClusterConfiguration(
        regions=(attributes.RegionAttributes(name="customer"),),
        gateway_receivers=(attributes.GatewayReceiverAttributes(), attributes.GatewayReceiverAttributes(group="g")),
    ),
}
"""Of structs whose fields have to fit together."""


def sample(kind: type) -> Any:
    """Return a valid value of a struct, or of another type that msgspec decodes."""
    return _sample(inspect.type_info(kind))


def _sample(info: inspect.Type) -> Any:
    match info:
        case inspect.StructType():
            if info.cls in WITH_RULES:
                return WITH_RULES[info.cls]
            return info.cls(**{field.name: _sample(field.type) for field in info.fields})
        case inspect.AnyType():
            return "key"
        case inspect.BoolType():
            return True
        case inspect.IntType():
            return 3
        case inspect.FloatType():
            return 1.5
        case inspect.StrType():
            return "text"
        case inspect.BytesType():
            return b"\xc4\x01"
        case inspect.NoneType():
            return None
        case inspect.LiteralType():
            return info.values[0]
        case inspect.ListType():
            return [_sample(info.item_type)]
        case inspect.VarTupleType():
            return (_sample(info.item_type),)
        case inspect.TupleType():
            return tuple(map(_sample, info.item_types))
        case inspect.DictType():
            return {_sample(info.key_type): _sample(info.value_type)}
        case inspect.UnionType():
            return _sample(next(each for each in info.types if not isinstance(each, inspect.NoneType)))
        case inspect.RawType():
            return msgspec.Raw(b"\x01")
    raise AssertionError(info)
