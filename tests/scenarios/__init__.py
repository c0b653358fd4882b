"""What a gateway sender is expected to do, scenario by scenario; `docs/scenarios.md` lists them all.

A scenario plays at whole simulated sites (`tests.sim`: the production locators, members, senders and receivers, over a
simulated engine and network, on virtual time), and reads like its given, when and then:

    @scenario(ln=4, ny=2)                                   # sites 1 and 2, with members a to d and a to b
    async def test_serial_replicated_basic(ln: Site, ny: Site) -> None:
        await ny.receives("r")                              # a receiver and a region there, replicated by default
        await ln.create_sender("ny", to=ny, batch_size=10)
        await ln.create_region("r", senders="ny")
        await ln.put("r", range(1000), at="b")              # one put after the other, ten at a time
        await ny.until_size("r", 1000)                      # at each of its members
        await ln.until_drained("ny")

* A test is named after its scenario's id, stands in the file of its area, and is listed in `docs/scenarios.md`. `LATE`
  members: nothing of the site runs yet, and others do not know of it, until `start`.
* Commands (`create_…`, `alter_…`, `destroy_…`, `start_sender`, `pause_sender` and so on) are those of operators, at
  the site's locator; they fail when any member fails. `operate` does any other, `pytest.raises` one that is refused.
* `kill`, `join`, `leave` are of members; `site["a"]` is where a member runs, `site.locator` where the locator does, and
  `site.engine` is the engine; `cut` and `heal` are of all ways between two sites.
* `count` sums a counter of a sender over the running members, `received` one of the receivers; `queued` are the events
  queued; `statuses` what each member says. `written` is what a region's log holds, and what was cut from it.
* Wait with `until`, on virtual time; `passes` is for seeing that something does not happen.
"""
