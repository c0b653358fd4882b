"""shutdown: in which order processes end, and how the end of one is told."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.engine.seam import Item
from heliograph.errors import UnavailableError, UnreachableError, UsageError
from heliograph.link.messages import Outcome, Reply, Request, ShutDown
from heliograph.locator.cluster import Cluster
from heliograph.locator.site_shutdown import ShutdownAdmin, ending_order
from heliograph.model.ids import Address
from heliograph.model.members import MemberInfo
from tests.locator.fakes import FakeRegistry, FakeServers, join

T = TypeVar("T", bound=Reply)


def member(name: str, order: int, *, locator: bool = False, pid: int = 0) -> MemberInfo:
    return MemberInfo(
        name=name, kind="locator" if locator else "server", incarnation="1", joined_ms=0, address=Address("h", order),
        pid=pid or order, order=order,
    )  # fmt: skip


L1, L2, S1, S2 = member("l1", 1, locator=True), member("l2", 2, locator=True), member("s1", 3), member("s2", 4)
INSIDE = member("s1-locator", 5, locator=True, pid=S1.pid)


@pytest.mark.parametrize(
    ("members", "own", "include_locators", "names"),
    [
        ([L1, L2, S1, S2], "l1", False, ["s2", "s1"]),
        ([L1, L2, S1, S2], "l1", True, ["s2", "s1", "l2", "l1"]),
        ([L1, L2, S1, S2], "l2", True, ["s2", "s1", "l1", "l2"]),
        ([INSIDE, S1, S2], "s1-locator", False, ["s2", "s1"]),
        ([INSIDE, L1, S1, S2], "s1-locator", True, ["s2", "l1", "s1"]),
        ([L1], "l1", False, []),
        ([L1], "l1", True, ["l1"]),
    ],
)
def test_the_order(members: list[MemberInfo], own: str, include_locators: bool, names: list[str]) -> None:
    assert [each.name for each in ending_order(members, own, include_locators=include_locators)] == names


members_of_a_site = st.lists(
    st.builds(
        lambda number, locator, pid: member(f"m{number}", number, locator=locator, pid=pid),
        st.integers(1, 20), st.booleans(), st.integers(1, 8),
    ),
    unique_by=lambda each: each.name, min_size=1,
)  # fmt: skip


@given(members_of_a_site, st.booleans(), st.data())
def test_every_process_ends_once_and_who_answers_last(
    members: list[MemberInfo], include_locators: bool, data: st.DataObject
) -> None:
    own = data.draw(st.sampled_from(members))
    order = ending_order(members, own.name, include_locators=include_locators)
    servers = [each for each in members if each.kind == "server"]
    assert {each.name for each in order if each.kind == "server"} == {each.name for each in servers}
    assert include_locators or all(each.kind == "server" for each in order)
    assert {each.pid for each in order} == {each.pid for each in (members if include_locators else servers)}
    others = [each.pid != own.pid for each in order]
    assert others == sorted(others, reverse=True)


class Stopping(FakeServers):
    """A server that takes some looks to be gone, or that never goes."""

    def __init__(self, looks: int = 0, *, refuses: bool = False) -> None:
        super().__init__()
        self._left, self._refuses = looks, refuses

    async def call(self, address: Address, message: Request, kind: type[T], *, timeout_s: float) -> T:
        self.asked.append((str(address.port), message))
        if isinstance(message, ShutDown):
            answer = Outcome(not self._refuses, "part of a program" if self._refuses else "it stops")
            assert isinstance(answer, kind)
            return answer
        self._left -= 1
        raise UnreachableError("gone") if self._left < 0 else UnavailableError("closing")


def run(servers: FakeServers, name: str, time_out: int = 1) -> tuple[str, list[str]]:
    async def body() -> tuple[str, list[str]]:
        registry = FakeRegistry()
        await join(registry, L1, S1)
        result = await ShutdownAdmin(Cluster(registry, servers, 1, name="l1")).end(name, time_out)
        return result.status, result.info

    return asyncio.run(body())


def test_the_end_is_waited_for() -> None:
    servers = Stopping(looks=2)
    assert run(servers, "s1") == ("OK", ["s1 was stopped"])
    assert len(servers.asked) == 4


def test_ones_own_end_is_not_waited_for() -> None:
    servers = Stopping(looks=1000)
    assert run(servers, "l1") == ("OK", ["it stops"])
    assert [type(message) for _, message in servers.asked] == [ShutDown]


def test_the_last_locator_ends_without_a_majority() -> None:
    class Away(FakeRegistry):
        async def items(self, prefix: str) -> dict[str, Item]:
            raise UnavailableError("no majority")

    async def body() -> None:
        cluster = Cluster(Away(), Stopping(), 1, name="l1", known=lambda: [L1])
        assert (await ShutdownAdmin(cluster).end("l1", 1)).info == ["it stops"]
        with pytest.raises(UsageError, match="'s1' does not exist"):
            await ShutdownAdmin(cluster).end("s1", 1)

    asyncio.run(body())


def test_a_process_that_is_not_ours_to_end_is_an_error() -> None:
    assert run(Stopping(refuses=True), "s1") == ("ERROR", ["part of a program"])


def test_one_that_takes_too_long_is_an_error() -> None:
    with pytest.raises(UnavailableError, match="s1 was asked to stop, goes on with that"):
        run(Stopping(looks=1000), "s1", time_out=0)
