"""What a region's operations mean, over everything that a region can stand on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from heliograph import Cache, Region
from heliograph.errors import RegionNotFoundError, UsageError
from heliograph.model.keys import Key


def test_put_get_remove(region: Region) -> None:
    region.put("42", {"name": "Ada"})
    assert region.get("42") == {"name": "Ada"}
    assert region.remove("42") == {"name": "Ada"}
    assert region.get("42") is None
    assert region.get("42", "nobody") == "nobody"
    assert region.remove("42") is None


def test_keys_of_every_type_are_different_keys(region: Region) -> None:
    entries: dict[Key, str] = {"1": "text", 1: "number", b"1": "bytes", -(2**63): "least", "ä\0/": "odd"}
    region.put_all(entries)
    assert region.get_all(entries) == entries
    assert set(region) == set(entries)


@pytest.mark.parametrize("value", ["", b"", b"\xff\0", 0, False, 1.5, [], {}, [1, {"a": None}], {"x": [b"y", -1]}])
def test_values_come_back_as_they_were(region: Region, value: object) -> None:
    region["k"] = value
    assert region["k"] == value
    assert type(region["k"]) is type(value)
    assert "k" in region


def test_put_all_and_get_all(region: Region) -> None:
    entries = {f"key{number}": number for number in range(2_500)}
    region.put_all(entries)
    assert region.get_all(entries) == entries
    assert region.get_all(["key7", "nothing", "key8"]) == {"key7": 7, "key8": 8}
    assert region.get_all([]) == {}
    region.put_all({})
    region.put_all([("key7", "last"), ("key7", "wins")])
    assert region["key7"] == "wins"
    assert len(region) == 2_500
    assert dict(region.items()) == entries | {"key7": "wins"}


def test_large_values(region: Region) -> None:
    entries = {number: bytes([number]) * 3_000_000 for number in range(8)}
    region.put_all(entries)
    assert region.get_all(entries) == entries
    assert dict(region.items()) == entries


def test_put_if_absent(region: Region) -> None:
    assert region.put_if_absent("k", 1) is None
    assert region.put_if_absent("k", 2) == 1
    assert region["k"] == 1


def test_replace(region: Region) -> None:
    assert region.replace("k", 1) is None
    assert "k" not in region
    region["k"] = 1
    assert region.replace("k", 2) == 1
    assert region["k"] == 2


def test_replace_and_remove_what_is_expected(region: Region) -> None:
    region["k"] = {"a": 1}
    assert region.replace("k", "x", expected={"a": 2}) is False
    assert region.replace("k", {"a": 3}, expected={"a": 1}) is True
    assert region.remove("k", expected={"a": 1}) is False
    assert region.remove("k", expected={"a": 3}) is True
    assert region.remove("k", expected={"a": 3}) is False
    assert region.replace("k", "x", expected={"a": 3}) is False
    assert len(region) == 0


def test_expected_none_is_a_mistake(region: Region) -> None:
    with pytest.raises(UsageError, match="None can't be a value"):
        region.remove("k", expected=None)
    with pytest.raises(UsageError, match="None can't be a value"):
        region.replace("k", 1, expected=None)


def test_mapping(region: Region) -> None:
    region["a"] = 1
    region.update({"b": 2, "c": 3}, d=4)
    region.update([("e", 5)])
    region.update()
    assert region == {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}
    assert sorted(region.values()) == [1, 2, 3, 4, 5]
    assert sorted(region.keys()) == ["a", "b", "c", "d", "e"]
    assert region.keys() & {"a", "z"} == {"a"}
    assert ("a", 1) in region.items()
    assert len(region.items()) == len(region.values()) == len(region) == 5
    del region["a"]
    assert region.pop("b") == 2
    assert region.pop("b", "none") == "none"
    assert region.setdefault("c", 9) == 3
    assert region.setdefault("f", 6) == 6
    assert sorted(region) == ["c", "d", "e", "f"]


@pytest.mark.parametrize(
    "missing", [lambda r: r["k"], lambda r: r.__delitem__("k"), lambda r: r.pop("k"), lambda r: r.popitem()]
)
def test_what_is_missing_is_a_key_error(region: Region, missing: Callable[[Region], object]) -> None:
    with pytest.raises(KeyError):
        missing(region)


def test_popitem_gives_every_entry_once(region: Region) -> None:
    entries = {str(number): number for number in range(40)}
    region.put_all(entries)
    with ThreadPoolExecutor(4) as threads:
        popped = list(threads.map(lambda _: region.popitem(), range(40)))
    assert len(popped) == 40
    assert dict(popped) == entries
    assert len(region) == 0


def test_clear(region: Region) -> None:
    region.clear()
    region.put_all({str(number): number for number in range(500)})
    region.clear()
    assert len(region) == 0
    assert "7" not in region
    assert region.put_if_absent("7", "anew") is None
    assert dict(region) == {"7": "anew"}


def test_an_entry_that_is_invalidated_is_there_and_has_no_value(region: Region) -> None:
    assert region.invalidate("k") is False
    assert "k" not in region
    region["k"] = 1
    assert region.invalidate("k") is True
    assert region.invalidate("k") is True
    assert "k" in region
    assert (region["k"], region.get("k"), region.get("k", "default")) == (None, None, None)
    assert (len(region), dict(region.items()), region.get_all(["k", "j"])) == (1, {"k": None}, {"k": None})
    assert region.replace("k", 2) is None
    assert region["k"] is None
    assert region.put_if_absent("k", 3) is None
    assert region["k"] == 3
    region.invalidate("k")
    assert region.pop("k") is None
    assert region.pop("k", "gone") == "gone"
    region["k"] = 4
    region.invalidate("k")
    assert region.popitem() == ("k", None)
    assert len(region) == 0


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda r: r.put(None, 1), "a NoneType can't be a key: keys are str, int or bytes"),
        (lambda r: r.put(True, 1), "a bool can't be a key"),
        (lambda r: r.get((1, 2)), "a tuple can't be a key"),
        (lambda r: 1.5 in r, "a float can't be a key"),
        (lambda r: r.get_all(["a", 2**63]), "the key 9223372036854775808 is out of range"),
        (lambda r: r.put("k" * 40_000, 1), "a key of 40000 bytes is too large: a key may have 32768 bytes"),
        (lambda r: r.put("k", None), r"None can't be a value: use remove\(\)"),
        (lambda r: r.put("k", object()), "a value can't be stored"),
        (lambda r: r.setdefault("k"), "None can't be a value"),
        (lambda r: r.put("k", b"x" * 5_000_000), "is too large: a value may have 4194304 bytes"),
    ],
)
def test_mistakes_are_named_and_change_nothing(
    region: Region, mistake: Callable[[Region], object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        mistake(region)
    assert len(region) == 0


def test_one_of_many_threads_wins(region: Region) -> None:
    barrier = threading.Barrier(8)

    def race(number: int) -> object:
        barrier.wait()
        return region.put_if_absent("k", number)

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(race, range(8)))
    assert results.count(None) == 1
    winner = results.index(None)
    assert region["k"] == winner
    assert set(results) == {None, winner}


def test_counting_together_loses_nothing(region: Region) -> None:
    region["n"] = 0

    def count(_: int) -> None:
        while True:
            seen = region["n"]
            if region.replace("n", seen + 1, expected=seen):
                return

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count, range(80)))
    assert region["n"] == 80


def test_the_name_and_how_it_is_shown(region: Region) -> None:
    assert region.name == "customer"
    assert repr(region) == "<heliograph.Region customer>"


def test_a_region_that_does_not_exist(cache: Cache) -> None:
    with pytest.raises(RegionNotFoundError, match="region 'nowhere' does not exist at this site"):
        cache.region("nowhere")


def test_a_callback_argument_is_what_msgpack_carries_in_32_kib(region: Region) -> None:
    region.put("k", 1, callback_argument={"why": "because"})
    region.put_all({"k": 2}, callback_argument=bytes(32 * 1024 - 3))
    with pytest.raises(UsageError, match="callback argument of 32769 bytes is too large"):
        region.put("k", 3, callback_argument=bytes(32 * 1024 - 2))
    with pytest.raises(UsageError, match="callback_argument can't be carried"):
        region.replace("k", 3, callback_argument=object())
    assert region.replace("k", 3, expected=2, callback_argument="y") is True
    assert region.put_if_absent("k", 4, callback_argument="y") == 3
    assert region.remove("k", callback_argument="z") == 3
