"""A server that is told its site's number asks a locator whether that is right, also one that comes late."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from heliograph.errors import UnavailableError
from heliograph.gfsh.commands import lifecycle
from heliograph.link.messages import SiteView
from heliograph.model.ids import Address
from tests.gfsh.support import Program

START = ("start", "server", "--name=s1", "--locators=127.0.0.1[10334]", "--distributed-system-id=1")


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "LOCATOR_LOOK_S", 0.0)


def test_a_wrong_site_is_named_even_if_the_locator_comes_later(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[Address]] = []

    def ask_any(addresses: Sequence[Address], *_: Any, **_tls: Any) -> SiteView:
        asked.append(addresses)
        if len(asked) < 3:
            raise UnavailableError("nobody there")
        return SiteView(2, [], [], [], "", [], 0)

    monkeypatch.setattr("heliograph.gfsh.asking.ask_any", ask_any)
    ran = program(*START)
    assert ran.status == 1
    assert "--distributed-system-id=1: the site of 127.0.0.1[10334] is 2" in ran.err
    assert len(asked) == 3


def test_it_waits_no_longer_than_it_is_told_to(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask_any(*_: Any, **_tls: Any) -> SiteView:
        raise UnavailableError("nobody there")

    monkeypatch.setattr("heliograph.gfsh.asking.ask_any", ask_any)
    ran = program(*START, "--locator-wait-time=0")
    assert (ran.status, "nobody there" in ran.err) == (1, True)
