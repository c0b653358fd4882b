"""Through which gateway senders events leave: a stopped one is no way out, for a parallel one it matters where."""

from __future__ import annotations

import pytest

from heliograph.model.attributes import GatewaySenderAttributes
from heliograph.model.ids import Address
from heliograph.model.members import MemberInfo
from heliograph.placement.senders import leads_out


def sender(*, parallel: bool, members: tuple[str, ...] = ()) -> GatewaySenderAttributes:
    return GatewaySenderAttributes(id="ny", remote_distributed_system_id=2, parallel=parallel, members=members)


def servers(**runs: bool) -> list[MemberInfo]:
    infos = [
        MemberInfo(
            name=name,
            kind="server",
            incarnation="1",
            joined_ms=0,
            address=Address("h", 1),
            pid=1,
            running_senders=("ny",) if running else ("other",),
        )
        for name, running in runs.items()
    ]
    locator = MemberInfo(name="locator", kind="locator", incarnation="1", joined_ms=0, address=Address("h", 2), pid=2)
    return [*infos, locator]


@pytest.mark.parametrize(
    ("runs", "anywhere"),
    [({"a": True, "b": True}, True), ({"a": False, "b": True}, True), ({"a": False}, False), ({}, False)],
)
def test_a_serial_sender_ships_from_any_server_that_runs_it(runs: dict[str, bool], anywhere: bool) -> None:
    for at in ("", "a"):
        assert leads_out(sender(parallel=False), servers(**runs), at) is anywhere


def test_a_parallel_sender_ships_where_the_bucket_is() -> None:
    some = servers(a=True, b=False)
    assert leads_out(sender(parallel=True), some, "a")
    assert not leads_out(sender(parallel=True), some, "b")
    assert not leads_out(sender(parallel=True), some, "gone")


def test_what_leaves_from_anywhere_needs_a_parallel_sender_to_run_everywhere() -> None:
    assert leads_out(sender(parallel=True), servers(a=True, b=True))
    assert not leads_out(sender(parallel=True), servers(a=True, b=False))
    assert not leads_out(sender(parallel=True), servers())


def test_servers_without_an_instance_do_not_count() -> None:
    assert not leads_out(sender(parallel=False, members=("a",)), servers(a=False, b=True))
    assert leads_out(sender(parallel=False, members=("a",)), servers(a=True, b=False))
