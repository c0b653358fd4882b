from __future__ import annotations

import re

import pytest

from heliograph import admin
from heliograph.security.commands import COMMANDS, needed_by


def test_every_route_has_its_permission() -> None:
    """The routes are those of the admin API's own document, which tests/admin compares with the application."""
    documented = set(re.findall(r"^\| (GET|POST|PUT|PATCH|DELETE) \| (\S+) \|", admin.__doc__ or "", re.MULTILINE))
    assert documented == set(COMMANDS)


@pytest.mark.parametrize(
    ("method", "route", "values", "needed"),
    [
        ("GET", "/gateway-senders/{sender}", {"sender": "ny"}, ["CLUSTER:READ"]),
        ("POST", "/gateway-senders/{sender}/actions/{action}", {}, ["CLUSTER:MANAGE:GATEWAY"]),
        ("GET", "/regions/{name}/entry", {"name": "r", "key": "a:b"}, ["DATA:READ:r:a:b"]),
        ("GET", "/regions/{name}/entry", {"name": "/r", "key": "k"}, ["DATA:READ:r:k"]),
        ("GET", "/regions/{name}/entry", {"name": "r"}, ["DATA:READ:r"]),
        ("GET", "/regions/{name}/query", {"name": "r", "q": "SELECT * FROM /s"}, ["DATA:READ:r"]),
        ("GET", "/regions/{name}/entry/locations", {"name": "r", "key": "k"}, ["DATA:READ:r:k"]),
        ("PUT", "/regions/{name}/entry", {"name": "r", "key": "{name}"}, ["DATA:WRITE:r:{name}"]),
        ("POST", "/cluster-configuration", {}, ["CLUSTER:MANAGE", "DATA:MANAGE"]),
        ("GET", "/ping", {}, []),
    ],
)
def test_what_commands_need(method: str, route: str, values: dict[str, str], needed: list[str]) -> None:
    assert list(map(str, needed_by(method, route, values) or ())) == needed


def test_what_nobody_thought_of_is_for_nobody() -> None:
    assert needed_by("GET", "/secrets", {}) is None
    assert needed_by("PUT", "/ping", {}) is None
