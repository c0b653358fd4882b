"""Locators that form a cluster, each with its directory, asking each other without a network."""

from __future__ import annotations

import asyncio
import random
import shutil
import stat
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from heliograph.engine.nats.lifetime import EngineState, free_port
from heliograph.engine.sim.loop import run
from heliograph.errors import UnavailableError, UsageError
from heliograph.link.messages import ClusterPlan, EngineQuery, EngineView
from heliograph.locator.assembly import ALONE_TOLD_S, Assembly
from heliograph.locator.config import LocatorConfig
from heliograph.locator.engine import open_site_engine
from heliograph.model.ids import Address

PLACES = tuple(Address("127.0.0.1", port) for port in (10001, 10002, 10003))


class Trio:
    """Three locators; who is not in `up` does not answer."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.up: dict[Address, Assembly] = {}

    def config(self, number: int, **settings: Any) -> LocatorConfig:
        return LocatorConfig(
            **{
                "name": f"l{number}",
                "port": PLACES[number].port,
                "bind_address": "127.0.0.1",
                "directory": str(self.directory / f"l{number}"),
                "locators": PLACES,
                **settings,
            }
        )

    def start(self, number: int, **settings: Any) -> asyncio.Task[ClusterPlan]:
        assembly = self.up[PLACES[number]] = Assembly(self.config(number, **settings), self._ask)
        return asyncio.create_task(assembly.agree())

    def stop(self, number: int) -> None:
        self.up.pop(PLACES[number]).release_ports()

    def wipe(self, number: int) -> None:
        shutil.rmtree(self.directory / f"l{number}")

    def hold_data(self, number: int, port: int) -> None:
        """Have a locator's directory be that of a site's only one."""
        engine = self.directory / f"l{number}" / "engine"
        (engine / "jetstream").mkdir(parents=True)
        (engine / "engine.json").write_bytes(msgspec.json.encode(EngineState("old password", port)))

    async def _ask(self, address: Address, query: EngineQuery) -> EngineView:
        if address not in self.up:
            raise UnavailableError(f"{address} is not there")
        return self.up[address].answer(query)


def with_three(directory: Path, scenario: Callable[[Trio], Coroutine[Any, Any, None]]) -> None:
    async def main(_: random.Random) -> None:
        trio = Trio(directory)
        try:
            await scenario(trio)
        finally:
            for number in range(3):
                if PLACES[number] in trio.up:
                    trio.stop(number)

    run(main, seed=1)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_they_agree_in_whatever_order_they_start(tmp_path: Path, order: tuple[int, ...]) -> None:
    async def scenario(trio: Trio) -> None:
        tasks: dict[int, asyncio.Task[ClusterPlan]] = {}
        for number in order:
            assert not any(task.done() for task in tasks.values())
            tasks[number] = trio.start(number)
            await asyncio.sleep(1)
        plans = await asyncio.gather(*tasks.values())
        assert len({(plan.id, plan.password, plan.nodes, plan.grow_from) for plan in plans}) == 1
        assert [node.name for node in plans[0].nodes] == ["l0", "l1", "l2"]
        assert plans[0].grow_from == ""
        for number in range(3):
            kept = tmp_path / f"l{number}" / "engine" / "cluster.json"
            assert stat.S_IMODE(kept.stat().st_mode) == 0o600

    with_three(tmp_path, scenario)


def test_one_that_lost_its_disk_is_told_the_plan_by_any_other(tmp_path: Path) -> None:
    async def scenario(trio: Trio) -> None:
        before = await asyncio.gather(*(trio.start(number) for number in range(3)))
        for number in (0, 1):
            trio.stop(number)
        trio.wipe(0)
        plan = await trio.start(0)
        assert (plan.id, plan.password) == (before[2].id, before[2].password)
        assert plan.nodes[1:] == before[2].nodes[1:]
        await trio.start(1)
        assert trio.up[PLACES[1]].plan.nodes == plan.nodes  # and hears where the wiped one is now

    with_three(tmp_path, scenario)


def test_the_data_of_one_go_with_its_password_and_its_port(tmp_path: Path) -> None:
    port = free_port("127.0.0.1", 0)

    async def scenario(trio: Trio) -> None:
        trio.hold_data(2, port)
        plans = await asyncio.gather(*(trio.start(number) for number in range(3)))
        assert {(plan.grow_from, plan.password) for plan in plans} == {("l2", "old password")}
        assert plans[0].nodes[2].client_port == port
        for assembly in trio.up.values():
            assembly.grown()
            assert assembly.plan.grow_from == ""

    with_three(tmp_path, scenario)


def test_whoever_starts_one_is_told_soon_that_it_waits_and_for_whom(tmp_path: Path) -> None:
    async def scenario(trio: Trio) -> None:
        task = trio.start(0)
        told: list[str] = []
        waiting = trio.up[PLACES[0]]
        waiting.on_waiting = lambda: told.append(waiting.waiting)
        await asyncio.sleep(ALONE_TOLD_S - 1)
        assert not told
        await asyncio.sleep(2)
        assert len(told) == 1
        assert "127.0.0.1[10002] is not there" in told[0]
        others = [trio.start(number) for number in (1, 2)]
        await asyncio.gather(task, *others)
        assert (waiting.waiting, len(told)) == ("", 1)

    with_three(tmp_path, scenario)


def test_what_does_not_fit_ends_the_one_that_comes_and_not_those_that_wait(tmp_path: Path) -> None:
    async def scenario(trio: Trio) -> None:
        waits = trio.start(0)
        await asyncio.sleep(ALONE_TOLD_S + 1)
        with pytest.raises(UsageError, match="2 of the site's locators are named l0"):
            await trio.start(1, name="l0", directory=str(tmp_path / "other"))
        await asyncio.sleep(1)
        assert not waits.done()
        trio.stop(1)
        await asyncio.gather(waits, trio.start(1), trio.start(2))

    with_three(tmp_path, scenario)


def test_a_directory_belongs_to_one_name_and_a_cluster_keeps_its_size(tmp_path: Path) -> None:
    async def scenario(trio: Trio) -> None:
        await asyncio.gather(*(trio.start(number) for number in range(3)))
        trio.stop(0)
        with pytest.raises(UsageError, match="belongs to locator l0"):
            await trio.start(0, name="l9")
        trio.stop(0)
        alone = trio.config(0, locators=PLACES[:1])
        with pytest.raises(UsageError, match="one of l0, l1, l2, whose engines form a cluster"):
            await open_site_engine(alone, Assembly(alone, trio._ask))
        single = Assembly(trio.config(0, locators=()), trio._ask)
        with pytest.raises(UsageError, match="its site's only one"):
            single.answer(EngineQuery(trio.up[PLACES[1]]._view()))

    with_three(tmp_path, scenario)
