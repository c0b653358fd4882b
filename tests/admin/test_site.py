"""The admin API against real servers: locator, engine, links and members in this process, commands over HTTP."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from heliograph.admin.client import AdminClient
from heliograph.admin.locator_process import running
from heliograph.locator.config import LocatorConfig
from heliograph.locator.locator import Locator
from heliograph.member.config import MemberConfig
from heliograph.member.member import Member
from heliograph.model.results import Result


class Site:
    """Commands to the admin API of a locator with two servers."""

    def __init__(self, client: AdminClient) -> None:
        self._client = client

    async def __call__(self, method: str, path: str, body: Any = None, **query: Any) -> Result:
        return await asyncio.to_thread(self._client.call, method, path, body, query)

    async def ok(self, method: str, path: str, body: Any = None, **query: Any) -> Result:
        result = await self(method, path, body, **query)
        assert result.status == "OK", result
        return result

    async def all_ok(self, method: str, path: str, body: Any = None, **query: Any) -> None:
        result = await self.ok(method, path, body, **query)
        assert [row[:2] for row in result.tables[0].rows] == [("s1", "OK"), ("s2", "OK")], result


async def a_site(stack: AsyncExitStack, directory: Path) -> Site:
    config = LocatorConfig(
        name="locator", port=0, bind_address="127.0.0.1", directory=str(directory),
        distributed_system_id=1, http_service_port=0,
    )  # fmt: skip
    locator = await stack.enter_async_context(running(Locator(config)))
    for name in ("s1", "s2"):
        member = Member(MemberConfig(name=name, locators=(locator.address,), bind_address="127.0.0.1"))
        await member.start()
        stack.push_async_callback(member.stop)
    return Site(stack.enter_context(AdminClient(locator.http_url)))


def test_commands_on_real_servers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            site = await a_site(stack, tmp_path)
            assert (await site.ok("GET", "/members")).info == ["Member Count : 3"]
            await gateways(site)
            await regions(site)
            await site.all_ok("DELETE", "/gateway-senders/away")

    asyncio.run(scenario())


async def gateways(site: Site) -> None:
    await site.all_ok("POST", "/gateway-receivers", {"start_port": 20000, "end_port": 29999})
    await site.all_ok("POST", "/gateway-senders", {"id": "away", "remote_distributed_system_id": 2, "parallel": True})
    await site.all_ok("PATCH", "/gateway-senders/away", {"batch_size": 10})
    status = await site.ok("GET", "/gateway-senders/away")
    assert [row[:3] for row in status.tables[0].rows] == [("s1", "Parallel", ""), ("s2", "Parallel", "")]
    listed = await site.ok("GET", "/gateways")
    assert [table.title for table in listed.tables] == ["GatewaySender Section", "GatewayReceiver Section"]
    for action in ("pause", "resume", "stop", "start"):
        await site.all_ok("POST", f"/gateway-senders/away/actions/{action}")
    again = await site.ok("POST", "/gateway-senders/away/actions/start")
    assert [row[1] for row in again.tables[0].rows] == ["Error", "Error"]
    for action in ("stop", "start"):
        await site.all_ok("POST", f"/gateway-receivers/actions/{action}")
    await site.all_ok("DELETE", "/gateway-receivers")


async def regions(site: Site) -> None:
    """Also: an entry of a destroyed region does not come back with the region's name."""
    for _ in range(2):
        await site.all_ok("POST", "/regions", {"name": "customer", "gateway_sender_ids": ["away"]})
        assert (await site.ok("GET", "/regions/customer/entry", key="42")).data["Result"] == "false"
        await site.ok("PUT", "/regions/customer/entry", {"value": "Ada"}, key="42")
        assert (await site.ok("GET", "/regions/customer/entry", key="42")).data["Value"] == "Ada"
        assert (await site.ok("GET", "/regions/customer")).data["Hosting Members"] == "s1, s2"
        assert (await site("DELETE", "/gateway-senders/away")).status == "ERROR"
        await site.all_ok("PATCH", "/regions/customer", {"gateway_sender_ids": []})
        await site.all_ok("DELETE", "/regions/customer")
    await site.all_ok("POST", "/regions", {"name": "everywhere", "type": "REPLICATE"})
    await site.ok("PUT", "/regions/everywhere/entry", {"value": "v"}, key="k")
    assert (await site.ok("DELETE", "/regions/everywhere/entry", key="k")).data["Result"] == "true"
