from __future__ import annotations

import asyncio

import pytest

from heliograph.bucket import judging
from heliograph.engine.seam import APPEND_BYTES_MAX
from heliograph.engine.sim.faults import Fault
from heliograph.errors import (
    BadEventError,
    DiskStoreFullError,
    NotPrimaryError,
    OverloadedError,
    UnavailableError,
    UsageError,
)
from heliograph.link.messages import Changed, Done
from heliograph.member.copy import BucketCopy
from heliograph.member.waiters import OneWrite
from heliograph.model.attributes import DEFAULT_STORE
from heliograph.model.batch import Columns, Part, encode_columns
from heliograph.model.ids import Seq
from tests.member.copies import SUBJECT, Host, Members, put, simulate, until


async def primary_at(host: Host) -> BucketCopy:
    copy = host.copy()
    await copy.become_primary()
    return copy


async def follow(host: Host, copy: BucketCopy) -> None:
    async for entries in host.store.log.follow([SUBJECT], after=copy.view.seq):
        for entry in entries:
            copy.on_entry(entry)


# --- writing


def test_the_primary_shows_a_write_when_it_is_in_the_log() -> None:
    async def scenario(members: Members) -> None:
        copy = await primary_at(await members.join("a"))
        future = put(copy, "k")
        assert copy.view.values == {}
        answer = await future
        assert isinstance(answer, Done)
        assert answer.seq == copy.view.seq
        assert copy.view.values == {"k": b"v"}
        assert [record.count for record in members.records()] == [0, 1]

    simulate(scenario)


def test_what_is_written_in_one_turn_or_while_an_append_is_under_way_is_one_record() -> None:
    async def scenario(members: Members) -> None:
        copy = await primary_at(await members.join("a"))
        first = [put(copy, f"first-{number}") for number in range(3)]
        await asyncio.sleep(0)
        later = [put(copy, f"later-{number}") for number in range(5)]
        await asyncio.gather(*first, *later)
        assert [record.count for record in members.records()] == [0, 3, 5]

    simulate(scenario)


def test_a_condition_is_judged_by_what_the_log_holds_then() -> None:
    async def scenario(members: Members) -> None:
        copy = await primary_at(await members.join("a"))

        async def absent(value: bytes) -> Done | Changed:
            waiter = OneWrite(asyncio.get_running_loop())
            copy.change("put_if_absent", "k", value, b"", b"", waiter)
            return await waiter.future

        one, other = await asyncio.gather(absent(b"one"), absent(b"other"))
        assert isinstance(one, Changed)
        assert isinstance(other, Changed)
        assert (one.done, one.old, other.done, other.old) == (True, b"", False, b"one")

    simulate(scenario)


def test_only_a_primary_takes_writes() -> None:
    async def scenario(members: Members) -> None:
        copy = (await members.join("a")).copy()
        with pytest.raises(NotPrimaryError, match="a is not the primary of bucket 0"):
            put(copy, "k")

    simulate(scenario)


def test_a_slow_engine_is_not_waited_for_with_more_than_the_limit() -> None:
    async def scenario(members: Members) -> None:
        host = await members.join("a")
        host.backlog.limit_bytes = 18
        copy = await primary_at(host)
        writes = [put(copy, "k", b"123456")]
        await asyncio.sleep(0)  # this one is under way, the next two wait
        writes += [put(copy, "k", b"123456") for _ in range(2)]
        with pytest.raises(OverloadedError, match="18 bytes of writes wait for the engine"):
            put(copy, "k", b"123456")
        with pytest.raises(OverloadedError):
            copy.change("remove", "k", b"", b"", b"", OneWrite(asyncio.get_running_loop()))
        await asyncio.gather(*writes)
        assert host.backlog.used_bytes == 0
        await put(copy, "k", b"123456")

    simulate(scenario)


def test_that_the_engine_has_no_room_does_not_tell_what_became_of_a_lost_append() -> None:
    async def scenario(members: Members) -> None:
        copy = await primary_at(await members.join("a"))
        log = members.engine.logs[DEFAULT_STORE]
        members.engine.faults.plan(Fault.ANSWER_LOST)
        write = put(copy, "k")
        await asyncio.sleep(0.1)
        assert len(members.records()) == 2, "it was done"
        log.room = 0
        await asyncio.sleep(30)
        assert not write.done()
        log.room = None
        assert isinstance(await write, Done)
        assert [record.count for record in members.records()] == [0, 1]
        log.room = 0
        with pytest.raises(DiskStoreFullError):
            await put(copy, "k")
        log.room = None
        await put(copy, "k")

    simulate(scenario)


def test_of_requests_that_are_too_large_together_only_the_guilty_one_is_refused() -> None:
    async def scenario(members: Members) -> None:
        copy = await primary_at(await members.join("a"))
        guilty = b"x" * (APPEND_BYTES_MAX + 1)
        futures = []
        for key, value in (("a", b"1"), ("guilty", guilty), ("b", b"2")):
            waiter = OneWrite(asyncio.get_running_loop())
            copy.put([key], [value], b"", 1, waiter)  # a size that is reckoned wrong
            futures.append(waiter.future)
        with pytest.raises(UsageError, match="too large"):
            await futures[1]
        await futures[0]
        await futures[2]
        await put(copy, "c")
        assert sorted(copy.view.values) == ["a", "b", "c"]

    simulate(scenario)


def test_an_event_of_another_site_that_is_too_large_for_this_engine_is_to_blame_itself() -> None:
    async def scenario(members: Members) -> None:
        copy = await primary_at(await members.join("a"))
        futures = []
        for size in (1, APPEND_BYTES_MAX // 3):
            columns = encode_columns(Columns(b"\1\1\1", ["k", "l", f"m{size}"], [b"v" * size] * 3, 5 + size))
            waiter = OneWrite(asyncio.get_running_loop())
            copy.apply_parts([Part(2, (), 0, 1, 3, columns)], waiter)
            futures.append(waiter.future)
        with pytest.raises(BadEventError, match="too large"):
            await futures[1]
        await futures[0]
        await put(copy, "c")
        assert sorted(copy.view.values) == ["c", "k", "l", "m1"]

    simulate(scenario)


def test_a_defect_in_drafting_answers_who_waits_and_the_next_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(part: Part, columns: Columns) -> None:
        raise KeyError(part.origin)

    monkeypatch.setattr(judging, "check_part", broken)

    async def scenario(members: Members) -> None:
        copy = await primary_at(await members.join("a"))
        waiter = OneWrite(asyncio.get_running_loop())
        copy.apply_parts([Part(2, (), 0, 1, 1, encode_columns(Columns(b"\0", ["k"], [b"v"], 5)))], waiter)
        with pytest.raises(KeyError):
            await waiter.future
        await put(copy, "l")
        assert copy.view.values == {"l": b"v"}

    simulate(scenario)
    assert [record.getMessage() for record in caplog.records] == ["drafting failed region=r bucket=0 requests=1"]
    assert caplog.records[0].exc_info


# --- taking over


def test_who_takes_over_holds_everything_and_the_next_epoch() -> None:
    async def scenario(members: Members) -> None:
        one = await primary_at(await members.join("a"))
        await put(one, "k")
        other = await primary_at(await members.join("b"))
        assert other.view.values == {"k": b"v"}
        assert (one.epoch, other.epoch) == (1, 2)
        assert [(record.epoch, record.primary) for record in members.records()] == [(1, "a"), (1, ""), (2, "b")]

    simulate(scenario)


def test_a_deposed_primary_fails_its_writes_and_follows() -> None:
    async def scenario(members: Members) -> None:
        one = await primary_at(await members.join("a"))
        other = await primary_at(await members.join("b"))
        flying, waiting = put(one, "k", b"lost"), asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: waiting.set_result(put(one, "l", b"lost")))
        with pytest.raises(NotPrimaryError, match="a is no longer the primary"):
            await flying
        with pytest.raises(NotPrimaryError):
            await (await waiting)
        assert (one.accepting, one.following, one.retired) == (False, True, True)
        await put(other, "k", b"kept")
        assert [record.count for record in members.records()] == [0, 0, 1]

    simulate(scenario)


def test_of_two_that_take_over_at_once_each_has_an_epoch_of_its_own() -> None:
    async def scenario(members: Members) -> None:
        hosts = [await members.join(name) for name in "abc"]
        copies = await asyncio.gather(*(primary_at(host) for host in hosts))
        assert sorted(copy.epoch for copy in copies) == [1, 2, 3]
        await asyncio.gather(*(put(copy, "k") for copy in copies), return_exceptions=True)
        assert [copy.epoch for copy in copies if copy.accepting] == [3]

    simulate(scenario)


def test_an_idle_primary_notices_that_it_was_deposed() -> None:
    async def scenario(members: Members) -> None:
        one = await primary_at(await members.join("a"))
        await one.verify()
        assert one.accepting
        await primary_at(await members.join("b"))
        await one.verify()
        assert (one.accepting, one.following) == (False, True)

    simulate(scenario)


def test_a_primary_that_writes_while_it_is_verified_stays_primary() -> None:
    async def scenario(members: Members) -> None:
        copy = await primary_at(await members.join("a"))
        for _ in range(50):
            verified = asyncio.create_task(copy.verify())
            await put(copy, "k")
            await verified
        assert copy.accepting

    simulate(scenario)


def test_who_steps_down_finishes_what_is_under_way_and_refuses_the_rest() -> None:
    async def scenario(members: Members) -> None:
        copy = await primary_at(await members.join("a"))
        flying = put(copy, "k")
        await asyncio.sleep(0)
        waiting = put(copy, "l")
        copy.step_down()
        with pytest.raises(NotPrimaryError):
            await waiting
        assert not copy.retired
        await flying
        assert (copy.retired, copy.following, copy.view.values) == (True, True, {"k": b"v"})

    simulate(scenario)


# --- answers that never come


@pytest.mark.parametrize("fault", [Fault.ANSWER_LOST, Fault.REQUEST_LOST, Fault.DELAYED])
def test_an_append_of_unknown_outcome_is_settled(fault: Fault) -> None:
    async def scenario(members: Members) -> None:
        copy = await primary_at(await members.join("a"))
        members.engine.faults.plan(fault)
        assert isinstance(await put(copy, "k"), Done)
        await put(copy, "l")
        assert [record.count for record in members.records()] == [0, 1, 1]

    simulate(scenario)


def test_a_write_whose_answer_was_lost_is_done_although_another_member_took_over() -> None:
    async def scenario(members: Members) -> None:
        one = await primary_at(await members.join("a"))
        members.engine.faults.plan(Fault.ANSWER_LOST)
        future = put(one, "k")
        await asyncio.sleep(1)
        other = await primary_at(await members.join("b"))
        await put(other, "l")
        assert isinstance(await future, Done)
        assert other.view.values == {"k": b"v", "l": b"v"}
        with pytest.raises(NotPrimaryError):
            await put(one, "m")

    simulate(scenario)


def test_a_write_that_was_lost_is_not_done_when_another_member_took_over() -> None:
    async def scenario(members: Members) -> None:
        one = await primary_at(await members.join("a"))
        members.engine.faults.plan(Fault.REQUEST_LOST)
        future = put(one, "k")
        await asyncio.sleep(1)
        other = await primary_at(await members.join("b"))
        await put(other, "l")
        with pytest.raises(NotPrimaryError):
            await future
        assert other.view.values == {"l": b"v"}

    simulate(scenario)


def test_a_write_that_the_engine_does_not_answer_fails_after_the_timeout() -> None:
    async def scenario(members: Members) -> None:
        host = await members.join("a")
        copy = await primary_at(host)
        host.client.connection.cut()
        flying = put(copy, "k")
        await asyncio.sleep(0)
        waiting = put(copy, "l")
        await asyncio.sleep(2)
        copy.expire(3)
        assert not flying.done()
        await asyncio.sleep(1)
        copy.expire(3)
        with pytest.raises(UnavailableError, match="may be done"):
            await flying
        with pytest.raises(UnavailableError, match="did nothing"):
            await waiting
        host.client.connection.heal()
        await until(lambda: copy.view.values == {"k": b"v"})
        await put(copy, "l")

    simulate(scenario)


def test_who_gives_up_answers_everybody_and_ignores_what_comes_later() -> None:
    async def scenario(members: Members) -> None:
        host = await members.join("a")
        copy = await primary_at(host)
        host.client.connection.cut()
        flying = put(copy, "k")
        await asyncio.sleep(0)
        waiting = put(copy, "l")
        copy.give_up(UnavailableError("the member stops"))
        assert copy.retired
        for future in (flying, waiting):
            with pytest.raises(UnavailableError, match="the member stops"):
                await future
        with pytest.raises(NotPrimaryError):
            put(copy, "m")
        host.client.connection.heal()
        await asyncio.sleep(30)
        assert copy.view.values == {}
        copy.give_up(UnavailableError("again"))

    simulate(scenario)


# --- following


def test_who_waits_for_what_a_primary_appends_is_woken() -> None:
    async def scenario(members: Members) -> None:
        copy = await primary_at(await members.join("a"))
        waiting = asyncio.ensure_future(copy.applied(Seq(copy.view.seq + 1)))
        await asyncio.sleep(1)
        assert not waiting.done()
        await put(copy, "k")
        await asyncio.wait_for(waiting, 1)

    simulate(scenario)


def test_a_follower_applies_each_record_once_and_tells_of_it() -> None:
    async def scenario(members: Members) -> None:
        one = await primary_at(await members.join("a"))
        host = await members.join("b")
        other = host.copy()
        host.spawn(follow(host, other))
        host.spawn(follow(host, other))
        for number in range(10):
            await put(one, f"k-{number}")
        await asyncio.wait_for(other.applied(one.view.seq), 10)
        await asyncio.sleep(1)
        assert other.view.values == one.view.values
        assert [seq for _, seq in host.sunk] == list(range(1, 12))

    simulate(scenario)
