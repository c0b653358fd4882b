"""Two sites of real processes over IPv6: one on ::1 alone, one on every interface of both kinds."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import heliograph
from heliograph.gfsh.dispatch import execute
from heliograph.gfsh.local_sites import free_ports
from heliograph.gfsh.output import Printer
from heliograph.gfsh.processes import kill_tree, read_state
from heliograph.gfsh.session import Session
from heliograph.gfsh.tokens import parse_line
from heliograph.model.members import MemberKind
from heliograph.model.results import Result
from tests.system.waiting import until

DAEMONS: tuple[tuple[MemberKind, str], ...] = (("server", "s1"), ("server", "s2"), ("locator", "l1"), ("locator", "l2"))


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


class Operator:
    """Who types commands."""

    def __init__(self) -> None:
        self.session = Session(Printer())

    def do(self, line: str) -> Result:
        (command,) = parse_line(line)
        result = execute(self.session, command.words)
        assert result.status == "OK", f"{line}: {result}"
        return result


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    operator = Operator()
    yield operator
    operator.session.disconnect()
    for kind, name in DAEMONS:
        state = read_state(tmp_path / name, kind)
        if state is not None:
            kill_tree(state.pid, timeout_s=10)


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback interface")
def test_sites_find_each_other_and_exchange_events_over_ipv6(operator: Operator, tmp_path: Path) -> None:
    port = free_ports(4)
    ports = {1: port, 2: port + 1}
    bound = {1: "::1", 2: "::"}
    for number in (1, 2):
        other, bind = 3 - number, bound[number]
        operator.do(
            f"start locator --name=l{number} --dir={tmp_path / f'l{number}'} --bind-address={bind}"
            f" --port={ports[number]} --distributed-system-id={number} --remote-locators=[::1]:{ports[other]}"
            f" --http-service-port=0 --http-service-bind-address=::1"
        )
        operator.do(
            f"start server --name=s{number} --dir={tmp_path / f's{number}'} --locators=::1[{ports[number]}]"
            f" --server-port=0 --server-bind-address={bind}"
        )
        receiver = port + 1 + number
        operator.session.disconnect()
        operator.do(f"connect --locator=::1[{ports[number]}]")
        operator.do(f"create gateway-receiver --start-port={receiver} --end-port={receiver} --bind-address={bind}")
        operator.do(f"create gateway-sender --id=away --remote-distributed-system-id={other} --parallel=true")
        operator.do("create region --name=r --type=PARTITION --gateway-sender-id=away")
    for number in (1, 2):
        with (
            heliograph.connect(f"[::1]:{ports[number]}") as here,
            heliograph.connect(f"::1[{ports[3 - number]}]") as there,
        ):
            here.region("r").put(str(number), number)
            until(lambda number=number, there=there: there.region("r").get(str(number)) == number, "the event arrives")  # type: ignore[misc]
    listed = operator.do("list members").tables[0].rows  # at site 2, which answers on IPv4, too
    assert [row[0] for row in listed] == ["l2", "s2"]
    status = operator.do(f"status locator --name=l2 --dir={tmp_path / 'l2'}")
    assert f"l1 of site 1 at ::1[{ports[1]}]" in status.data["Known Locators"]
