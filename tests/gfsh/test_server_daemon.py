"""The server daemon's end when its member stops by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

import pytest

from heliograph.errors import UsageError
from heliograph.gfsh import server_daemon
from heliograph.member.config import MemberConfig
from heliograph.model.ids import Address
from heliograph.process.own import OwnProcess


class FailingMember:
    """A member that stops by itself as soon as somebody listens."""

    failure = UsageError("another process runs as member a by now")
    config = MemberConfig(name="a", locators=(Address("localhost", 1),))
    process = OwnProcess(config)

    @property
    def on_failed(self) -> None:
        return None

    @on_failed.setter
    def on_failed(self, tell: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(tell)


class OneCache:
    """A cache around it."""

    address = Address("localhost", 1)

    def __init__(self, name: str, **options: object) -> None:
        self.member = FailingMember()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""


def test_the_process_fails_with_its_member(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_daemon, "Cache", OneCache)
    with pytest.raises(UsageError, match="another process"):
        asyncio.run(server_daemon.run("a", {}, lambda address, url: None))
