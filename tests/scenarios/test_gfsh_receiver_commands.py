"""Commands about gateway receivers, of all servers, some members or some groups, as the locator does them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from heliograph.admin.app import make_app
from heliograph.errors import UsageError
from heliograph.locator.cluster import EVERYONE, Targets
from heliograph.model.attributes import GatewayReceiverAttributes
from heliograph.model.results import Result
from tests.scenarios.sites import Site, scenario, until
from tests.scenarios.test_cache_xml import exported
from tests.scenarios.test_receiver import advertised, port_of, receiver_of, until_advertised

PLUGINS = "tests.scenarios.plugins"
NOT_FOUND = "Gateway receiver not found."


async def create(site: Site, targets: Targets = EVERYONE, *, if_not_exists: bool = False, **options: Any) -> Result:
    """Create receivers, whatever comes of it."""
    receivers = site.locator.locator.site.receivers
    receiver = GatewayReceiverAttributes(**options)
    return await site.inside(site.locator, receivers.create(receiver, targets, if_not_exists=if_not_exists))


async def destroy(site: Site, targets: Targets = EVERYONE, *, if_exists: bool = False) -> Result:
    """Destroy receivers, whatever comes of it."""
    receivers = site.locator.locator.site.receivers
    return await site.inside(site.locator, receivers.destroy(targets, if_exists=if_exists))


async def defined(site: Site) -> list[str]:
    """Return whose receivers are defined, "" for every server's."""
    return [receiver.scope for receiver in (await exported(site)).gateway_receivers]


def statuses(result: Result) -> list[str]:
    """Return the status of every row; servers come in the order of their letters."""
    return [row[1] for table in result.tables for row in table.rows]


def having(site: Site) -> str:
    """Return the letters of the running members that have a receiver."""
    return "".join(slot.name[-1] for slot in site.running if slot.member.gateways.receiver is not None)


def members(site: Site, letters: str) -> Targets:
    return Targets(members=tuple(f"{site.dsid}-{letter}" for letter in letters))


def groups(*names: str) -> Targets:
    return Targets(groups=names)


async def join_groups(site: Site, letters: Sequence[str], names: Sequence[str]) -> None:
    """Start members, each in a group of its own."""
    for letter, name in zip(letters, names, strict=True):
        await site.join(letter, groups=(name,))


@pytest.mark.parametrize("manual_start", [True, False])
@scenario(ny=3)
async def test_gfsh_create_receiver_attributes(ny: Site, manual_start: bool) -> None:
    given: dict[str, Any] = {
        "start_port": 10_000,
        "end_port": 11_000,
        "maximum_time_between_pings": 100_000,
        "socket_buffer_size": 512_000,
        "gateway_transport_filters": (f"{PLUGINS}:Checksum", f'{PLUGINS}:Checksum{{"start": 3}}'),
        "manual_start": manual_start,
    }
    result = await create(ny, **given)
    assert statuses(result) == ["OK"] * 3
    for letter in "abc":
        assert receiver_of(ny, letter).attributes == GatewayReceiverAttributes(**given)
        assert receiver_of(ny, letter).running is not manual_start
        row = result.tables[0].rows["abc".index(letter)]
        assert ("not started" if manual_start else f"listening on port {port_of(ny, letter)}") in row[2]


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ({"hostname_for_senders": "gateway", "bind_address": "1-a"}, "gateway"),
        ({"bind_address": "1-a"}, "1-a"),
        ({}, "1-a"),
    ],
)
@scenario(ny=1, ln=0)
async def test_gfsh_create_receiver_hostname_priority(ny: Site, ln: Site, given: dict[str, Any], host: str) -> None:
    """The last one is where the server itself is found, which its own options decide."""
    await create(ny, **given)
    await until_advertised(ln, ny, "1-a")
    assert [info.address.host for info in await advertised(ln, ny)] == [host]


@scenario(ny=3)
async def test_gfsh_create_receiver_targets(ny: Site) -> None:
    """What is created for members and groups is stored, too: it is there after a restart, and where one joins later."""
    await ny.join("d", groups=("g1", "other"))
    assert statuses(await create(ny, members(ny, "ac"))) == ["OK", "OK"]
    assert having(ny) == "ac"
    assert statuses(await create(ny, groups("G1"))) == ["OK"]
    assert having(ny) == "acd"
    ny.kill("a")
    await ny.join("a")
    await ny.join("e", groups=("g1",))
    assert having(ny) == "acde"
    with pytest.raises(UsageError, match="no members found"):
        await create(ny, groups("g2"))


@scenario(ny=3)
async def test_gfsh_create_receiver_exists_all_fail(ny: Site) -> None:
    await create(ny)
    ports = [port_of(ny, letter) for letter in "abc"]
    for targets in (EVERYONE, members(ny, "abc")):
        result = await create(ny, targets, start_port=7000, end_port=7010)
        assert result.status == "ERROR"
        assert statuses(result) == ["ERROR"] * 3
        assert "a gateway receiver exists already on 1-a" in result.tables[0].rows[0][2]
    assert (await create(ny, if_not_exists=True)).status == "OK"
    assert [port_of(ny, letter) for letter in "abc"] == ports
    assert await defined(ny) == [""]


@scenario(ny=2)
async def test_gfsh_create_receiver_partial_failure(ny: Site) -> None:
    await create(ny, members(ny, "a"), start_port=7000, end_port=7010)
    result = await create(ny)
    assert result.status == "OK"
    assert statuses(result) == ["ERROR", "OK"]
    assert await defined(ny) == ["", "member 1-a"]
    assert port_of(ny, "a") in range(7000, 7011)
    assert port_of(ny, "b") in range(5000, 5501)
    ny.kill("a")
    await ny.join("a")
    assert port_of(ny, "a") in range(7000, 7011)


@pytest.mark.parametrize("ports", [{"end_port": 1}, {"start_port": 60_000}, {"start_port": 2, "end_port": 1}])
def test_gfsh_create_receiver_port_order(ports: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"start-port \d+ is above end-port \d+"):
        GatewayReceiverAttributes(**ports)


@scenario(ny=3, ln=0)
async def test_gfsh_destroy_receiver_all(ny: Site, ln: Site) -> None:
    await create(ny)
    await until_advertised(ln, ny, "1-a", "1-b", "1-c")
    result = await destroy(ny)
    assert result.status == "OK"
    assert statuses(result) == ["OK"] * 3
    assert not any("Not stored" in line for line in result.info)
    assert having(ny) == ""
    assert await defined(ny) == []
    await until_advertised(ln, ny)


@pytest.mark.parametrize("manual_start", [True, False])
@scenario(ny=3)
async def test_gfsh_destroy_receiver_on_member(ny: Site, manual_start: bool) -> None:
    """It stays away until the server starts again, or the receiver is created there once more."""
    await create(ny, manual_start=manual_start)
    for bring_back in ("restart", "create"):
        result = await destroy(ny, members(ny, "c"))
        assert statuses(result) == ["OK"]
        assert any(line.startswith("Not stored for 1-c") for line in result.info)
        assert having(ny) == "ab"
        assert await defined(ny) == [""]
        await ny.create_sender("ln", to=2, manual_start=True)  # has every server look at the configuration again
        await ny.destroy_sender("ln")
        assert having(ny) == "ab"
        if bring_back == "restart":
            ny.kill("c")
            await ny.join("c")
        else:
            assert statuses(await create(ny, manual_start=manual_start)) == ["ERROR", "ERROR", "OK"]
        assert having(ny) == "abc"


@scenario(ny=3)
async def test_gfsh_destroy_receiver_subset_remaining(ny: Site) -> None:
    """The server that has none any more is an error of its own row, as it is told everywhere."""
    await create(ny)
    await destroy(ny, members(ny, "b"))
    result = await destroy(ny)
    assert result.status == "OK"
    assert statuses(result) == ["OK", "ERROR", "OK"]
    assert having(ny) == ""
    assert await defined(ny) == []


@scenario(ny=2)
async def test_gfsh_destroy_receiver_config_only(ny: Site) -> None:
    await create(ny)
    for letter in "ab":
        await destroy(ny, members(ny, letter))
    result = await destroy(ny)
    assert result.status == "ERROR"
    assert await defined(ny) == [""]
    assert (await destroy(ny, if_exists=True)).status == "OK"
    assert await defined(ny) == []
    ny.kill("b")
    await ny.join("b")
    assert having(ny) == ""


@scenario(ny=2)
async def test_gfsh_destroy_receiver_missing(ny: Site) -> None:
    for targets, count in ((EVERYONE, 2), (members(ny, "b"), 1)):
        result = await destroy(ny, targets)
        assert result.status == "ERROR"
        assert [row[1:] for row in result.tables[0].rows] == [("ERROR", NOT_FOUND)] * count
        result = await destroy(ny, targets, if_exists=True)
        assert result.status == "OK"
        assert [row[1:] for row in result.tables[0].rows] == [("IGNORED", NOT_FOUND)] * count


@pytest.mark.parametrize(("named", "left"), [(("Grp1",), "b"), (("Grp1", "Grp2"), "")])
@scenario(ny=0)
async def test_gfsh_destroy_receiver_groups(ny: Site, named: tuple[str, ...], left: str) -> None:
    await join_groups(ny, "ab", ("Grp1", "Grp2"))
    assert statuses(await create(ny, groups("Grp1", "Grp2"))) == ["OK", "OK"]
    assert await defined(ny) == ["group grp1", "group grp2"]
    result = await destroy(ny, groups(*named))
    assert statuses(result) == ["OK"] * len(named)
    assert having(ny) == left
    assert await defined(ny) == ["group grp2"] * len(left)


@pytest.mark.parametrize(("if_exists", "status"), [(False, "ERROR"), (True, "IGNORED")])
@scenario(ny=0)
async def test_gfsh_destroy_receiver_groups_partial(ny: Site, if_exists: bool, status: str) -> None:
    await join_groups(ny, "abc", ("Grp1", "Grp2", "Grp3"))
    await create(ny, groups("Grp2"))
    result = await destroy(ny, groups("Grp1", "Grp2", "Grp3"), if_exists=if_exists)
    assert result.status == "OK"
    assert statuses(result) == [status, "OK", status]
    assert having(ny) == ""
    assert await defined(ny) == []


@scenario(ny=2)
async def test_gfsh_destroy_receiver_member_or_group(ny: Site) -> None:
    await create(ny)
    with pytest.raises(UsageError, match="member and group exclude each other"):
        Targets(members=("1-a",), groups=("g",))
    with pytest.raises(UsageError, match="no members found"):
        await destroy(ny, members(ny, "x"))
    with pytest.raises(UsageError, match="no members found"):
        await destroy(ny, groups("g"))
    assert having(ny) == "ab"
    await ny.join("c", groups=("g",))
    assert statuses(await destroy(ny, groups("g"))) == ["OK"]
    assert statuses(await destroy(ny, members(ny, "a"))) == ["OK"]
    assert having(ny) == "b"


@scenario(ny=1)
async def test_mgmt_rest_receiver(ny: Site) -> None:
    """As the admin API does it; there is nothing at its path that would change a receiver."""
    await ny.join("b", groups=("g",))
    await create(ny, groups("g"), bind_address="1-b", start_port=7000, end_port=7000)
    (receiver,) = (await exported(ny)).gateway_receivers
    assert (receiver.group, receiver.bind_address) == ("g", "1-b")
    listed = await ny.operate(lambda admin: admin.receivers.list_gateways(receivers_only=True))
    assert [row[:4] for row in listed.tables[0].rows] == [("1-b", "7000", "0", "")]
    routes = make_app(ny.locator.locator.site).openapi_schema.paths
    assert routes is not None
    path = routes["/api/v1/gateway-receivers"]
    assert path.post is not None
    assert path.patch is None
    assert path.put is None


async def act(site: Site, action: Any, targets: Targets = EVERYONE) -> list[str]:
    """Start or stop receivers and return what the rows say."""
    result = await site.inside(site.locator, site.locator.locator.site.receivers.act(action, targets))
    assert result.status == "OK"
    return [f"{row[1]}: {row[2]}" for row in result.tables[0].rows]


def running(site: Site) -> str:
    """Return the letters of the members whose receiver runs."""
    receivers = {slot.name[-1]: slot.member.gateways.receiver for slot in site.running}
    return "".join(letter for letter, receiver in receivers.items() if receiver is not None and receiver.running)


async def three_in_groups(site: Site, **options: Any) -> None:
    await join_groups(site, "abc", ("g1", "g2", "g3"))
    await create(site, **options)


@scenario(ny=0)
async def test_gfsh_start_receiver(ny: Site) -> None:
    await three_in_groups(ny, manual_start=True)
    assert running(ny) == ""
    assert await act(ny, "start", members(ny, "b")) == ["OK: the gateway receiver is started on member 1-b"]
    assert running(ny) == "b"
    assert await act(ny, "start", groups("g3", "g1")) == [
        f"OK: the gateway receiver is started on member 1-{letter}" for letter in "ac"
    ]
    assert running(ny) == "abc"
    await ny.join("d")
    assert await act(ny, "start") == [
        *(f"Error: the gateway receiver is already started on member 1-{letter}" for letter in "abc"),
        "OK: the gateway receiver is started on member 1-d",
    ]


@scenario(ny=0)
async def test_gfsh_stop_receiver(ny: Site) -> None:
    await three_in_groups(ny)
    assert running(ny) == "abc"
    assert await act(ny, "stop", groups("g1")) == ["OK: the gateway receiver is stopped on member 1-a"]
    assert await act(ny, "stop", groups("g1", "g2")) == [
        "Error: the gateway receiver is not running on member 1-a",
        "OK: the gateway receiver is stopped on member 1-b",
    ]
    assert running(ny) == "c"
    await destroy(ny, members(ny, "b"))
    assert await act(ny, "stop") == [
        "Error: the gateway receiver is not running on member 1-a",
        "Error: the gateway receiver is not available on member 1-b",
        "OK: the gateway receiver is stopped on member 1-c",
    ]
    assert running(ny) == ""


async def sections(site: Site, targets: Targets = EVERYONE) -> dict[str, list[tuple[str, ...]]]:
    """Return the tables of `status gateway-receiver` by their titles."""
    result = await site.inside(site.locator, site.locator.locator.site.receivers.status(targets))
    assert result.status == "OK"
    return {table.title: [tuple(row) for row in table.rows] for table in result.tables}


@scenario(ny=0)
async def test_gfsh_status_receiver(ny: Site) -> None:
    await join_groups(ny, "abc", ("g1", "g2", "g3"))
    await create(ny, groups("g1", "g2"))
    available, missing = "Available GatewayReceiver Section", "Not Available GatewayReceiver Section"
    shown = await sections(ny)
    assert shown[available] == [(f"1-{letter}", str(port_of(ny, letter)), "Running") for letter in "ab"]
    assert [row[0] for row in shown[missing]] == ["1-c"]
    await act(ny, "stop", members(ny, "b"))
    shown = await sections(ny, groups("g2", "g3"))
    assert [(row[0], row[2]) for row in shown[available]] == [("1-b", "Not Running")]
    assert [row[0] for row in shown[missing]] == ["1-c"]
    shown = await sections(ny, members(ny, "a"))
    assert [(row[0], row[2]) for row in shown[available]] == [("1-a", "Running")]
    assert missing not in shown


@scenario(ny=1, ln=1)
async def test_gfsh_list_sender_count_after_receiver_stop(ny: Site, ln: Site) -> None:
    async def connected() -> tuple[str, ...]:
        listed = await ny.operate(lambda admin: admin.receivers.list_gateways(receivers_only=True))
        return listed.tables[0].rows[0][2:4]

    async def linked() -> bool:
        return int((await connected())[0]) > 0

    await ny.receives("r")
    await ln.create_sender("ny", to=ny)
    await ln.create_region("r", senders="ny")
    await until(linked)
    assert (await connected())[1] == "ny@2-a"
    await ny.stop_receivers("a")
    assert await connected() == ("0", "")
