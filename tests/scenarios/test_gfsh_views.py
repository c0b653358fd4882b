"""The commands that show gateways."""

from __future__ import annotations

from tests.scenarios.shell import Shell
from tests.scenarios.sites import Site, scenario

NONE = "GatewaySenders or GatewayReceivers are not available"
SENDERS, RECEIVERS = "GatewaySender Section", "GatewayReceiver Section"
AVAILABLE, NOT_AVAILABLE = "Available GatewaySender Section", "Not Available GatewaySender Section"


@scenario(ln=2)
async def test_gfsh_list_none(ln: Site, gfsh: Shell) -> None:
    listed = await gfsh.ok(ln, "list gateways")
    assert (NONE in listed.ran.out, listed.result.tables) == (True, [])
    await ln.create_receiver()
    listed = await gfsh.ok(ln, "list gateways")
    assert [row[2:4] for row in listed.section[RECEIVERS]] == [("0", "")] * 2


@scenario(ln=3)
async def test_gfsh_list_senders(ln: Site, gfsh: Shell) -> None:
    """A parallel sender is at every server."""
    await ln.create_sender("ln_Serial", to=2, members=("1-a", "1-b"))
    await ln.create_sender("ln_Parallel", to=2, parallel=True)
    listed = await gfsh.ok(ln, "list gateways")
    assert list(listed.section) == [SENDERS]
    assert [row[:3] for row in listed.section[SENDERS]] == [
        *(("ln_Parallel", member, "2") for member in ("1-a", "1-b", "1-c")),
        *(("ln_Serial", member, "2") for member in ("1-a", "1-b")),
    ]
    await ln.create_receiver()
    listed = await gfsh.ok(ln, "list gateways")
    assert list(listed.section) == [SENDERS, RECEIVERS]
    assert listed.result.tables[1].columns[:4] == ("Member", "Port", "Sender Count", "Senders Connected")
    await ln.destroy_sender("ln_Serial")
    await ln.destroy_sender("ln_Parallel")
    listed = await gfsh.ok(ln, "list gateways")
    assert list(listed.section) == [RECEIVERS]
    assert [row[0] for row in listed.section[RECEIVERS]] == ["1-a", "1-b", "1-c"]


@scenario(ln=4)
async def test_gfsh_list_only_options(ln: Site, gfsh: Shell) -> None:
    await ln.create_sender("ln", to=2)
    await ln.create_receiver()
    for options, sections in (
        ("--senders-only", [SENDERS]),
        ("--senders-only=true", [SENDERS]),
        ("--receivers-only", [RECEIVERS]),
        ("--senders-only=false", [SENDERS, RECEIVERS]),
        ("--receivers-only=false", [SENDERS, RECEIVERS]),
        ("--receivers-only=false --senders-only=false", [SENDERS, RECEIVERS]),
    ):
        listed = await gfsh.ok(ln, f"list gateways {options}")
        assert {title: len(rows) for title, rows in listed.section.items()} == dict.fromkeys(sections, 4), options
    both = await gfsh(ln, "list gateways --senders-only --receivers-only")
    assert (both.ran.status, "exclude each other: give one of them" in both.ran.err) == (1, True)


@scenario(ln=1, ny=1)
async def test_gfsh_status_sender(ln: Site, ny: Site, gfsh: Shell) -> None:
    """Without targets it is about the servers that have the sender."""
    for letter, groups in (("b", ("one",)), ("c", ("one", "two")), ("d", ())):
        await ln.join(letter, groups=groups)
    await ny.receives("r")
    await ln.create_sender("ln_Serial", to=ny, groups=("one",), manual_start=True)
    await ln.create_region("r", senders="ln_Serial")
    await ln.put("r", range(3))

    async def status(targets: str = "") -> dict[str, list[tuple[str, ...]]]:
        shown = (await gfsh.ok(ln, f"status gateway-sender --id=ln_Serial {targets}")).section
        return {title: shown[title] for title in (AVAILABLE, NOT_AVAILABLE) if title in shown}

    b, c = (("1-b", "Serial", "Secondary", "Not Running"), ("1-c", "Serial", "Secondary", "Not Running"))
    assert await status() == {AVAILABLE: [b, c]}
    missing = ("1-d", "gateway sender ln_Serial is not available on member 1-d")
    assert await status("--member=1-b,1-d") == {AVAILABLE: [b], NOT_AVAILABLE: [missing]}
    assert await status("--group=two") == {AVAILABLE: [c]}
    await ln.start_sender("ln_Serial")
    await ln.until_drained("ln_Serial")
    shown = await status("--group=two,one")
    assert {row[2]: row[3] for row in shown[AVAILABLE]} == {
        "Primary": "Running and Connected",
        "Secondary": "Running, not Connected",
    }
    await ln.stop_sender("ln_Serial", "c")
    assert (await status("--member=1-c"))[AVAILABLE] == [c]
