"""change loglevel and alter runtime: who is told, and what the site keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from heliograph.errors import UsageError
from heliograph.link.messages import LogLevelCommand
from heliograph.locator.cluster import EVERYONE, Cluster, Targets
from heliograph.locator.requests import LogLevelChange
from heliograph.locator.site_runtime import RuntimeAdmin
from heliograph.model.registry import CONFIG_RUNTIME, decode_entry
from heliograph.model.runtime import RuntimeProperties
from tests.locator.fakes import FakeRegistry, FakeServers, join, member, unreachable


class World:
    def __init__(self) -> None:
        self.registry, self.servers, self.locators = FakeRegistry(), FakeServers(), FakeServers()
        self.admin = RuntimeAdmin(Cluster(self.registry, self.servers, 1, self.locators))

    @property
    def kept(self) -> RuntimeProperties | None:
        item = self.registry.entries.get(CONFIG_RUNTIME)
        return None if item is None else decode_entry(item.value, RuntimeProperties)

    @property
    def told(self) -> list[str]:
        return [name for each in (self.locators, self.servers) for name, _ in each.requests(LogLevelCommand)]


def run(scenario: Callable[[World], Awaitable[None]]) -> None:
    async def body() -> None:
        world = World()
        await join(world.registry, member("l1", kind="locator"), member("s1", joined_ms=2, groups=("g",)))
        await join(world.registry, member("s2", joined_ms=3))
        await scenario(world)

    asyncio.run(body())


@pytest.mark.parametrize(
    ("targets", "told"),
    [
        (Targets(members=("L1", "s2")), ["l1", "s2"]),
        (Targets(members=("s1(s1:2:server):2",)), ["s1"]),
        (Targets(groups=("g",)), ["s1"]),
    ],
)
def test_a_level_is_changed_where_it_is_said(targets: Targets, told: list[str]) -> None:
    async def scenario(world: World) -> None:
        result = await world.admin.change_log_level(LogLevelChange(log_level="FINE"), targets)
        assert [row[:2] for row in result.tables[0].rows] == [(name, "true") for name in told]
        assert sorted(world.told) == told
        assert world.kept is None

    run(scenario)


def test_nobody_is_an_error() -> None:
    async def scenario(world: World) -> None:
        for targets, message in ((EVERYONE, "needs --members"), (Targets(members=("x",)), "no members found")):
            with pytest.raises(UsageError, match=message):
                await world.admin.change_log_level(LogLevelChange(log_level="FINE"), targets)

    run(scenario)


def test_runtime_properties_are_kept_for_the_whole_site_only() -> None:
    async def scenario(world: World) -> None:
        fine, warn = RuntimeProperties(log_level="FINE"), RuntimeProperties(log_level="warn")
        await world.admin.alter(warn, Targets(members=("s1",)))
        assert world.kept is None
        result = await world.admin.alter(fine, EVERYONE)
        assert [row[:2] for row in result.tables[0].rows] == [("s1", "OK"), ("s2", "OK")]
        assert world.kept == RuntimeProperties(log_level="fine")
        assert world.told == ["s1", "s1", "s2"]

    run(scenario)


def test_what_no_server_takes_is_not_kept() -> None:
    async def scenario(world: World) -> None:
        world.servers.broken = {name: unreachable(name) for name in ("s1", "s2")}
        result = await world.admin.alter(RuntimeProperties(log_level="fine"), EVERYONE)
        assert (result.status, world.kept) == ("ERROR", None)

    run(scenario)
