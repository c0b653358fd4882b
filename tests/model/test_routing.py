"""How keys find their buckets."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import UsageError
from heliograph.model.attributes import RegionAttributes
from heliograph.model.keys import bucket_of
from heliograph.model.routing import UNROUTED, Routing, client_routing, member_routing, routing_of, string_prefix

texts = st.text(st.characters(codec="utf-8"), max_size=20)
keys = st.one_of(texts, st.integers(-(2**63), 2**63 - 1), st.binary(max_size=20))


def last_digit(key: Any) -> Any:
    """A resolver of these tests."""
    return {"none": None, "float": 1.5, "lone": "\ud800", "true": True}.get(key, str(key)[-1:])


def fails(key: Any) -> Any:
    raise ZeroDivisionError(f"no {key}")


NOT_CALLABLE = 7


@given(st.lists(st.tuples(keys, st.binary(min_size=1, max_size=5)), max_size=40), st.integers(1, 20), st.booleans())
def test_grouping_loses_nothing_and_keeps_the_order(
    entries: list[tuple[Any, bytes]], buckets: int, resolved: bool
) -> None:
    routing = Routing(buckets, "r", lambda key: str(key)[:2]) if resolved else Routing(buckets)
    all_keys = [key for key, _ in entries]
    each = [routing.bucket_of(key) for key in all_keys]
    assert each == [bucket_of(str(key)[:2] if resolved else key, buckets) for key in all_keys]
    assert routing.buckets_of(all_keys) == each
    groups = routing.group_entries(all_keys, [value for _, value in entries])
    for bucket, (some_keys, some_values) in groups.items():
        expected = [entry for entry, its in zip(entries, each, strict=True) if its == bucket]
        assert list(zip(some_keys, some_values, strict=True)) == expected
    positions = routing.positions_by_bucket(all_keys)
    assert positions == {
        bucket: [position for position, its in enumerate(each) if its == bucket] for bucket in set(each)
    }


def test_a_region_is_routed_by_its_resolver() -> None:
    attributes = RegionAttributes(name="r", partition_resolver=f"{__name__}:last_digit", total_num_buckets=7)
    routing = routing_of(attributes)
    assert routing.bucket_of("abc1") == routing.bucket_of(21) == bucket_of("1", 7)
    assert member_routing(attributes)[1] == ""
    assert client_routing(7, attributes.partition_resolver).bucket_of(21) == bucket_of("1", 7)


def test_string_prefix_keeps_what_has_one_prefix_together() -> None:
    routing = routing_of(RegionAttributes(name="r", partition_resolver="string-prefix"))
    assert routing.bucket_of("ada|1") == routing.bucket_of("ada|2|3") == bucket_of("ada", 16)
    for key in ("ada", 7, b"ada|1"):
        with pytest.raises(UsageError, match=r"has no '\|'"):
            string_prefix(key)


@pytest.mark.parametrize("key", ["none", "float", "lone", "true"])
def test_nonsense_of_a_resolver_is_refused_and_named(key: str) -> None:
    routing = routing_of(RegionAttributes(name="r", partition_resolver=f"{__name__}:last_digit"))
    for ask in (routing.bucket_of, lambda key: routing.buckets_of([key])):
        with pytest.raises(UsageError, match=f"last_digit returned .* for the key '{key}': it has to return"):
            ask(key)


def test_what_a_resolver_raises_is_told_with_the_key() -> None:
    routing = routing_of(RegionAttributes(name="r", partition_resolver=f"{__name__}:fails"))
    with pytest.raises(UsageError, match="fails failed for the key 'k': ZeroDivisionError: no k"):
        routing.bucket_of("k")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_such_module:f", "No module named 'no_such_module'"),
        (f"{__name__}:no_such_function", "no attribute 'no_such_function'"),
        (f"{__name__}:NOT_CALLABLE", "is no function of the key, but 7"),
    ],
)
def test_a_resolver_that_cannot_be_loaded(name: str, reason: str) -> None:
    attributes = RegionAttributes(name="r", partition_resolver=name)
    with pytest.raises(UsageError, match=reason):
        routing_of(attributes)
    routing, problem = member_routing(attributes)
    assert reason in problem
    assert routing.resolver == name
    with pytest.raises(UsageError, match=reason):
        routing.bucket_of("k")
    at_client = client_routing(16, name)
    assert at_client.bucket_of("k") == UNROUTED
    assert at_client.group_entries(["k", "l"], [b"1", b"2"]) == {UNROUTED: (["k", "l"], [b"1", b"2"])}
    assert "no_such_module" not in sys.modules


@pytest.mark.parametrize("name", ["module", "module:", ":f", "a b:f", "module:f()", "prefix"])
def test_what_is_no_name_of_a_resolver_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="write module:function, or string-prefix"):
        RegionAttributes(name="r", partition_resolver=name)


def test_only_partitioned_regions_have_one() -> None:
    with pytest.raises(UsageError, match="partition-resolver is for PARTITION types"):
        RegionAttributes(name="r", type="REPLICATE", partition_resolver="string-prefix")
