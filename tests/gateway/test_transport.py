from __future__ import annotations

import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import PeerError
from heliograph.gateway.filters import PluginFailedError
from heliograph.gateway.transport import TransportFilters


class Checksum:
    """Puts a checksum behind the bytes; what does not fit is refused."""

    def encode(self, data: bytes) -> bytes:
        return data + zlib.crc32(data).to_bytes(4, "big")

    def decode(self, data: bytes) -> bytes:
        if zlib.crc32(data[:-4]).to_bytes(4, "big") != data[-4:]:
            raise ValueError("wrong checksum")
        return data[:-4]


class Compress:
    def encode(self, data: bytes) -> bytearray:
        return bytearray(zlib.compress(data))

    def decode(self, data: bytes) -> memoryview:
        return memoryview(zlib.decompress(data))


class Broken:
    def encode(self, data: bytes) -> Any:
        return "text"

    def decode(self, data: bytes) -> bytes:
        raise ValueError("no")


def filters(*plugins: Any, failures: list[tuple[str, str]] | None = None) -> TransportFilters:
    found = failures if failures is not None else []
    named = [(f"m:{type(plugin).__name__}", plugin) for plugin in plugins]
    return TransportFilters(named, lambda name, method, _: found.append((name, method)))


@given(body=st.binary())
def test_what_was_encoded_in_order_is_decoded_in_reverse(body: bytes) -> None:
    both = filters(Compress(), Checksum())
    assert both.names == ("m:Compress", "m:Checksum")
    assert both.encode(body)[:-4] == zlib.compress(body)
    assert both.decode(both.encode(body)) == body
    assert TransportFilters().decode(TransportFilters().encode(body)) == body


def test_what_can_not_be_decoded_is_refused_naming_the_filter() -> None:
    failures: list[tuple[str, str]] = []
    with pytest.raises(PeerError, match=r"filter m:Checksum can't decode the batch: ValueError: wrong"):
        filters(Compress(), Checksum(), failures=failures).decode(b"12345")
    assert failures == [("m:Checksum", "decode")]


def test_a_filter_that_makes_no_bytes_has_failed() -> None:
    failures: list[tuple[str, str]] = []
    with pytest.raises(PluginFailedError, match="m:Broken failed: encode of a batch: TypeError: it returned str"):
        filters(Broken(), failures=failures).encode(b"x")
    assert failures == [("m:Broken", "encode")]
