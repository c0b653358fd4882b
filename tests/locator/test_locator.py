"""A real locator on loopback: private engine, links, HTTP admin API; and two sites that find each other."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from heliograph.engine.nats.engine import connect_engine
from heliograph.errors import UnavailableError, UsageError
from heliograph.link import messages
from heliograph.link.hello import Hello
from heliograph.locator.config import LocatorConfig
from heliograph.locator.locator import Locator
from heliograph.model.ids import Address
from heliograph.model.members import MemberInfo, ReceiverInfo
from heliograph.model.registry import REGISTRY, encode_entry, member_key
from heliograph.net.link import BaseHandler, Link, connect_link
from heliograph.net.real import RealNetwork

WITHIN_S = 15.0


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def config_of(directory: Path, dsid: int, *remote: Address, port: int = 0, **settings: Any) -> LocatorConfig:
    name = f"locator{dsid}"
    return LocatorConfig(
        name=name,
        port=port,
        bind_address="127.0.0.1",
        directory=str(directory / name),
        distributed_system_id=dsid,
        remote_locators=remote,
        **settings,
    )


async def started(stack: AsyncExitStack, config: LocatorConfig) -> Locator:
    locator = Locator(config)
    await locator.start()
    stack.push_async_callback(locator.stop)
    return locator


async def ask(locator: Locator, message: messages.Request, role: str = "client") -> Any:
    link = await open_link(locator, role)
    try:
        return await link.call(message, timeout_s=WITHIN_S)
    finally:
        link.close()
        await link.wait_closed()


async def open_link(locator: Locator, role: str = "client") -> Link:
    return await connect_link(RealNetwork(), locator.address, Hello(role, "test"), BaseHandler(), timeout_s=WITHIN_S)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not await condition():  # noqa: ASYNC110  (the condition is another process's)
            await asyncio.sleep(0.02)


async def pretend_receiver(locator: Locator, port: int) -> ReceiverInfo:
    """Register a server with a running receiver at the locator's site."""
    registry = await locator._engine.engine.open_registry(REGISTRY)
    receiver = ReceiverInfo(member="server", address=Address("127.0.0.1", port), port=port)
    info = MemberInfo(
        name="server", kind="server", incarnation="1", joined_ms=1, address=Address("127.0.0.1", 1), pid=1,
        receiver=receiver,
    )  # fmt: skip
    await registry.put(member_key("server"), encode_entry(info))
    return receiver


async def knows(locator: Locator, dsid: int, receivers: list[ReceiverInfo]) -> bool:
    answer = await ask(locator, messages.ReceiversQuery(dsid), "member")
    return bool(answer.known and answer.receivers == receivers)


def test_a_locator_answers_by_role(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            locator = await started(stack, config_of(tmp_path, 1))
            view = await ask(locator, messages.SiteQuery())
            assert (view.dsid, [member.name for member in view.members]) == (1, ["locator1"])
            status = await ask(locator, messages.StatusQuery(), "operator")
            assert (status.kind, status.address) == ("Locator", locator.address)
            join = await ask(locator, messages.JoinQuery("s1"), "member")
            assert (join.dsid, join.replicas, join.member_timeout_ms) == (1, 1, 5000)
            await (await connect_engine(join.engine_url)).close()
            with pytest.raises(UsageError, match="not answered to a client"):
                await ask(locator, messages.JoinQuery("s1"), "client")
            with pytest.raises(UsageError, match="does not answer GatewayQuery"):
                await ask(locator, messages.GatewayQuery())

    run(scenario())


def test_sites_learn_each_others_receivers_late_and_after_a_restart(tmp_path: Path) -> None:
    """Site 2 starts late; a receiver moves; site 1's locator is started again and learns everything anew."""

    async def scenario() -> None:
        port = free_port()
        async with AsyncExitStack() as stack:
            one = await started(stack, config_of(tmp_path, 1, Address("127.0.0.1", port)))
            assert not (await ask(one, messages.ReceiversQuery(2), "member")).known
            two = await started(stack, config_of(tmp_path, 2, port=port))
            far = await pretend_receiver(two, 1530)
            await until(lambda: knows(one, 2, [far]))
            near = await pretend_receiver(one, 1540)
            await until(lambda: knows(two, 1, [near]))
            moved = await pretend_receiver(two, 1531)
            await until(lambda: knows(one, 2, [moved]))

            again = one.address.port
            await one.stop()
            one = await started(stack, config_of(tmp_path, 1, Address("127.0.0.1", port), port=again))
            await until(lambda: knows(one, 2, [moved]))
            await until(lambda: knows(two, 1, [near]))

    run(scenario())


def test_a_garbage_frame_disturbs_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            locator = await started(stack, config_of(tmp_path, 1))
            link = await open_link(locator)
            reader, writer = await asyncio.open_connection(locator.address.host, locator.address.port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n" + bytes(range(256)) * 64)
            async with asyncio.timeout(WITHIN_S):
                await reader.read()
            writer.close()
            assert await link.call(messages.SiteQuery(), timeout_s=WITHIN_S)
            link.close()
            await link.wait_closed()

    run(scenario())


def test_two_sites_of_one_id_refuse_each_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            locator = await started(stack, config_of(tmp_path, 1))
            twin = messages.LocatorInfo("twin", 1, Address("127.0.0.1", 1), 1)
            with pytest.raises(UsageError, match="need different ones"):
                await ask(locator, messages.Exchange(twin, [], []), "locator")

    run(scenario())


def test_a_taken_port_is_refused_and_harms_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            locator = await started(stack, config_of(tmp_path, 1))
            second = Locator(config_of(tmp_path, 1, port=locator.address.port))
            with pytest.raises(UnavailableError, match="can't listen"):
                await second.start()
            assert await ask(locator, messages.SiteQuery())

    run(scenario())


def test_a_site_keeps_its_id(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            await started(stack, config_of(tmp_path, 1))
        other = msgspec.structs.replace(config_of(tmp_path, 1), distributed_system_id=2)
        with pytest.raises(UsageError, match=r"data of site 1.*distributed-system-id 2.*start it with 1"):
            await Locator(other).start()
        async with AsyncExitStack() as stack:
            await started(stack, config_of(tmp_path, 1))

    run(scenario())


def test_a_locator_whose_name_is_another_processs_gives_way(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            locator = await started(stack, config_of(tmp_path, 1, member_timeout_ms=1_000))
            registry = await locator._engine.engine.open_registry(REGISTRY)
            successor = msgspec.structs.replace(locator._describe(), incarnation="another")
            await registry.put(member_key("locator1"), encode_entry(successor))
            with pytest.raises(UsageError, match="another process runs as member locator1"):
                async with asyncio.timeout(WITHIN_S):
                    await locator.wait_stopped()
            await locator.stop()

    run(scenario())
