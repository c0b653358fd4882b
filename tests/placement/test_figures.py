"""What servers tell of a region's copies, added up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.link.messages import RegionCopies
from heliograph.model.attributes import RegionAttributes
from heliograph.placement.figures import figures
from tests.locator.fakes import member

BUCKETS = 5
SERVERS = [member(name, groups=("east",) if name != "c" else ()) for name in "abc"]


@st.composite
def sites(draw: Any) -> tuple[dict[str, RegionCopies], list[int], set[int]]:
    """What servers tell, the entries of each bucket, and the buckets that have a primary. All copies are equal."""
    entries = draw(st.lists(st.integers(0, 9), min_size=BUCKETS, max_size=BUCKETS))
    leads = draw(st.lists(st.sampled_from(["a", "b", "c", ""]), min_size=BUCKETS, max_size=BUCKETS))
    told = {}
    for name in draw(st.sets(st.sampled_from("abc"))):
        held = draw(st.sets(st.integers(0, BUCKETS - 1))) | {n for n, lead in enumerate(leads) if lead == name}
        loaded = tuple(sorted(held))
        told[name] = RegionCopies(
            loaded,
            tuple(n for n in loaded if leads[n] == name),
            tuple(entries[n] * 10 for n in loaded),
            tuple(entries[n] for n in loaded),
            1,
            2,
            3,
        )
    return told, entries, {n for n, lead in enumerate(leads) if lead in told}


@given(sites(), st.integers(0, 3))
def test_each_bucket_is_counted_once_and_each_copy_that_is_loaded(
    site: tuple[dict[str, RegionCopies], list[int], set[int]], copies: int
) -> None:
    told, entries, led = site
    found = figures(RegionAttributes(name="r", redundant_copies=copies, total_num_buckets=BUCKETS), SERVERS, told)
    counts = [sum(bucket in each.loaded for each in told.values()) for bucket in range(BUCKETS)]
    assert found.entries == sum(size for size, count in zip(entries, counts, strict=True) if count)
    assert found.bytes == found.entries * 10
    assert found.uncounted == counts.count(0)
    assert found.without_primary == BUCKETS - len(led)
    assert found.wanted == copies
    assert found.under == sum(count < copies + 1 for count in counts)
    assert found.actual == max(0, min(counts) - 1)
    assert (found.redundancy == "SATISFIED") == (min(counts) >= copies + 1)
    assert sum(found.copies.values()) == sum(counts)
    assert sum(found.primaries.values()) == len(led)
    assert (found.gets, found.puts, found.destroys) == (len(told), 2 * len(told), 3 * len(told))


@pytest.mark.parametrize(
    ("groups", "holders", "wanted", "redundancy"),
    [
        ((), "abc", 2, "SATISFIED"),
        ((), "ab", 2, "NOT_SATISFIED"),
        ((), "a", 2, "NO_REDUNDANT_COPIES"),
        (("east",), "ab", 1, "SATISFIED"),
        (("west",), "", 0, "NO_REDUNDANT_COPIES"),
    ],
)
def test_a_replicated_region_should_be_on_all_servers_that_may_hold_it(
    groups: tuple[str, ...], holders: str, wanted: int, redundancy: str
) -> None:
    region = RegionAttributes(name="r", type="REPLICATE", groups=groups, total_num_buckets=1)
    has = RegionCopies((0,), (), (0,), (0,))
    told = {name: has if name in holders else RegionCopies((), ()) for name in "abc"}
    found = figures(region, SERVERS, told)
    assert (found.wanted, found.redundancy) == (wanted, redundancy)


def test_what_the_primary_has_counts_and_not_what_a_copy_has_not_heard_of() -> None:
    told = {"a": RegionCopies((0,), (), (10,), (1,)), "b": RegionCopies((0,), (0,), (30,), (3,))}
    told["c"] = told["a"]
    found = figures(RegionAttributes(name="r", total_num_buckets=1), SERVERS, told)
    assert (found.entries, found.bytes) == (3, 30)
