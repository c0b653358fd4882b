"""Whatever an operator writes where a definition wants a name or a number: it is taken, or refused by its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from heliograph.errors import UsageError
from heliograph.model.attributes import (
    DiskStoreAttributes,
    GatewayConflictResolverAttributes,
    GatewayReceiverAttributes,
    GatewaySenderAttributes,
    RegionAttributes,
)
from heliograph.model.ids import Address, check_name, check_site_id, parse_addresses
from heliograph.model.plugins import read_plugin, split_plugins
from heliograph.model.queues import AsyncEventQueueAttributes

VALID: dict[type[msgspec.Struct], dict[str, Any]] = {
    DiskStoreAttributes: {"name": "store"},
    RegionAttributes: {"name": "customer"},
    GatewaySenderAttributes: {"id": "s2", "remote_distributed_system_id": 2},
    GatewayReceiverAttributes: {},
    GatewayConflictResolverAttributes: {"resolver": "a:b"},
    AsyncEventQueueAttributes: {"id": "q1", "listener": "a:b"},
}
HOSTILE_TEXTS = ["\x00", "a\nb", "a\x1b[2J", "a b", "a, b", "x" * 5000, "\ud800", "\u202e"]
HOSTILE_NAMES = [*HOSTILE_TEXTS, "", "../../etc/passwd", "a/b", "a.b", "a*", ">", "-x", "é"]
WORDS = {"members", "groups", "bind_address", "hostname_for_senders"}
"""What names nothing that is made here, so that it may have other signs."""
HOSTILE_NUMBERS = [-(10**30), -(2**63), -(10**6), 10**12, 2**63, 10**30]
OPTIONS = {"remote_distributed_system_id": "distributed-system-id"}


def fields(*kinds: type[inspect.Type]) -> list[Any]:
    """Return every field that can be of such a type, as (struct, field, whether it is a list)."""
    found = []
    for struct in VALID:
        info = inspect.type_info(struct)
        assert isinstance(info, inspect.StructType)
        for field in info.fields:
            types = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
            for each in types:
                listed = isinstance(each, inspect.VarTupleType)
                if isinstance(each.item_type if isinstance(each, inspect.VarTupleType) else each, kinds):
                    found.append(pytest.param(struct, field.name, listed, id=f"{struct.__name__}-{field.name}"))
    return found


@pytest.mark.parametrize(("struct", "field", "listed"), fields(inspect.IntType))
@pytest.mark.parametrize("number", HOSTILE_NUMBERS)
def test_numbers_out_of_all_bounds_are_refused_by_the_options_name(
    struct: type[msgspec.Struct], field: str, listed: bool, number: int
) -> None:
    with pytest.raises(UsageError, match=OPTIONS.get(field, field.replace("_", "-"))):
        struct(**{**VALID[struct], field: number})


@pytest.mark.parametrize(("struct", "field", "listed"), fields(inspect.StrType))
@pytest.mark.parametrize("text", HOSTILE_NAMES)
def test_texts_that_could_do_harm_are_refused_and_shown_harmless(
    struct: type[msgspec.Struct], field: str, listed: bool, text: str
) -> None:
    if text not in HOSTILE_TEXTS and (field in WORDS or (not text and not listed)):
        return  # a word, or none
    with pytest.raises(UsageError) as told:
        struct(**{**VALID[struct], field: (text,) if listed else text})
    assert str(told.value).isprintable()


def refusal(read: Callable[[str], object], text: str) -> str:
    """Return what a refusal says, "" when the text is taken."""
    try:
        read(text)
    except UsageError as exc:
        return str(exc)
    return ""


@given(st.text(max_size=300))
def test_a_name_is_letters_digits_and_few_signs_or_refused(name: str) -> None:
    refused = refusal(lambda text: check_name("region", text), name)
    assert refused.isprintable()
    if not refused:
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,127}", name)


@given(st.one_of(st.text(max_size=60), st.from_regex(r"[\s\S]{0,8}[\[:]\d{1,6}\]?", fullmatch=True)))
def test_an_address_is_a_host_and_a_port_or_refused(text: str) -> None:
    refused = refusal(Address.parse, text)
    assert refused.isprintable()
    if not refused:
        address = Address.parse(text)
        assert 0 <= address.port <= 65535
        assert address.host.isprintable()
        assert not re.search(r"[\s,/@\[\]]", address.host)
        assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    "text", ["a\nb[1]", "a b[1]", "a[٣]", "a,b[1]", "a/b[1]", "u@h[1]", "\x00[1]", "a[65536]", "[1]", "a"]
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="is not an address"):
        Address.parse(text)


@given(st.text(max_size=100))
def test_lists_are_read_or_refused(text: str) -> None:
    for read in (parse_addresses, split_plugins, lambda given: read_plugin("gateway-event-filter", given)):
        assert refusal(read, text).isprintable()


@given(st.integers())
def test_a_site_is_a_number_within_its_bounds(number: int) -> None:
    if 0 <= number <= 255:
        assert check_site_id(number) == number
    else:
        with pytest.raises(UsageError, match=f"distributed-system-id {number} "):
            check_site_id(number)
