"""The admin API of a locator with a security manager: who is let in, and what for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from heliograph.admin import BASE
from heliograph.admin.app import make_app
from heliograph.admin.guarding import authorization, read_authorization
from heliograph.errors import AuthenticationError, UsageError
from heliograph.guard.gatekeeper import Gatekeeper
from heliograph.guard.manager import PluginManager
from heliograph.locator.cluster import Cluster
from heliograph.locator.site import SiteAdmin
from heliograph.model.results import Result
from heliograph.security.permissions import Permission, implied, parse_grants
from tests.locator.fakes import FakeRegistry, FakeServers, join, member

USERS = {
    "ada": ("CLUSTER:READ", "CLUSTER:MANAGE:GATEWAY"),
    "bob": ("DATA:READ:customer:42",),
    "cyd": ("DATA:READ:customer",),
    "nobody": (),
    "root": ("*",),
}


class Manager:
    def authenticate(self, credentials: Mapping[str, str]) -> str | None:
        if credentials.get("security-token") == "t0ken":
            return "root"
        known = credentials.get("security-password") == "sesame"
        return credentials["security-username"] if known and credentials["security-username"] in USERS else None

    def authorize(self, principal: str, permission: Permission) -> bool:
        return implied(parse_grants(USERS[principal]), permission)


@pytest.fixture
def client() -> Iterator[TestClient[Litestar]]:
    registry = FakeRegistry()
    asyncio.run(join(registry, member("locator", kind="locator"), member("s1", joined_ms=2)))
    gatekeeper = Gatekeeper(PluginManager("tests.admin.test_guarding:Manager"))
    with TestClient(make_app(SiteAdmin(Cluster(registry, FakeServers(), 1)), gatekeeper)) as client:
        yield client


def as_(user: str, password: str = "sesame") -> dict[str, str]:
    return {"Authorization": authorization({"security-username": user, "security-password": password})}


def told(response: Any) -> str:
    return "\n".join(msgspec.json.decode(response.content, type=Result).info)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "who are you?"),
        (as_("ada", "Sesame"), "does not know these credentials"),
        (as_("eve"), "does not know these credentials"),
        ({"Authorization": "Bearer wrong"}, "security manager"),
        ({"Authorization": "Basic !"}, "holds no name and password"),
        ({"Authorization": "Digest x"}, "neither Basic nor Bearer"),
    ],
)
def test_whoever_is_not_known_learns_nothing(
    client: TestClient[Litestar], headers: dict[str, str], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "heliograph"):
        for path in (f"{BASE}/ping", f"{BASE}/regions", "/schema", "/schema/openapi.json"):
            response = client.get(path, headers=headers)
            assert response.status_code == 401
            assert response.headers["www-authenticate"].startswith("Basic")
            assert reason in told(response)
    assert f"path={BASE}/ping reason=" in caplog.text
    assert "Sesame" not in caplog.text


def test_reading_and_managing_gateways(client: TestClient[Litestar]) -> None:
    for user, reads, acts in (("ada", 200, 200), ("nobody", 403, 403), ("root", 200, 200)):
        assert client.get(f"{BASE}/gateways", headers=as_(user)).status_code == reads
        response = client.post(f"{BASE}/gateway-receivers/actions/stop", headers=as_(user))
        assert response.status_code == acts
    assert told(response := client.post(f"{BASE}/regions", json={"name": "r"}, headers=as_("ada")))
    assert (response.status_code, told(response)) == (403, "user ada is not authorized for DATA:MANAGE")
    assert client.get(f"{BASE}/ping", headers=as_("nobody")).status_code == 200
    assert client.get("/schema", headers=as_("nobody")).status_code == 200
    assert client.get(f"{BASE}/members", headers={"Authorization": "bearer t0ken"}).status_code == 200


def test_a_query_is_over_the_region_that_its_user_may_read(client: TestClient[Litestar]) -> None:
    for user, region, over, status in (
        ("cyd", "customer", "customer", 200),
        ("cyd", "other", "other", 403),
        ("cyd", "other", "customer", 403),
        ("bob", "customer", "customer", 403),
    ):
        path = f"{BASE}/regions/{region}/query?q=SELECT%20*%20FROM%20/{over}"
        assert client.get(path, headers=as_(user)).status_code == status
    sly = client.get(f"{BASE}/regions/customer/query?q=SELECT%20*%20FROM%20/other", headers=as_("cyd"))
    assert "the query is over region other, and was asked of customer" in sly.text


def test_one_entry(client: TestClient[Litestar]) -> None:
    assert client.post(f"{BASE}/regions", json={"name": "customer"}, headers=as_("root")).status_code == 200
    for path, status in (
        ("/regions/customer/entry?key=42", 200),
        ("/regions/%2Fcustomer/entry?key=42", 200),
        ("/regions/customer/entry/?key=42", 200),
        ("/regions/customer/entry/locations?key=42", 200),
        ("/regions/customer/entry/locations?key=43", 403),
        ("/regions/customer/entry?key=43", 403),
        ("/regions/customer/entry", 403),
        ("/regions/other/entry?key=42", 403),
        ("/regions/customer/entry?key=42&key=43", 400),
        ("/regions/customer/entry?key=43&key=42", 400),
    ):
        assert client.get(BASE + path, headers=as_("bob")).status_code == status, path
    put = client.put(f"{BASE}/regions/customer/entry?key=42", json={"value": "v"}, headers=as_("bob"))
    assert told(put) == "user bob is not authorized for DATA:WRITE:customer:42"


def test_headers() -> None:
    for credentials in (
        {"security-username": "ädä", "security-password": "a:b c"},
        {"security-token": "abc"},
    ):
        assert read_authorization(authorization(credentials)) == credentials
    assert authorization({}) == ""
    assert read_authorization("") == {}
    with pytest.raises(UsageError, match="colon"):
        authorization({"security-username": "a:b"})
    with pytest.raises(AuthenticationError, match="no name and password"):
        read_authorization("Basic YWRh")
