"""Listening through the blocking face, over everything that a region can stand on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import heliograph
from heliograph import EntryEvent, Listener, Region
from heliograph.errors import RegionNotFoundError, UsageError
from tests.api.conftest import over_links, start_cache

WAIT_S = 20.0


class Told:
    """A listener that keeps what it is told."""

    def __init__(self, region: Region) -> None:
        self.events: queue.Queue[EntryEvent] = queue.Queue()
        self.listener = region.listen(self.events.put)

    def next(self, count: int = 1) -> list[EntryEvent]:
        return [self.events.get(timeout=WAIT_S) for _ in range(count)]


@pytest.fixture
def told(region: Region) -> Iterator[Told]:
    told = Told(region)
    yield told
    told.listener.close()


def brief(event: EntryEvent) -> tuple[Any, ...]:
    return event.operation, event.key, event.old_value, event.new_value, event.callback_argument


def test_an_event_says_what_was_and_what_is(region: Region, told: Told) -> None:
    region.put("k", 1)
    region.put("k", {"n": 2}, callback_argument=["why", 1])
    region.remove("k", callback_argument="gone")
    events = told.next(3)
    assert [brief(event) for event in events] == [
        ("create", "k", None, 1, None),
        ("update", "k", 1, {"n": 2}, ["why", 1]),
        ("destroy", "k", {"n": 2}, None, "gone"),
    ]
    assert all(event.old_value_known and event.region == "customer" for event in events)
    assert [(event.origin, event.remote) for event in events] == [(1, False)] * 3
    versions = [event.version for event in events]
    assert versions == sorted(set(versions))


def test_a_listener_is_told_nothing_from_before_and_everything_after(region: Region) -> None:
    region.put_all({f"k{number}": "before" for number in range(100)})
    told = Told(region)
    region.put_all({f"k{number}": number for number in range(100)})
    events = told.next(100)
    assert {event.key: (event.old_value, event.new_value) for event in events} == {
        f"k{number}": ("before", number) for number in range(100)
    }
    told.listener.close()
    assert told.events.empty()


def test_conditional_operations_are_told_when_they_were_done(region: Region, told: Told) -> None:
    region.put_if_absent("k", 1)
    region.put_if_absent("k", 2)
    region.replace("k", 3, expected=2)
    region.replace("k", 4, expected=1)
    region.remove("absent")
    region.remove("k")
    assert [brief(event)[:4] for event in told.next(3)] == [
        ("create", "k", None, 1),
        ("update", "k", 1, 4),
        ("destroy", "k", 4, None),
    ]


def test_what_the_site_takes_away_is_told_too(region: Region, told: Told) -> None:
    region.put("k", 1)
    assert region.invalidate("k")
    region.put("k", 2)
    region.clear()
    region.put("k", 3)
    events: list[EntryEvent] = []
    while not events or events[-1].new_value != 3:
        events += told.next()
    written = [brief(event)[:4] for event in events if event.operation != "clear"]
    assert written == [
        ("create", "k", None, 1),
        ("invalidate", "k", 1, None),
        ("update", "k", None, 2),
        ("create", "k", None, 3),
    ]
    bucket = events[0].bucket
    assert [event.key for event in events if event.operation == "clear" and event.bucket == bucket] == [None]
    assert all(event.version == 0 for event in events if event.operation in ("clear", "invalidate"))


def test_a_listener_that_raises_is_counted_and_goes_on(region: Region, caplog: pytest.LogCaptureFixture) -> None:
    seen: queue.Queue[Any] = queue.Queue()

    def fails_first(event: EntryEvent) -> None:
        seen.put(event.new_value)
        if event.new_value == 1:
            raise ValueError("the listener's own mistake")

    with region.listen(fails_first) as listener:
        region.put("k", 1)
        region.put("k", 2)
        assert [seen.get(timeout=WAIT_S) for _ in range(2)] == [1, 2]
        assert listener.active
    assert (listener.failures, listener.error, listener.active) == (1, None, False)
    assert "the listener's own mistake" in caplog.text


def test_a_listener_may_use_the_region_and_close_itself(region: Region) -> None:
    done = threading.Event()

    def copy(event: EntryEvent) -> None:
        if event.key == "k":
            region.put("copy", event.new_value)
        else:
            listener.close()
            done.set()

    listener = region.listen(copy)
    region.put("k", 1)
    assert done.wait(WAIT_S)
    assert region["copy"] == 1
    assert not listener.active


def test_a_slow_listener_holds_up_neither_writes_nor_other_listeners(region: Region, told: Told) -> None:
    go_on, slow = threading.Event(), queue.Queue[Any]()

    def waits(event: EntryEvent) -> None:
        go_on.wait(WAIT_S)
        slow.put(event.new_value)

    with region.listen(waits):
        for number in range(50):
            region.put("k", number)
        assert [event.new_value for event in told.next(50)] == list(range(50))
        assert slow.empty()
        go_on.set()
        assert [slow.get(timeout=WAIT_S) for _ in range(50)] == list(range(50))


@pytest.mark.parametrize("function", [None, "print"])
def test_what_can_not_be_called_is_refused(region: Region, function: Any) -> None:
    with pytest.raises(UsageError, match="plain function"):
        region.listen(function)


def test_a_coroutine_function_is_refused(region: Region) -> None:
    async def listener(event: EntryEvent) -> None: ...

    with pytest.raises(UsageError, match=r"iterate over region.events\(\)"):
        region.listen(listener)


def ended(listener: Listener) -> None:
    listener._thread.join(WAIT_S)
    assert not listener.active


def test_a_listener_ends_with_its_client() -> None:
    with over_links() as region:
        listener = region.listen(print)
        assert listener.active
    ended(listener)
    assert listener.error is None
    listener.close()


def test_a_listener_ends_with_its_cache_and_when_its_region_is_destroyed(tmp_path: Any) -> None:
    with start_cache(tmp_path / "app1") as cache:
        customer, order = cache.create_region("customer"), cache.create_region("order")
        with heliograph.connect(str(cache.locators[0])) as client:
            listeners = [order.listen(print), client.region("order").listen(print)]
            staying = customer.listen(print)
            destroy(cache, "order")
            for listener in listeners:
                ended(listener)
                assert isinstance(listener.error, RegionNotFoundError)
            assert staying.active
    ended(staying)
    assert staying.error is None


def destroy(cache: heliograph.Cache, region: str) -> None:
    from heliograph.model.registry import region_key

    member = cache._cache.member
    cache._loop.run(member._registry.delete(region_key(region)))
