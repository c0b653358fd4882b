"""Scenarios of area security-ssl-auth about who is who: whole simulated sites with security managers.

Each site has a manager of its own, that knows some users. Processes are `ln` and `ny`, with their sites' names; what a
manager knows changes while the sites run, as a file of users would.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from heliograph.api.client import Client
from heliograph.errors import AuthenticationExpiredError, NotAuthorizedError
from heliograph.guard.security import Security
from heliograph.link.hello import Hello
from heliograph.link.messages import GatewayQuery, ReceiverCommand, Request, SenderCommand
from heliograph.locator.config import LOCATOR_PORT
from heliograph.model.ids import Address
from heliograph.net.identity import ServerIdentity
from heliograph.net.link import call_once
from heliograph.security.commands import COMMANDS
from heliograph.security.permissions import Permission, implied, parse_grants
from heliograph.security.properties import SecurityProperties
from tests.scenarios.sites import LATE, Site, passes, scenario, until
from tests.sim.world import locator_of

HERE = "tests.scenarios.test_security_auth"
KEYS = [f"k{number}" for number in range(10)]
OWN = "CLUSTER:MANAGE"


class Users:
    """The security manager of a site: name -> (password, permissions)."""

    of: ClassVar[dict[str, dict[str, tuple[str, tuple[str, ...]]]]] = {}
    expired: ClassVar[set[str]] = set()
    asked: ClassVar[list[str]] = []

    def __init__(self, site: str) -> None:
        self.site = site

    def authenticate(self, credentials: Mapping[str, str]) -> str | None:
        name = credentials["security-username"]
        password, _ = self.of[self.site].get(name, ("", ()))
        if password == "" or credentials["security-password"] != password:
            return None
        self.expired.discard(name)
        return name

    def authorize(self, principal: str, permission: Permission) -> bool:
        self.asked.append(f"{self.site}: {principal} {permission}")
        if principal in self.expired:
            raise AuthenticationExpiredError(principal)
        _, permissions = self.of[self.site].get(principal, ("", ()))
        return implied(parse_grants(permissions), permission)


class Provider:
    """Gives credentials, and remembers for whom."""

    servers: ClassVar[list[ServerIdentity]] = []

    def get_credentials(self, properties: Mapping[str, str], server: ServerIdentity) -> dict[str, str]:
        self.servers.append(server)
        return {"security-username": "ln", "security-password": "ln"}


def secured(site: Site, users: dict[str, tuple[str, ...]], **more: Any) -> None:
    """Give a site users, whose passwords are their names, and its processes its own name as theirs."""
    Users.of[site.name] = {name: (name, permissions) for name, permissions in users.items()}
    site.security = SecurityProperties(
        manager=f'{HERE}:Users{{"site": "{site.name}"}}', username=site.name, password=site.name, **more
    )


async def two_sites(ln: Site, ny: Site, *, lets_ln: bool = True, **more: Any) -> None:
    """Start both, ln sending to ny; ny lets ln's processes in, or does not yet."""
    Users.expired.clear()
    Users.asked.clear()
    Provider.servers.clear()
    # What ny's processes are known by means nothing at ln: they are not asked for it.
    secured(ln, {"ln": (OWN,), "app": ("DATA:READ,WRITE:r",)}, **more)
    secured(ny, {"ny": (OWN,), "ln": ("SITE:1",)})
    if not lets_ln:
        del Users.of["ny"]["ln"]
    for site, other in ((ln, ny), (ny, ln)):
        site.remote_locators = (Address(locator_of(other.dsid), LOCATOR_PORT),)
    await ny.start(1)
    await ln.start(1)
    await ny.receives("r", kind="REPLICATE_PERSISTENT")
    await ln.create_sender("s", to=ny)
    await ln.create_region("r", senders="s")


async def has_all(site: Site, keys: list[str]) -> None:
    async def there() -> bool:
        return set(await site.contents("r")) >= set(keys)

    await until(there)


@scenario(ln=LATE, ny=LATE)
async def test_sec_valid_sender_credentials(ln: Site, ny: Site) -> None:
    await two_sites(ln, ny)
    await ln.put("r", KEYS)
    await has_all(ny, KEYS)
    assert not [line for line in Users.asked if line.startswith("ln: ny")]
    assert not [line for line in Users.asked if line.startswith("ny: ln DATA")]


@scenario(ln=LATE, ny=LATE)
async def test_sec_invalid_then_valid(ln: Site, ny: Site) -> None:
    await two_sites(ln, ny, lets_ln=False)
    await ln.put("r", KEYS)
    await passes(10)
    assert await ny.contents("r") == {}
    Users.of["ny"]["ln"] = ("ln", ("SITE:1",))
    await has_all(ny, KEYS)


@scenario(ln=LATE, ny=LATE)
async def test_sec_valid_invalid_valid(ln: Site, ny: Site) -> None:
    await two_sites(ln, ny)
    await ln.put("r", KEYS[:5])
    await has_all(ny, KEYS[:5])
    del Users.of["ny"]["ln"]
    await ny.leave("a")
    await ny.join("a")
    await ln.put("r", KEYS[5:])
    await passes(10)
    assert set(await ny.contents("r")).isdisjoint(KEYS[5:])
    Users.of["ny"]["ln"] = ("ln", ("SITE:1",))
    await ny.leave("a")
    await ny.join("a")
    await has_all(ny, KEYS)


@scenario(ln=LATE, ny=LATE)
async def test_sec_credentials_given_server_identity(ln: Site, ny: Site) -> None:
    await two_sites(ln, ny, client_auth_init=f"{HERE}:Provider")
    await ln.put("r", KEYS)
    await has_all(ny, KEYS)
    assert ("2-a", 2, False) in [(each.name, each.dsid, each.peer) for each in Provider.servers]


@scenario(ln=LATE, ny=LATE)
async def test_sec_expired_user(ln: Site, ny: Site) -> None:
    """The client is let in again as soon as it says anew who it is, which it does by itself."""
    await two_sites(ln, ny)
    client = Client(
        ln.locator.locator.address,
        user="app",
        password="app",
        network=ln.network.host("app"),
        rng=random.Random(1),
    )
    await client.open()
    await client.region("r").put("before", 1)
    Users.expired.add("app")
    links = [link for link in Users.asked if "ln: app DATA:WRITE:r" in link]
    await passes(10)  # its link is closed, as it would be refused
    await client.region("r").put("after", 2)
    assert not Users.expired
    assert len([link for link in Users.asked if "ln: app DATA:WRITE:r" in link]) > len(links)
    await has_all(ny, ["before", "after"])
    assert not [line for line in Users.asked if line.startswith("ny: ") and "DATA" in line]
    await client.close()


async def _permissions(ln: Site, ny: Site, look: Request, act: Request, kind: str) -> None:
    """Ask a member as users with and without rights; operators' routes need the same (tests/admin/test_guarding.py)."""
    await two_sites(ln, ny)
    Users.of["ln"] |= {
        "reads": ("reads", ("CLUSTER:READ",)),
        "acts": ("acts", ("CLUSTER:MANAGE:GATEWAY",)),
        "data": ("data", ("DATA", "CLUSTER:MANAGE:DISK")),
    }
    allowed = {"reads": {look}, "acts": {act}, "data": set()}
    for user, may in allowed.items():
        introduction = Security(SecurityProperties(username=user, password=user)).to_others
        for request in (look, act):
            asking = call_once(
                ln.network.host("app"),
                ln["a"].member.address,
                Hello("operator", "gfsh"),
                request,
                timeout_s=5,
                introduction=introduction,
            )
            if request in may:
                await asking
            else:
                with pytest.raises(NotAuthorizedError, match=f"user {user} is not authorized for CLUSTER"):
                    await asking
    for (method, route), needed in COMMANDS.items():
        if kind in route and "parked" not in route:
            wanted = "CLUSTER:READ" if method == "GET" else "CLUSTER:MANAGE:GATEWAY"
            assert list(map(str, needed)) == [wanted], route


@scenario(ln=LATE, ny=LATE)
async def test_sec_sender_mbean_permissions(ln: Site, ny: Site) -> None:
    await _permissions(ln, ny, GatewayQuery(), SenderCommand("s", "pause"), "gateway-senders")


@scenario(ln=LATE, ny=LATE)
async def test_sec_receiver_mbean_permissions(ln: Site, ny: Site) -> None:
    await _permissions(ln, ny, GatewayQuery(), ReceiverCommand("stop"), "gateway-receivers")
