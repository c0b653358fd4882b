"""Columns, parts and records."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import PeerError
from heliograph.model.batch import (
    CLEARED,
    CREATE,
    DESTROY,
    EXPIRED,
    UPDATE,
    Columns,
    Part,
    Record,
    Removal,
    check_part,
    decode_columns,
    decode_record,
    encode_columns,
    encode_record,
    operations_of,
)
from heliograph.model.clock import VERSION_STEP, version_of

keys = st.one_of(st.text(max_size=5).filter(str.isprintable), st.integers(0, 99), st.binary(max_size=5))


@st.composite
def columns(draw):
    some = draw(st.lists(keys, max_size=10))
    ops = bytes(draw(st.lists(st.integers(CREATE, DESTROY), min_size=len(some), max_size=len(some))))
    values = [b"" if op == DESTROY else b"\x01" for op in ops]
    stamps = draw(
        st.one_of(st.integers(0, 2**62), st.lists(st.integers(0, 2**62), min_size=len(some), max_size=len(some)))
    )
    if isinstance(stamps, int):
        some = list(dict.fromkeys(some))
    return Columns(ops[: len(some)], some, values[: len(some)], stamps)


@given(columns(), st.integers(0, 255))
def test_columns_come_back_as_they_were_with_a_version_an_event(events, site):
    assert decode_columns(encode_columns(events)) == events
    versions = list(events.versions(site))
    assert len(versions) == len(events.keys)
    assert all(version % VERSION_STEP == site for version in versions)
    assert max((version // VERSION_STEP for version in versions), default=events.stamp_max()) == events.stamp_max()
    assert events.newest(site) == dict(zip(events.keys, versions, strict=True))


def test_a_key_that_stands_twice_under_one_stamp_is_refused():
    with pytest.raises(PeerError, match="twice"):
        Columns(b"\0\1", ["a", "a"], [b"x", b"y"], 5).newest(1)


@given(columns(), st.data())
def test_taking_events_keeps_their_versions(events, data):
    positions = data.draw(st.lists(st.sampled_from(range(len(events.keys))), unique=True)) if events.keys else []
    taken = events.take(positions)
    versions = events.versions(3)
    assert list(taken.versions(3)) == [versions[i] for i in positions]
    assert taken.keys == [events.keys[i] for i in positions]


@given(st.binary(max_size=60))
def test_any_bytes_are_columns_or_a_peer_error(data):
    try:
        events = decode_columns(data)
    except PeerError:
        return
    assert len(events.keys) == len(events.values) == len(events.ops)


@pytest.mark.parametrize(
    "broken",
    [
        (b"\0\0", ["a"], [b"x"], 1),
        (b"\0", ["a"], [b"x", b"y"], 1),
        (b"\0", ["a"], [b"x"], [1, 2]),
        (b"\x07", ["a"], [b"x"], 1),
        (b"\0", [1.5], [b"x"], 1),
        (b"\0", [["a"]], [b"x"], 1),
    ],
)
def test_columns_that_do_not_fit_together_are_refused(broken):
    with pytest.raises(PeerError, match="malformed"):
        decode_columns(msgspec.msgpack.encode(broken))


def foreign(ops=b"\1\2", keys=("a", "b"), values=(b"x", b""), stamps=5, **fields):
    columns = Columns(ops, list(keys), list(values), stamps)
    part = Part(2, (1,), 0, 9, len(keys), encode_columns(columns))
    return msgspec.structs.replace(part, **fields), columns


@pytest.mark.parametrize(
    "part",
    [
        foreign(),
        foreign(ops=b"\0\1", values=(b"x", b"y")),
        foreign(keys=(1, b"k"), stamps=[2**63 - 1, 0]),
        foreign(argument=bytes(32 * 1024)),
    ],
)
def test_a_part_that_this_site_could_have_written_passes(part):
    check_part(*part)


@pytest.mark.parametrize(
    "part",
    [
        foreign(origin=256),
        foreign(origin=-1),
        foreign(recipients=(300,)),
        foreign(birth_bucket=-1),
        foreign(birth_seq=0),
        foreign(birth_seq=2**63),
        foreign(count=3),
        foreign(argument=bytes(32 * 1024 + 1)),
        foreign(ops=b"", keys=(), values=()),
        foreign(values=(b"", b"")),
        foreign(values=(b"x", b"y")),
        foreign(ops=b"\1\1"),
        foreign(stamps=-1),
        foreign(stamps=2**63),
        foreign(stamps=[5, -1]),
        foreign(stamps=[2**63, 5]),
        foreign(keys=("a", 2**63)),
        foreign(keys=("a", "b" * 32 * 1024 + "b")),
        foreign(values=(b"x" * (4 * 1024 * 1024 + 1), b"")),
    ],
)
def test_a_part_that_this_site_could_not_have_written_is_refused_and_its_site_named(part):
    with pytest.raises(PeerError, match="malformed part of site"):
        check_part(*part)


def test_a_record_comes_back_as_it_was():
    removals = (Removal(EXPIRED, ["k", 1, b"b"]), Removal(CLEARED, [], 4))
    assert decode_record(encode_record(Record(7, (), "", removals))).removals == removals
    record = Record(7, (Part(1, (2, 3), 5, 99, 1, encode_columns(Columns(b"\0", ["k"], [b"v"], 5)), b"a"),))
    assert decode_record(encode_record(record)) == record
    assert record.count == 1
    with pytest.raises(PeerError, match="record"):
        decode_record(b"\xc1")
    for removal in (Removal(7), Removal(-1), Removal(EXPIRED, [["a"]]), Removal(EXPIRED, [True])):
        with pytest.raises(PeerError, match="a removal is of no known kind, or a key"):
            decode_record(encode_record(Record(7, (), "", (removal,))))


@given(st.integers(0, 2**64 - 1), st.integers(0, 255), st.integers(0, 2**64 - 1), st.integers(0, 255))
def test_versions_compare_as_the_pair_of_stamp_and_site(stamp, site, other_stamp, other_site):
    less = (stamp, site) < (other_stamp, other_site)
    assert (version_of(stamp, site) < version_of(other_stamp, other_site)) == less


@given(st.lists(st.sampled_from([CREATE, UPDATE, DESTROY]), min_size=1, max_size=400), st.sampled_from([1, 300]))
def test_the_operations_of_a_part_are_read_without_decoding_it(ops: list[int], times: int) -> None:
    ops *= times  # up to 120,000: all widths of a length
    columns = Columns(bytes(ops), [0] * len(ops), [b"v"] * len(ops), 7)
    assert operations_of(Part(1, (), 0, 1, len(ops), encode_columns(columns))) == bytes(ops)


@given(st.binary(max_size=12), st.integers(0, 6))
def test_the_operations_of_what_is_no_part_are_none_or_harmless(garbage: bytes, cut: int) -> None:
    whole = encode_columns(Columns(bytes([UPDATE]), ["k"], [b"v"], 7))
    for columns in (garbage, whole[:cut], b"\x94\xc6" + garbage):
        assert len(operations_of(Part(1, (), 0, 1, 1, columns))) <= len(columns)
