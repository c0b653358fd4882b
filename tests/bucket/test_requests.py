"""What is remembered of writes that carry an id, against a model that forgets nothing."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.bucket import requests as module
from heliograph.bucket.requests import RequestMemory
from heliograph.bucket.snapshot import open_snapshot, slices
from heliograph.bucket.view import BucketView
from heliograph.errors import ForgottenError
from heliograph.model.batch import Record, decode_record, encode_record
from heliograph.model.ids import Seq
from heliograph.model.requests import Identities, RequestId, Requests

ME, OTHER = 2**64 - 1, 7


def named(number: int, client: int = ME, oldest: int = 1, born_ms: int = 1_000) -> RequestId:
    return RequestId(client, number, oldest, born_ms, 0)


def done(memory: RequestMemory, seq: int, *ids: RequestId, at_ms: int = 1_000, undone=(), olds=None) -> None:
    """A record with these requests."""
    columns = zip(*[(name.client, name.number, name.oldest, name.born_ms) for name in ids], strict=True)
    clients, numbers, oldest, born = map(list, columns)
    memory.apply(seq, Requests(at_ms, clients, numbers, oldest, born, list(undone), olds or {}))


def test_what_was_never_done_may_be_done() -> None:
    memory = RequestMemory()
    assert memory.recall(named(1)) is None
    done(memory, 5, named(1))
    assert memory.recall(named(2)) is None
    assert memory.recall(named(1, OTHER)) is None


def test_what_was_done_is_known_by_its_sequence() -> None:
    memory = RequestMemory()
    done(memory, 5, named(1), named(2), named(1, OTHER), undone=[1])
    done(memory, 6, named(3))
    assert [memory.recall(named(number)) for number in (1, 2, 3)] == [5, -5, 6]
    assert memory.recall(named(1, OTHER)) == 5


def test_an_answer_that_the_client_has_is_forgotten() -> None:
    memory = RequestMemory()
    done(memory, 5, named(1), named(2))
    done(memory, 6, named(3, oldest=3))
    for number in (1, 2):
        with pytest.raises(ForgottenError, match="its answer was taken for known"):
            memory.recall(named(number))
    assert memory.recall(named(3)) == 6
    assert memory.answer_count == 1


def test_a_late_copy_does_not_bring_back_what_is_waited_for() -> None:
    memory = RequestMemory()
    done(memory, 5, named(3, oldest=3))
    done(memory, 6, named(4, oldest=1))
    with pytest.raises(ForgottenError):
        memory.recall(named(2, oldest=1))


def test_a_silent_client_is_forgotten_and_refused_from_then_on() -> None:
    memory = RequestMemory()
    done(memory, 5, named(1, born_ms=900), at_ms=1_000)
    later = 1_000 + module.MEMORY_MS
    done(memory, 6, named(1, OTHER, born_ms=later), at_ms=later)
    assert memory.recall(named(1, born_ms=900)) == 5
    done(memory, 7, named(2, OTHER, born_ms=later), at_ms=later + 1)
    assert len(memory) == 1
    for born_ms in (1, 900):
        with pytest.raises(ForgottenError, match=r"too late, or the clocks .* differ"):
            memory.recall(named(1, born_ms=born_ms))
    assert memory.recall(named(2, born_ms=901)) is None
    assert memory.floor_ms == 900


def test_too_many_clients_forget_those_silent_longest() -> None:
    memory = RequestMemory()
    with patch.object(module, "CLIENTS_MAX", 2):
        done(memory, 5, named(1, 1, born_ms=10))
        done(memory, 6, named(1, 2, born_ms=20))
        done(memory, 7, named(2, 1, born_ms=30))
        done(memory, 8, named(1, 3, born_ms=40))
    assert len(memory) == 2
    with pytest.raises(ForgottenError):
        memory.recall(named(1, 2, born_ms=20))
    assert memory.recall(named(1, 1, born_ms=10)) == 5


def test_old_values_are_bounded_and_go_with_their_answers() -> None:
    memory = RequestMemory()
    with patch.object(module, "OLDS_BYTES_MAX", 10):
        done(memory, 5, named(1), named(2), olds={0: b"12345", 1: b"67890"})
        assert memory.old_of(named(1)) == b"12345"
        done(memory, 6, named(3), olds={0: b"x"})
        assert [memory.old_of(named(number)) for number in (1, 2, 3)] == [None, b"67890", b"x"]
        assert memory.recall(named(1)) == 5
        done(memory, 7, named(4, oldest=4))
        assert memory.image().olds == []
        done(memory, 8, named(5, oldest=4), olds={0: b"1234567890"})
        assert memory.old_of(named(5)) == b"1234567890"


def test_answers_of_one_client_are_bounded() -> None:
    memory = RequestMemory()
    with patch.object(module, "ANSWERS_MAX", 3):
        for number in range(1, 6):
            done(memory, number, named(number))
    assert memory.answer_count == 3
    with pytest.raises(ForgottenError):
        memory.recall(named(2))
    assert memory.recall(named(3)) == 3


def test_identities_number_the_writes_to_a_bucket() -> None:
    now = iter(range(100, 200))
    identities = Identities(ME, lambda: next(now))
    one, two, elsewhere = (identities.draw("r", 3, bucket) for bucket in (0, 0, 1))
    assert one.wire() == RequestId(ME, 1, 1, 100, 3)
    assert two.wire() == RequestId(ME, 2, 1, 101, 3)
    assert elsewhere.wire() == RequestId(ME, 1, 1, 102, 3)
    one.end()
    one.end()
    two.repeated = True
    assert two.wire() == RequestId(ME, 2, 2, 101, 3, True)
    two.end()
    assert identities.draw("r", 3, 0).wire() == RequestId(ME, 3, 3, 103, 3)
    elsewhere.end()
    assert identities.draw("r", 4, 0).wire() == RequestId(ME, 1, 1, 104, 4)
    assert set(identities._numbers) == {("r", 3, 0), ("r", 4, 0)}, "of older regions only what is waited for"
    identities.draw("r", 5, 0).end()
    identities.draw("r", 6, 0)
    assert ("r", 5, 0) not in identities._numbers


# --- against a model that forgets nothing

LIMITS: dict[str, Any] = {"CLIENTS_MAX": 2, "ANSWERS_MAX": 3, "MEMORY_MS": 50, "OLDS_BYTES_MAX": 6}
WRITES = st.tuples(st.integers(1, 4), st.integers(0, 3), st.integers(-20, 5), st.booleans(), st.booleans())
RECORDS = st.tuples(st.sampled_from((0, 1, 10, 60)), st.lists(WRITES, min_size=1, max_size=3), st.booleans())


@given(st.lists(RECORDS, max_size=20))
def test_nothing_done_is_ever_taken_for_new(records: list[Any]) -> None:
    """Whatever is forgotten: a request that was done is known, or refused."""
    view, follower = BucketView(), BucketView()
    known: dict[tuple[int, int], int] = {}
    born: dict[tuple[int, int], int] = {}
    olds: dict[tuple[int, int], bytes] = {}
    next_number, oldest = dict.fromkeys(range(1, 5), 1), dict.fromkeys(range(1, 5), 1)
    now_ms = 0
    with patch.multiple(module, **LIMITS):
        for seq, (passed_ms, writes, from_snapshot) in enumerate(records, start=1):
            now_ms += passed_ms
            record = Requests(now_ms, [], [], [], [], [], {})
            for position, (client, still_waiting, age_ms, undone, has_old) in enumerate(writes):
                number = next_number[client]
                next_number[client] += 1
                oldest[client] = max(oldest[client], number - still_waiting)
                name = (client, number)
                born[name] = now_ms + age_ms
                asked = RequestId(client, number, oldest[client], born[name], 0)
                try:
                    assert view.requests.recall(asked) is None
                except ForgottenError:
                    assert born[name] <= view.requests.floor_ms
                    continue
                place = len(record.clients)
                record.clients.append(client)
                record.numbers.append(number)
                record.oldest.append(oldest[client])
                record.born_ms.append(born[name])
                known[name] = -seq if undone else seq
                if undone:
                    record.undone.append(place)
                if has_old:
                    record.olds[place] = olds[name] = b"o%d" % position
            logged = decode_record(encode_record(Record(1, (), requests=record)))
            for each in (view, follower):
                each.apply(Seq(seq), logged)
            if from_snapshot:
                follower = open_snapshot(b"".join(slices(follower)))
            assert view.requests == follower.requests
            for name, what in known.items():
                asked = RequestId(*name, oldest[name[0]], born[name], 0)
                with suppress(ForgottenError):
                    assert view.requests.recall(asked) == what
                assert view.requests.old_of(asked) in (None, olds.get(name))
            assert len(view.requests) <= LIMITS["CLIENTS_MAX"]
            assert sum(len(old) for _, _, old in view.requests.image().olds) <= LIMITS["OLDS_BYTES_MAX"]
