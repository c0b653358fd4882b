"""What every engine must do: scenarios that `test_conformance` plays on the NATS engine and on the simulated one."""

from __future__ import annotations

import asyncio

import pytest

from heliograph.engine.append import append_settled
from heliograph.engine.seam import APPEND_BYTES_MAX, Change, Item, Log, LogEntry, Registry
from heliograph.errors import ConflictError, FencedError, SettledTooLateError, UnavailableError, UsageError
from heliograph.model.ids import NO_SEQ, Seq
from tests.engine.worlds import World, background, collect, eventually

A, B, C = (f"log.DEFAULT.region.0.{bucket}" for bucket in range(3))
SETTLE_S = 20.0


async def a_log(world: World, *, exposed: bool = False) -> Log:
    return await (await world.client(exposed=exposed)).open_log("DEFAULT")


async def a_registry(world: World) -> Registry:
    return await (await world.client()).open_registry("site")


async def read(log: Log, *subjects: str, after: int = 0) -> list[LogEntry]:
    return [entry async for entries in log.read(subjects, after=Seq(after)) for entry in entries]


async def fill(log: Log, subject: str, count: int) -> list[Seq]:
    seqs = [NO_SEQ]
    for number in range(count):
        seqs.append(await log.append(subject, b"%d" % number, expected=seqs[-1], batch_id=f"{subject[-1]}{number}"))
    return seqs[1:]


async def fencing_by_expected_sequence(world: World) -> None:
    log, other = await a_log(world), await a_log(world)
    first = await log.append(A, b"one", expected=NO_SEQ, batch_id="b1")
    beside = await log.append(B, b"two", expected=NO_SEQ, batch_id="b2")
    assert 0 < first < beside
    with pytest.raises(FencedError):
        await other.append(A, b"deposed", expected=NO_SEQ, batch_id="b3")
    with pytest.raises(FencedError):
        await other.append(A, b"from the future", expected=Seq(beside + 5), batch_id="b4")
    second = await other.append(A, b"three", expected=first, batch_id="b5")
    assert await log.last(A) == LogEntry(A, second, first, "b5", b"three")
    assert await log.last(C) is None


async def one_of_two_writers_wins(world: World) -> None:
    logs = [await a_log(world), await a_log(world)]
    answers = await asyncio.gather(
        *(log.append(A, b"mine", expected=NO_SEQ, batch_id=f"b{n}") for n, log in enumerate(logs)),
        return_exceptions=True,
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["FencedError", "int"]
    assert len(await read(logs[0], A)) == 1


async def lost_answer_is_unknown_then_settled(world: World) -> None:
    log = await a_log(world, exposed=True)
    world.lose_answers(1)
    with pytest.raises(UnavailableError):
        await log.append(A, b"x", expected=NO_SEQ, batch_id="b1")
    seq = await append_settled(log, A, b"x", expected=NO_SEQ, batch_id="b1", deadline_s=SETTLE_S)
    assert [(entry.seq, entry.batch_id) for entry in await read(log, A)] == [(seq, "b1")]
    world.lose_answers(2)
    after = await append_settled(log, A, b"y", expected=seq, batch_id="b2", deadline_s=SETTLE_S)
    assert [(entry.seq, entry.payload) for entry in await read(log, A)] == [(seq, b"x"), (after, b"y")]


async def lost_request_is_repeated(world: World) -> None:
    log = await a_log(world, exposed=True)
    world.lose_requests(2)
    seq = await append_settled(log, A, b"x", expected=NO_SEQ, batch_id="b1", deadline_s=SETTLE_S)
    assert [(entry.seq, entry.batch_id) for entry in await read(log, A)] == [(seq, "b1")]


async def lost_answer_of_a_deposed_writer_is_fenced(world: World) -> None:
    log, successor = await a_log(world, exposed=True), await a_log(world)
    world.lose_requests(1)
    with pytest.raises(UnavailableError):
        await log.append(A, b"mine", expected=NO_SEQ, batch_id="b1")
    await append_settled(successor, A, b"theirs", expected=NO_SEQ, batch_id="b2", deadline_s=SETTLE_S)
    with pytest.raises(FencedError):
        await append_settled(log, A, b"mine", expected=NO_SEQ, batch_id="b1", deadline_s=SETTLE_S)
    assert [entry.batch_id for entry in await read(log, A)] == ["b2"]


async def lost_answer_is_settled_although_a_successor_has_appended(world: World) -> None:
    log, successor = await a_log(world, exposed=True), await a_log(world)
    world.lose_answers(1)
    with pytest.raises(UnavailableError):
        await log.append(A, b"mine", expected=NO_SEQ, batch_id="b1")
    (mine,) = await read(successor, A)
    for number in range(3):
        last = await successor.last(A)
        assert last is not None
        await append_settled(successor, A, b"x", expected=last.seq, batch_id=f"c{number}", deadline_s=SETTLE_S)
    seq = await append_settled(log, A, b"mine", expected=NO_SEQ, batch_id="b1", deadline_s=SETTLE_S)
    assert seq == mine.seq


async def lost_answer_can_not_be_settled_when_what_followed_was_cut(world: World) -> None:
    log, successor = await a_log(world, exposed=True), await a_log(world)
    world.lose_answers(1)
    with pytest.raises(UnavailableError):
        await log.append(A, b"mine", expected=NO_SEQ, batch_id="b1")
    (mine,) = await read(successor, A)
    last = await append_settled(successor, A, b"x", expected=mine.seq, batch_id="c1", deadline_s=SETTLE_S)
    await successor.truncate(A, below=last)
    with pytest.raises(SettledTooLateError):
        await append_settled(log, A, b"mine", expected=NO_SEQ, batch_id="b1", deadline_s=SETTLE_S)


async def settling_gives_up_at_its_deadline(world: World) -> None:
    log = await a_log(world)
    await world.stop()
    started = asyncio.get_running_loop().time()
    with pytest.raises(UnavailableError):
        await append_settled(log, A, b"x", expected=NO_SEQ, batch_id="b1", deadline_s=0.5)
    assert asyncio.get_running_loop().time() - started < 2


async def ordered_reads(world: World) -> None:
    log = await a_log(world)
    of_a, of_b = await asyncio.gather(fill(log, A, 300), fill(log, B, 300))
    await fill(log, C, 3)
    entries = await read(log, A, B)
    assert [entry.seq for entry in entries] == sorted(of_a + of_b)
    for subject, seqs in ((A, of_a), (B, of_b)):
        own = [entry for entry in entries if entry.subject == subject]
        assert [entry.seq for entry in own] == seqs
        assert [entry.previous for entry in own] == [NO_SEQ, *seqs[:-1]]
        assert [entry.payload for entry in own] == [b"%d" % number for number in range(300)]
        assert own[7].batch_id == f"{subject[-1]}7"
    assert [entry.seq for entry in await read(log, A, after=of_a[250])] == of_a[251:]
    assert await read(log, A, after=of_a[-1]) == []
    assert await read(log, "log.DEFAULT.region.0.99") == []


async def scan_shows_everything_but_payloads(world: World) -> None:
    log = await a_log(world)
    await fill(log, A, 20)
    scanned = [entry async for entries in log.scan([A, B], after=Seq(5)) for entry in entries]
    assert scanned == [LogEntry(e.subject, e.seq, e.previous, e.batch_id, b"") for e in await read(log, A) if e.seq > 5]


async def following(world: World) -> None:
    log, follower = await a_log(world), await a_log(world)
    seqs = await fill(log, A, 10)
    seen: list[LogEntry] = []
    async with background(collect(follower.follow([A, B], after=seqs[4]), seen)):
        await eventually(lambda: len(seen) == 5, "the backlog")
        last = await log.append(B, b"new", expected=NO_SEQ, batch_id="b")
        await eventually(lambda: len(seen) == 6, "the new message")
    assert [entry.seq for entry in seen] == [*seqs[5:], last]
    assert seen[-1] == LogEntry(B, last, NO_SEQ, "b", b"new")


async def truncation_never_empties_a_subject(world: World) -> None:
    log = await a_log(world)
    seqs = await fill(log, A, 10)
    others = await fill(log, B, 2)
    await log.truncate(A, below=seqs[6])
    assert [entry.seq for entry in await read(log, A)] == seqs[6:]
    await log.truncate(A, below=Seq(others[-1] + 100))
    assert [entry.seq for entry in await read(log, A, B)] == [seqs[-1], *others]
    await log.truncate(C, below=Seq(5))
    with pytest.raises(FencedError):
        await log.append(A, b"late", expected=NO_SEQ, batch_id="late")
    await log.append(A, b"next", expected=seqs[-1], batch_id="next")
    assert [entry.batch_id async for entries in log.scan([A], after=NO_SEQ) for entry in entries] == ["09", "next"]


async def compare_and_set(world: World) -> None:
    registry = await a_registry(world)
    assert await registry.get("leases.sender.s") is None
    first = await registry.create("leases.sender.s", b"me")
    with pytest.raises(ConflictError):
        await registry.create("leases.sender.s", b"you")
    second = await registry.update("leases.sender.s", b"me again", revision=first)
    assert second > first
    with pytest.raises(ConflictError):
        await registry.update("leases.sender.s", b"you", revision=first)
    with pytest.raises(ConflictError):
        await registry.delete("leases.sender.s", revision=first)
    assert await registry.get("leases.sender.s") == Item("leases.sender.s", b"me again", second)
    await registry.delete("leases.sender.s", revision=second)
    await registry.delete("leases.sender.s")
    assert await registry.get("leases.sender.s") is None
    third = await registry.create("leases.sender.s", b"you")
    assert third > second
    assert await registry.put("leases.sender.s", b"they") > third


async def items_of_a_prefix(world: World) -> None:
    registry = await a_registry(world)
    for key in ("members.b", "members.a", "membersx.c", "members", "config.region.r"):
        await registry.put(key, key.encode())
    await registry.put("members.gone", b"")
    await registry.delete("members.gone")
    found = await registry.items("members")
    assert list(found) == ["members", "members.a", "members.b"]
    assert found["members.a"].value == b"members.a"
    assert await registry.items("nothing") == {}


async def time_to_live_and_watch(world: World) -> None:
    registry, observer = await a_registry(world), await a_registry(world)
    await registry.put("members.stays", b"1")
    await registry.put("membersx.other", b"1")
    watch = observer.watch("members")
    assert [(change.key, change.value) for change in await anext(watch)] == [("members.stays", b"1")]
    seen: list[Change] = []
    async with background(collect(watch, seen)):
        revision = await registry.create("members.m", b"up", ttl_s=1)
        for _ in range(4):  # renewed, it outlives its time to live
            await asyncio.sleep(0.4)
            revision = await registry.update("members.m", b"up", revision=revision, ttl_s=1)
        assert (await registry.items("members"))["members.m"].revision == revision
        await eventually(lambda: bool(seen) and seen[-1].value is None, "the expiry shown")
    assert [(change.key, change.value) for change in seen] == [("members.m", b"up")] * 5 + [("members.m", None)]
    assert await registry.get("members.m") is None
    assert list(await registry.items("members")) == ["members.stays"]
    with pytest.raises(ConflictError):
        await registry.update("members.m", b"up", revision=revision)


async def watch_of_nothing_begins_with_an_empty_list(world: World) -> None:
    registry = await a_registry(world)
    watch = registry.watch("config")
    assert await anext(watch) == []
    await registry.put("config.receiver", b"x")
    assert [(change.key, change.value) for change in await anext(watch)] == [("config.receiver", b"x")]
    await registry.delete("config.receiver")
    assert [(change.key, change.value) for change in await anext(watch)] == [("config.receiver", None)]
    await watch.aclose()


async def kill_and_restart_with_follow_and_watch_going_on(world: World) -> None:
    writer, follower = await world.client(), await world.client()
    log, registry = await writer.open_log("DEFAULT"), await writer.open_registry("site")
    followed: list[LogEntry] = []
    watched: list[Change] = []
    lists = (await follower.open_log("DEFAULT")).follow([A], after=NO_SEQ)
    changes = (await follower.open_registry("site")).watch("config")
    async with background(collect(lists, followed), collect(changes, watched)):
        last = NO_SEQ
        for number in range(60):
            if number % 20 == 10:
                await world.kill()
            last = await append_settled(
                log, A, b"%d" % number, expected=last, batch_id=f"b{number}", deadline_s=SETTLE_S
            )
        await eventually(lambda: bool(followed) and followed[-1].seq == last, "the end of the log")
        await eventually(lambda: writer.connected and follower.connected, "both clients connected")
        await registry.put("config.region.r", b"1")
        await eventually(lambda: any(change.value == b"1" for change in watched), "the change")
    assert [entry.batch_id for entry in followed] == [f"b{number}" for number in range(60)]
    assert [entry.payload for entry in await read(log, A)] == [b"%d" % number for number in range(60)]


async def while_the_engine_is_away_everything_fails_at_once(world: World) -> None:
    client = await world.client()
    log, registry = await client.open_log("DEFAULT"), await client.open_registry("site")
    await world.stop()
    await eventually(lambda: not client.connected, "the loss noticed")
    async with asyncio.timeout(2):
        with pytest.raises(UnavailableError):
            await log.append(A, b"x", expected=NO_SEQ, batch_id="b1")
        with pytest.raises(UnavailableError):
            await log.last(A)
        with pytest.raises(UnavailableError):
            await registry.put("config.x", b"1")
        with pytest.raises(UnavailableError):
            await read(log, A)


async def closing_fails_what_is_pending(world: World) -> None:
    client = await world.client()
    log = await client.open_log("DEFAULT")
    pending = log.append(A, b"x", expected=NO_SEQ, batch_id="b1")
    await client.close()
    assert pending.done()
    assert isinstance(pending.exception() or pending.result(), UnavailableError | int)  # the answer may have come
    with pytest.raises(UnavailableError):
        await log.append(A, b"x", expected=NO_SEQ, batch_id="b1")


async def too_large_a_payload_is_refused(world: World) -> None:
    log = await a_log(world)
    assert log.append_bytes_max == APPEND_BYTES_MAX
    with pytest.raises(UsageError, match="too large"):
        await log.append(A, bytes(APPEND_BYTES_MAX + 1), expected=NO_SEQ, batch_id="b1")
    largest = bytes(APPEND_BYTES_MAX)
    seqs = [await log.append(A, largest, expected=NO_SEQ, batch_id="b2")]
    seqs += [await log.append(A, largest, expected=seqs[-1], batch_id="b3")]
    assert [len(entry.payload) for entry in await read(log, A)] == [APPEND_BYTES_MAX] * 2
    last = await log.last(A)
    assert last is not None
    assert (last.seq, len(last.payload)) == (seqs[-1], APPEND_BYTES_MAX)


async def too_large_a_registry_entry_is_refused(world: World) -> None:
    registry = await a_registry(world)
    revision = await registry.put("large", bytes(APPEND_BYTES_MAX // 2))
    too_large = bytes(APPEND_BYTES_MAX + 64 * 1024)
    for write in (
        lambda: registry.put("large", too_large),
        lambda: registry.create("other", too_large),
        lambda: registry.update("large", too_large, revision=revision),
    ):
        with pytest.raises(UsageError, match="too large"):
            await write()
    item = await registry.get("large")
    assert item is not None
    assert len(item.value) == APPEND_BYTES_MAX // 2


async def usage_grows_and_falls_with_what_is_kept(world: World) -> None:
    client = await world.client()
    log, other, blobs = await client.open_log("DEFAULT"), await client.open_log("other"), await client.open_blobs("b")
    assert (await log.usage(), await blobs.usage()) == (0, 0)
    last, payload = NO_SEQ, bytes(100_000)
    for number in range(10):
        last = await log.append(A, payload, expected=last, batch_id=f"b{number}")
    assert 10 * len(payload) < await log.usage() < 11 * len(payload)
    assert await other.usage() == 0
    await log.truncate(A, below=last)
    assert len(payload) <= await log.usage() < 2 * len(payload)
    await blobs.put("one", payload)
    await blobs.put("other", payload)
    assert 2 * len(payload) <= await blobs.usage() < 3 * len(payload)
    await blobs.delete("one")
    await blobs.delete("other")
    assert await blobs.usage() == 0


async def a_forgotten_subject_begins_anew(world: World) -> None:
    log = await a_log(world)
    await fill(log, A, 3)
    of_b = await fill(log, B, 2)
    assert await log.subjects() == [A, B]
    await log.forget(A)
    await log.forget(C)
    assert await log.subjects() == [B]
    assert await log.last(A) is None
    assert [entry.seq for entry in await read(log, A, B)] == of_b
    assert await log.append(A, b"again", expected=NO_SEQ, batch_id="again") > of_b[-1]


async def stores_are_apart(world: World) -> None:
    client = await world.client()
    log, wan = await client.open_log("DEFAULT"), await client.open_log("wan")
    assert await client.stores() == ["DEFAULT", "wan"]
    subject = "log.wan.region.0.0"
    await fill(log, A, 2)
    assert await wan.append(subject, b"x", expected=NO_SEQ, batch_id="b") == 1
    assert await wan.subjects() == [subject]
    assert [entry.payload for entry in await read(wan, subject)] == [b"x"]
    await client.open_registry("site")
    assert await (await world.client()).stores() == ["DEFAULT", "wan"]


async def blobs_come_back_whole(world: World) -> None:
    blobs = await (await world.client()).open_blobs("snapshots")
    assert await blobs.get("none") is None
    assert await blobs.names() == []
    data = bytes(range(256)) * 4000
    await blobs.put("region.0.1", b"old")
    await blobs.put("region.0.1", data)
    await blobs.put("empty", b"")
    assert await blobs.get("region.0.1") == data
    assert await blobs.get("empty") == b""
    assert await blobs.names() == ["empty", "region.0.1"]
    await blobs.delete("region.0.1")
    await blobs.delete("region.0.1")
    await blobs.delete("never there")
    assert await blobs.get("region.0.1") is None
    assert await blobs.names() == ["empty"]


SCENARIOS = [
    fencing_by_expected_sequence,
    one_of_two_writers_wins,
    lost_answer_is_unknown_then_settled,
    lost_request_is_repeated,
    lost_answer_of_a_deposed_writer_is_fenced,
    lost_answer_is_settled_although_a_successor_has_appended,
    lost_answer_can_not_be_settled_when_what_followed_was_cut,
    settling_gives_up_at_its_deadline,
    ordered_reads,
    scan_shows_everything_but_payloads,
    following,
    truncation_never_empties_a_subject,
    compare_and_set,
    items_of_a_prefix,
    time_to_live_and_watch,
    watch_of_nothing_begins_with_an_empty_list,
    kill_and_restart_with_follow_and_watch_going_on,
    while_the_engine_is_away_everything_fails_at_once,
    closing_fails_what_is_pending,
    too_large_a_payload_is_refused,
    too_large_a_registry_entry_is_refused,
    usage_grows_and_falls_with_what_is_kept,
    a_forgotten_subject_begins_anew,
    stores_are_apart,
    blobs_come_back_whole,
]
