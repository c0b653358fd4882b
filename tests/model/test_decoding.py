"""Malformed bytes."""

import msgspec
import pytest

from heliograph.errors import PeerError
from heliograph.gateway.verdict import open_batch
from heliograph.link.failures import decode_failure
from heliograph.link.hello import Hello, decode_hello
from heliograph.model.batch import decode_columns, decode_record
from heliograph.model.decoding import decode
from heliograph.model.registry import decode_entry

DEEP = b"\x91" * 100_000 + b"\x01"
NO_UTF8 = b"\xa1\xff"
COLUMNS_DEEP = b"\x94\xc4\x01\x00\x91" + DEEP + b"\x91\xc4\x01\x01\x05"
COLUMNS_NO_UTF8 = b"\x94\xc4\x01\x00\x91" + NO_UTF8 + b"\x91\xc4\x01\x01\x05"


def test_well_formed_bytes_are_the_value() -> None:
    assert decode(msgspec.msgpack.decode, b"\x01", "number") == 1


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x01\x01", NO_UTF8, DEEP, b"\x81\x80\x01"])
def test_malformed_bytes_are_a_peer_error(data: bytes) -> None:
    with pytest.raises(PeerError, match="malformed thing"):
        decode(msgspec.msgpack.decode, data, "thing")


@pytest.mark.parametrize("data", [COLUMNS_DEEP, COLUMNS_NO_UTF8])
def test_keys_nested_too_deep_or_no_utf8_are_malformed_columns(data: bytes) -> None:
    with pytest.raises(PeerError, match="malformed event columns"):
        decode_columns(data)


def test_every_decoder_of_bytes_from_outside_knows_text_that_is_no_utf8() -> None:
    failure = b"\x93" + msgspec.msgpack.encode("Failure") + NO_UTF8 + b"\xa0"
    hello = b"\x81" + msgspec.msgpack.encode("role") + NO_UTF8
    for decoder, data in (
        (decode_failure, failure),
        (decode_hello, hello),
        (open_batch, b"\x93" + NO_UTF8 + b"\x01\x90"),
        (decode_record, b"\x93\x01\x90" + NO_UTF8),
        (lambda data: decode_entry(data, Hello), hello),
    ):
        with pytest.raises(PeerError, match="malformed"):
            decoder(data)
