"""A part of the registry in view, on the simulated engine."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress

import pytest

from heliograph.engine.seam import Change
from heliograph.engine.sim import loop
from heliograph.engine.sim.engine import SimClient, SimRegistry, connect_engine
from heliograph.engine.sim.server import SimEngine
from heliograph.engine.watching import HOLD_MARGIN_S, RESCAN_S, Entries, Group, Watching
from heliograph.errors import PeerError, UnavailableError, UsageError


class Views:
    """What a `Watching` of the groups a and b handed on; `refuse` makes the taker of a fail."""

    def __init__(self, client: SimClient, registry: SimRegistry) -> None:
        self.client = client
        self.registry = registry
        self.refuse = False
        self.a: list[dict[str, bytes]] = []
        self.b: list[dict[str, bytes]] = []
        self.changes = 0
        self.watching = Watching(registry, (Group("a", self._take_a), Group("b", self._take_b)), self._changed)

    def _take_a(self, entries: Entries) -> None:
        if self.refuse:
            raise PeerError("unreadable")
        self.a.append({key: item.value for key, item in entries.items()})

    def _take_b(self, entries: Entries) -> None:
        self.b.append({key: item.value for key, item in entries.items()})

    def _changed(self) -> None:
        self.changes += 1


def on_views(scenario: Callable[[Views], Awaitable[None]]) -> None:
    async def main(rng: random.Random) -> None:
        client = connect_engine(SimEngine(rng))
        await scenario(Views(client, await client.open_registry("site")))
        await client.close()

    loop.run(main, seed=1)


def running(scenario: Callable[[Views], Awaitable[None]]) -> None:
    async def watched(views: Views) -> None:
        run = asyncio.create_task(views.watching.run())
        await asyncio.sleep(RESCAN_S / 2)
        try:
            await scenario(views)
        finally:
            run.cancel()
            with suppress(asyncio.CancelledError):
                await run

    on_views(watched)


def test_a_refresh_reads_everything_and_hands_on_what_is_new() -> None:
    async def scenario(views: Views) -> None:
        await views.registry.put("a.x", b"1")
        await views.registry.put("a.y", b"2")
        await views.watching.refresh()
        await views.watching.refresh()
        assert views.a == [{"a.x": b"1", "a.y": b"2"}]
        assert views.b == [{}]
        assert views.changes == 2
        await views.registry.put("a.y", b"3")
        await views.watching.refresh()
        assert views.a[1:] == [{"a.x": b"1", "a.y": b"3"}]
        assert views.changes == 3

    on_views(scenario)


def test_a_refresh_raises_what_goes_wrong() -> None:
    async def scenario(views: Views) -> None:
        views.refuse = True
        for _ in range(2):
            with pytest.raises(PeerError, match="unreadable"):
                await views.watching.refresh()
        views.client.connection.cut()
        with pytest.raises(UnavailableError):
            await views.watching.refresh()
        assert views.changes == 0

    on_views(scenario)


def test_a_watch_says_when_to_look() -> None:
    async def scenario(views: Views) -> None:
        await views.registry.put("b.x", b"1")
        await asyncio.sleep(RESCAN_S / 10)
        assert views.b == [{}, {"b.x": b"1"}]
        await views.registry.delete("b.x")
        await asyncio.sleep(RESCAN_S / 10)
        assert views.b == [{}, {"b.x": b"1"}, {}]
        assert views.a == [{}]

    running(scenario)


def test_what_no_watch_tells_of_is_seen_by_a_later_look(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(_registry: SimRegistry, _prefix: str) -> AsyncGenerator[list[Change], None]:
        yield []
        await asyncio.Event().wait()

    monkeypatch.setattr(SimRegistry, "watch", silent)

    async def scenario(views: Views) -> None:
        await views.registry.put("a.x", b"1")
        await asyncio.sleep(RESCAN_S / 10)
        assert views.a == [{}]
        await asyncio.sleep(RESCAN_S)
        assert views.a == [{}, {"a.x": b"1"}]

    running(scenario)


def test_an_engine_that_was_away_is_followed_again() -> None:
    async def scenario(views: Views) -> None:
        views.client.connection.cut()
        await asyncio.sleep(10 * RESCAN_S)
        views.client.connection.heal()
        await views.registry.put("a.x", b"1")
        await asyncio.sleep(2 * RESCAN_S)
        assert views.a[-1] == {"a.x": b"1"}
        await views.registry.put("a.x", b"2")
        await asyncio.sleep(RESCAN_S / 10)
        assert views.a[-1] == {"a.x": b"2"}

    running(scenario)


def test_what_can_not_be_taken_is_tried_again_and_keeps_nothing_else_back(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(views: Views) -> None:
        views.refuse = True
        await views.registry.put("a.x", b"1")
        await views.registry.put("b.x", b"1")
        await asyncio.sleep(2 * RESCAN_S)
        assert views.a == [{}]
        assert views.b[-1] == {"b.x": b"1"}
        assert "registry unreadable prefix=a error=unreadable" in caplog.text
        views.refuse = False
        await asyncio.sleep(RESCAN_S)
        assert views.a == [{}, {"a.x": b"1"}]

    running(scenario)


def test_a_watch_that_is_refused_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(prefix: str) -> AsyncGenerator[list[Change], None]:
        raise UsageError("maximum consumers limit reached")
        yield []

    async def watched(views: Views) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(views.registry, "watch", refused)
            run = asyncio.create_task(views.watching.run())
            await asyncio.sleep(3.5 * RESCAN_S)
        await asyncio.sleep(RESCAN_S)
        try:
            await views.registry.put("b.x", b"1")
            await asyncio.sleep(RESCAN_S / 10)
            assert views.b == [{}, {"b.x": b"1"}]
        finally:
            run.cancel()
            with suppress(asyncio.CancelledError):
                await run

    on_views(watched)


def test_entries_that_end_while_the_registry_is_away_are_held_until_whoever_lives_has_renewed_them() -> None:
    ttl_s = 2.0

    async def main(rng: random.Random) -> None:
        engine = SimEngine(rng)
        client = connect_engine(engine)
        registry = await client.open_registry("site")
        seen: list[set[str]] = []
        watching = Watching(registry, (Group("m", lambda found: seen.append(set(found)), ttl_s),), lambda: None)
        run = asyncio.create_task(watching.run())
        for name in ("lives", "leaves", "dies"):
            await registry.create(f"m.{name}", b"", ttl_s=ttl_s)
        await asyncio.sleep(RESCAN_S)
        await registry.delete("m.leaves")
        await asyncio.sleep(RESCAN_S / 2)
        assert seen[-1] == {"m.lives", "m.dies"}  # without an interruption what is missing is gone

        before = len(seen)
        engine.stop()
        await asyncio.sleep(2 * ttl_s)
        engine.start()
        await asyncio.sleep(RESCAN_S)
        assert not await registry.items("m")
        await registry.put("m.lives", b"again")
        await asyncio.sleep(ttl_s + HOLD_MARGIN_S + 2 * RESCAN_S)
        assert seen[-1] == {"m.lives"}
        assert all(found == {"m.lives", "m.dies"} for found in seen[before:-1])
        run.cancel()
        with suppress(asyncio.CancelledError):
            await run
        await client.close()

    loop.run(main, seed=1)
