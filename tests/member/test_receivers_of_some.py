"""Gateway receivers of members and groups at whole simulated sites: who keeps the one that it has."""

from __future__ import annotations

from tests.scenarios.sites import Site, scenario
from tests.scenarios.test_gfsh_receiver_commands import (
    create,
    defined,
    destroy,
    groups,
    having,
    join_groups,
    members,
    statuses,
)
from tests.scenarios.test_receiver import port_of


@scenario(ny=0)
async def test_who_has_a_receiver_keeps_it(ny: Site) -> None:
    """Also where a group's, which goes before every server's, would be created for another server of the group."""
    await join_groups(ny, "ab", ["g1", "g1"])
    await create(ny)
    await destroy(ny, members(ny, "b"))
    port = port_of(ny, "a")
    result = await create(ny, groups("g1"), start_port=7000, end_port=7010)
    assert result.status == "ERROR"
    assert [row[2] for row in result.tables[0].rows] == [
        "a gateway receiver exists already on 1-a",
        "not created: 1-a would get it in place of the receiver that is there; name members instead",
    ]
    assert (port_of(ny, "a"), having(ny), await defined(ny)) == (port, "a", [""])
    await create(ny, members(ny, "b"), start_port=7000, end_port=7010)
    assert (port_of(ny, "a"), port_of(ny, "b") in range(7000, 7011)) == (port, True)


@scenario(ny=0)
async def test_a_receiver_that_is_created_once_more_leaves_those_of_other_groups(ny: Site) -> None:
    """Of several groups' the oldest counts, and it must not become a younger one."""
    await join_groups(ny, "a", ["g1"])
    await ny.join("b", groups=("g1", "g2"))
    await create(ny, groups("g1"), start_port=6000, end_port=6010)
    await ny.join("c", groups=("g2",))
    await create(ny, groups("g2"), start_port=7000, end_port=7010)
    await destroy(ny, members(ny, "a"))
    port = port_of(ny, "b")
    result = await create(ny, groups("g1"), start_port=6000, end_port=6010)
    assert statuses(result) == ["ERROR", "ERROR"]
    assert (port_of(ny, "b"), having(ny)) == (port, "bc")
