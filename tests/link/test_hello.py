from __future__ import annotations

import msgspec
import pytest

from heliograph.errors import PeerError
from heliograph.link.hello import (
    NO_SITE,
    Hello,
    check_compatible,
    common_features,
    decode_hello,
    encode_hello,
)

SENDER, RECEIVER = Hello("sender", "s2", 1), Hello("receiver", "server1", 2)


def test_round_trip() -> None:
    assert decode_hello(encode_hello(SENDER)) == SENDER


def test_unknown_fields_are_skipped_and_missing_ones_have_defaults() -> None:
    data = msgspec.msgpack.encode({"role": "client", "name": "app", "shoe_size": 43})
    assert decode_hello(data) == Hello("client", "app", NO_SITE)


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x01", msgspec.msgpack.encode({"role": 7, "name": "x"})])
def test_malformed(data: bytes) -> None:
    with pytest.raises(PeerError, match="malformed hello"):
        decode_hello(data)


@pytest.mark.parametrize(
    "field",
    [{"name": "a" * 256}, {"name": "a\nreason='forged'"}, {"role": "client\x1b[2J"}, {"dsid": -2}, {"dsid": 256}],
)
def test_what_would_be_logged_is_short_text_of_one_line(field: dict[str, object]) -> None:
    with pytest.raises(PeerError, match=r"malformed hello: [ -~]{1,320}\Z"):
        decode_hello(msgspec.msgpack.encode({"role": "client", "name": "app"} | field))


def test_versions_that_overlap_agree() -> None:
    newer = msgspec.structs.replace(RECEIVER, version=9, oldest=1)
    check_compatible(SENDER, newer)
    check_compatible(newer, SENDER)


def test_a_peer_that_needs_a_newer_one_is_refused_by_either_end() -> None:
    newer = msgspec.structs.replace(RECEIVER, version=9, oldest=5)
    with pytest.raises(
        PeerError, match=r"receiver server1 of site 2 needs version 5 .* sender s2 of site 1 speaks 1: upgrade sender"
    ):
        check_compatible(SENDER, newer)
    with pytest.raises(PeerError, match=r"sender s2 of site 1 speaks version 1 .* needs 5 or newer: upgrade sender"):
        check_compatible(newer, SENDER)


def test_a_site_never_sends_to_itself() -> None:
    same = msgspec.structs.replace(RECEIVER, dsid=1)
    for ours, theirs in ((SENDER, same), (same, SENDER)):
        with pytest.raises(PeerError, match="same distributed-system-id"):
            check_compatible(ours, theirs)
    check_compatible(SENDER, Hello("locator", "l1", 1))


def test_features_are_those_of_both() -> None:
    ours = msgspec.structs.replace(SENDER, features=("a", "b", "c"))
    theirs = msgspec.structs.replace(RECEIVER, features=("c", "x", "a"))
    assert common_features(ours, theirs) == ("a", "c")


def test_a_sender_and_a_receiver_have_the_same_transport_filters_in_the_same_order() -> None:
    ours = msgspec.structs.replace(SENDER, filters=("a:b", "c:d"))
    for theirs in (RECEIVER, msgspec.structs.replace(RECEIVER, filters=("c:d", "a:b"))):
        for one, other in ((ours, theirs), (theirs, ours)):
            with pytest.raises(PeerError, match=r"the transport filters a:b, c:d.* in the same order, at both sites"):
                check_compatible(one, other)
    with pytest.raises(PeerError, match=r"receiver server1 of site 2 has no transport filter"):
        check_compatible(ours, RECEIVER)
    check_compatible(ours, msgspec.structs.replace(RECEIVER, filters=("a:b", "c:d")))
    check_compatible(ours, Hello("locator", "l1", 1))
