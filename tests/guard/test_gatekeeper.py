"""Links through a gate, over the simulated network, on virtual time."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

from heliograph.engine.sim.loop import run
from heliograph.errors import (
    AuthenticationError,
    AuthenticationExpiredError,
    NotAuthorizedError,
    UnavailableError,
    UsageError,
)
from heliograph.guard.gatekeeper import WAITING_MAX, Gatekeeper
from heliograph.guard.manager import PluginManager
from heliograph.guard.security import Security
from heliograph.link import messages
from heliograph.link.hello import Hello
from heliograph.model.ids import Address
from heliograph.net.connection import Link
from heliograph.net.handler import BaseHandler
from heliograph.net.identity import CREDENTIALS_BYTES_MAX, ServerIdentity
from heliograph.net.link import LinkServer, connect_link, serve_links
from heliograph.net.sim import SimNetwork
from heliograph.security.permissions import Permission, implied, parse_grants
from heliograph.security.properties import SecurityProperties

OURS = Hello("member", "server", 1)
HERE = "tests.guard.test_gatekeeper"


class Users:
    """A user's own manager: name -> (password, permissions)."""

    def __init__(self) -> None:
        self.users: dict[str, tuple[str, tuple[str, ...]]] = {}
        self.asked: list[str] = []
        self.expired: set[str] = set()
        self.slow: asyncio.Event | None = None

    def authenticate(self, credentials: Mapping[str, str]) -> str | None:
        name = credentials["security-username"]
        if name == "trouble":
            raise ValueError(f"no {credentials['security-password']}")
        password, _ = self.users.get(name, ("", ()))
        self.expired.discard(name)
        return name if password and password == credentials["security-password"] else None

    def authorize(self, principal: str, permission: Permission) -> bool:
        self.asked.append(f"{principal} {permission}")
        if principal in self.expired:
            raise AuthenticationExpiredError(principal)
        _, permissions = self.users.get(principal, ("", ()))
        return implied(parse_grants(permissions), permission)


USERS = Users()
"""Made anew for each test."""


def make_users() -> Users:
    return USERS


class Answering(BaseHandler):
    def __init__(self) -> None:
        self.heard: list[object] = []

    def on_request(self, link: Link, message: messages.Request) -> messages.Reply:
        self.heard.append(message)
        return messages.Count(7)


class World:
    def __init__(self, gatekeeper: Gatekeeper, server: LinkServer, network: SimNetwork, handler: Answering) -> None:
        self.gatekeeper = gatekeeper
        self.server = server
        self.network = network
        self.handler = handler

    async def link(self, user: str = "", password: str = "pw", role: str = "client", dsid: int = -1) -> Link:
        properties = SecurityProperties(username=user, password=password if user else "")
        return await connect_link(
            self.network.host("caller"),
            Address("server", self.server.port),
            Hello(role, "app", dsid),
            BaseHandler(),
            timeout_s=2,
            introduction=Security(properties).to_others,
        )

    async def refused(self, *args: Any, **kwargs: Any) -> str:
        began = asyncio.get_running_loop().time()
        with pytest.raises(AuthenticationError) as raised:
            await self.link(*args, **kwargs)
        assert asyncio.get_running_loop().time() - began < 1
        return str(raised.value)


@asynccontextmanager
async def gated() -> AsyncIterator[World]:
    network, handler = SimNetwork(), Answering()
    gatekeeper = Gatekeeper(PluginManager(f"{HERE}:make_users"))
    server = await serve_links(
        network.host("server"), "", 0, OURS, lambda _peer: handler, gate=gatekeeper.at(lambda: OURS.dsid)
    )
    keeping = asyncio.create_task(gatekeeper.run())
    try:
        yield World(gatekeeper, server, network, handler)
    finally:
        keeping.cancel()
        await server.close()


def simulate(scenario: Callable[[World], Coroutine[Any, Any, None]], **users: tuple[str, ...]) -> None:
    """Run a scenario with users; the password of each is pw."""
    USERS.__init__()  # type: ignore[misc]
    USERS.users = {name: ("pw", permissions) for name, permissions in users.items()}

    async def main(_rng: random.Random) -> None:
        async with gated() as world:
            await scenario(world)

    run(main, seed=1)


async def ask(link: Link, message: messages.Request) -> messages.Reply:
    return await link.call(message, timeout_s=5)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def test_whoever_is_not_known_is_refused_with_a_reason(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World) -> None:
        assert "who are you?" in await world.refused()
        assert "does not know these credentials" in await world.refused("ada", "secret")
        assert "the security manager tests.guard.test_gatekeeper:make_users failed: ValueError" in await world.refused(
            "trouble", "secret"
        )
        assert world.server.failed == 3
        assert not world.handler.heard
        link = await world.link("ada")
        assert await ask(link, messages.SiteQuery()) == messages.Count(7)
        link.close()

    with caplog.at_level(logging.WARNING):
        simulate(scenario, ada=())
    told = [record.message for record in caplog.records if "connection refused" in record.message]
    assert len(told) == 3
    assert all("client app at caller[" in line for line in told)
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("role", "dsid", "needed"),
    [
        ("member", 1, "CLUSTER:MANAGE"),
        ("server", -1, "CLUSTER:MANAGE"),
        ("locator", 1, "CLUSTER:MANAGE"),
        ("locator", 2, "SITE:2"),
    ],
)
def test_roles_that_need_more(role: str, dsid: int, needed: str) -> None:
    async def scenario(world: World) -> None:
        reason = await world.refused("ada", role=role, dsid=dsid)
        assert f"user ada is not authorized for {needed}, which {role} app" in reason
        link = await world.link("bob", role=role, dsid=dsid)
        link.close()

    simulate(scenario, ada=("CLUSTER:READ", "DATA", "SITE:3"), bob=(needed,))


def test_requests_are_checked_and_the_link_stays() -> None:
    async def scenario(world: World) -> None:
        link = await world.link("ada")
        for message, needed in (
            (messages.PutAll("other", 0, ["k"], [b"v"]), "DATA:WRITE:other:k"),
            (messages.Change("other", 0, "remove", 7), "DATA:WRITE:other:7"),
            (messages.Keys("other", [0]), "DATA:READ:other"),
            (messages.Listen("other", 0, [0], [0], 0), "DATA:READ:other"),
            (messages.Clear("other", 0, 1), "DATA:WRITE:other"),
            (messages.GatewayQuery(), "CLUSTER:READ"),
            (messages.SenderCommand("ny", "stop"), "CLUSTER:MANAGE:GATEWAY"),
            (messages.JoinQuery("x"), "CLUSTER:MANAGE"),
        ):
            with pytest.raises(NotAuthorizedError, match=f"^user ada is not authorized for {needed}$"):
                await ask(link, message)
        assert not world.handler.heard
        allowed = (messages.PutAll("r", 0, ["k"], [b"v"]), messages.GetAll("r", ["k"]), messages.Size("r", [0]))
        for request in allowed:
            assert await ask(link, request) == messages.Count(7)
        link.close()

    simulate(scenario, ada=("DATA:READ,WRITE:r",))


def test_a_region_is_asked_for_once_and_keys_of_those_who_have_only_keys() -> None:
    async def scenario(world: World) -> None:
        link = await world.link("ada")
        for _ in range(3):
            await ask(link, messages.GetAll("r", ["a", "b"]))
        assert USERS.asked == ["ada DATA:READ:r"]
        link.close()
        link = await world.link("bob")
        USERS.asked.clear()
        for _ in range(3):
            await ask(link, messages.GetAll("r", ["a", b"\x01"]))
        assert USERS.asked.count("bob DATA:READ:r:a") == USERS.asked.count("bob DATA:READ:r:01") == 1
        for keys in (["a", "c"], ["a", ""], []):
            with pytest.raises(NotAuthorizedError, match="user bob is not authorized for DATA:READ:r"):
                await ask(link, messages.GetAll("r", keys))
        with pytest.raises(UsageError, match="a list can't be a key"):
            await ask(link, messages.GetAll("r", [["a"]]))
        link.close()

    simulate(scenario, ada=("DATA:READ:r",), bob=("DATA:READ:r:a", "DATA:READ:r:01"))


def test_processes_of_the_own_site_may_ask_everything_that_their_role_may() -> None:
    async def scenario(world: World) -> None:
        link = await world.link("m", role="member", dsid=1)
        assert await ask(link, messages.PutAll("r", 0, ["k"], [b"v"])) == messages.Count(7)
        link.close()

    simulate(scenario, m=("CLUSTER:MANAGE",))


def test_another_site_speaks_for_itself_alone() -> None:
    def exchange(dsid: int) -> messages.Exchange:
        return messages.Exchange(messages.LocatorInfo("l", dsid, Address("h", 1), 0), [], [])

    async def scenario(world: World) -> None:
        link = await world.link("ny", role="locator", dsid=2)
        assert await ask(link, exchange(2)) == messages.Count(7)
        with pytest.raises(NotAuthorizedError, match="user ny is not authorized for SITE:3"):
            await ask(link, exchange(3))
        view = messages.EngineView(1, messages.EngineNode("l", "h", 1, 2), alone=False, plan=None)
        with pytest.raises(NotAuthorizedError, match="CLUSTER:MANAGE"):
            await ask(link, messages.EngineQuery(view))
        link.close()

    simulate(scenario, ny=("SITE:2",))


def test_rights_that_are_lost_end_links() -> None:
    async def scenario(world: World) -> None:
        ada, bob, member = await world.link("ada"), await world.link("bob"), await world.link("m", role="member")
        await ask(ada, messages.GetAll("r", ["k"]))
        await ask(bob, messages.GetAll("r", ["k"]))
        USERS.users |= {"ada": ("pw", ("DATA:WRITE",)), "m": ("pw", ("CLUSTER:READ",))}
        began = asyncio.get_running_loop().time()
        await until(lambda: ada.closed and member.closed)
        assert asyncio.get_running_loop().time() - began < 7
        assert not bob.closed
        with pytest.raises(NotAuthorizedError, match="DATA:READ:r"):
            await ask(await world.link("ada"), messages.GetAll("r", ["k"]))
        assert await world.refused("m", role="member")
        bob.close()

    simulate(scenario, ada=("DATA:READ",), bob=("DATA:READ",), m=("CLUSTER",))


def test_who_has_expired_authenticates_again() -> None:
    async def scenario(world: World) -> None:
        link = await world.link("ada")
        USERS.expired.add("ada")
        with pytest.raises(UnavailableError, match="has expired: authenticate again"):
            await ask(link, messages.GetAll("r", ["k"]))
        await until(lambda: link.closed)
        assert not world.handler.heard
        link = await world.link("ada")
        assert await ask(link, messages.GetAll("r", ["k"])) == messages.Count(7)
        USERS.expired.add("ada")
        await until(lambda: link.closed)

    simulate(scenario, ada=("DATA:READ",))


def test_too_many_who_wait_are_turned_away() -> None:
    async def scenario(world: World) -> None:
        world.gatekeeper._waiting = WAITING_MAX
        with pytest.raises(UnavailableError, match="wait to be authenticated: try again"):
            await world.link("ada")
        world.gatekeeper._waiting = 0
        (await world.link("ada")).close()

    simulate(scenario, ada=())


def test_credentials_are_warned_of_once_where_nothing_is_encrypted(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World) -> None:
        introduction = Security(SecurityProperties(username="ada", password="pw")).to_others
        for _ in range(2):
            link = await connect_link(
                world.network.host("caller"),
                Address("server", world.server.port),
                Hello("client", "app"),
                BaseHandler(),
                timeout_s=2,
                introduction=introduction,
            )
            assert link.credentials is None
            link.close()

    with caplog.at_level(logging.WARNING):
        simulate(scenario, ada=())
    assert len([record for record in caplog.records if "sent unencrypted" in record.message]) == 1
    assert "pw" not in caplog.text


class Provider:
    """Remembers whom it was asked for."""

    servers: ClassVar[list[ServerIdentity]] = []

    def __init__(self, password: str = "pw") -> None:
        self.password = password

    def get_credentials(self, properties: dict[str, str], server: ServerIdentity) -> dict[str, Any]:
        self.servers.append(server)
        if self.password == "raise":
            raise ValueError("the secret is pw")
        password: Any = 7 if self.password == "seven" else self.password
        return {"security-username": properties["security-realm"], "security-password": password}


def provided(password: str = "pw") -> Security:
    properties = SecurityProperties(
        client_auth_init=f'{HERE}:Provider{{"password": "{password}"}}', others={"security-realm": "ada"}
    )
    return Security(properties)


def test_a_provider_is_told_of_the_server_and_asked_each_time() -> None:
    async def scenario(world: World) -> None:
        Provider.servers.clear()
        introduction = provided().to_others
        address = Address("server", world.server.port)
        hello = Hello("sender", "s@a", 2)
        for _ in range(2):
            said = await introduction.introduce(hello, address, "server1", 1)
            assert said.credentials == {"security-username": "ada", "security-password": "pw"}
            assert "pw" not in f"{said!r}{said}"
            assert said.bare == hello
        assert Provider.servers == [ServerIdentity(address, "server1", 1)] * 2

    simulate(scenario)


@pytest.mark.parametrize(
    ("password", "message"), [("raise", "failed: ValueError$"), ("seven", "gave no dict of texts")]
)
def test_a_provider_that_fails_tells_no_secret(password: str, message: str) -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(AuthenticationError, match=message) as raised:
            await provided(password).to_others.introduce(OURS, Address("server", 1))
        assert "pw" not in str(raised.value)

    simulate(scenario)


def test_credentials_that_do_not_fit_a_hello_are_refused() -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(UsageError, match="too large"):
            await world.link("ada", "x" * CREDENTIALS_BYTES_MAX)

    simulate(scenario)


@pytest.mark.parametrize("name", ["tests.guard.test_gatekeeper:Provider", "tests.guard.nowhere:X"])
def test_managers_that_can_not_be_loaded(name: str) -> None:
    with pytest.raises(UsageError, match="security manager"):
        Security(SecurityProperties(manager=name))
