"""A site of a mesh is lost for good with what it had sent to one of the others only: how the others come together."""

from __future__ import annotations

from tests.scenarios.copying import begin
from tests.scenarios.sites import Site, passes, scenario


@scenario(a=1, b=2, c=1)
async def test_what_a_lost_site_had_sent_to_some_is_copied_to_the_others(a: Site, b: Site, c: Site) -> None:
    """As docs/topologies.md tells operators to."""
    mesh = {a: [b, c], b: [a, c], c: [a, b]}
    for site, remotes in mesh.items():
        await site.create_receiver()
        for remote in remotes:
            await site.create_sender(remote.name, to=remote, parallel=True)
        await site.create_region("r", "PARTITION", senders=" ".join(remote.name for remote in remotes))
    await a.put("r", range(50))
    await c.until_size("r", 50)
    a.cut(c)
    await a.put("r", range(50, 150))
    await a.put("r", range(10), "newer")
    await b.until_size("r", 150)
    await c.put("r", [149], "written at c meanwhile")
    await b.until_drained("c")
    await passes(5)
    assert await c.sizes("r") == [51], "b takes a for the one to send it"
    a.kill()
    a.engine.stop()
    await (await begin(b, sender="c")).end()
    await c.until_size("r", 150)
    assert await c.contents("r") == await b.contents("r")
    assert (await c.contents("r"))[149] == "written at c meanwhile"
    for site in (b, c):
        left = "c" if site is b else "b"
        await site.alter_region("r", senders=left)
        await site.destroy_sender("a")
    await c.put("r", ["after"])
    await b.until_size("r", 151)
