"""Keys and values: what may be one, how a key finds its bucket, how a value is carried.

`bucket = crc32(routing key) % total-num-buckets` (architecture §2). A value is carried everywhere as the bytes of its
msgpack encoding, so that members, logs and sites move it without looking inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias
from zlib import crc32

import msgspec

from heliograph.errors import UsageError
from heliograph.model.ids import BucketId

Key: TypeAlias = str | int | bytes

KEY_BYTES_MAX = 32 * 1024
VALUE_BYTES_MAX = 4 * 1024 * 1024
ARGUMENT_BYTES_MAX = 32 * 1024
"""Of a callback argument, encoded."""
KEY_PARTS_MAX = 1024
"""Into so many parts the keys of a bucket may be divided to be listed."""
INT_MIN, INT_MAX = -(2**63), 2**63 - 1

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder()

decode_value = _decoder.decode
"""The value that `encode_value` encoded."""


_encode = _encoder.encode
KEY_TYPES = frozenset({str, bytes, int})
NO_VALUE = _encode(None)
"""The encoding that stands for the value of an entry that was invalidated; no entry is ever put with it."""


def check_keys(keys: Sequence[object]) -> None:
    """Raise UsageError unless every key is a str, an int of 64 bits or bytes, of allowed size."""
    kinds = set(map(type, keys))
    for kind in kinds:
        check = _CHECKS.get(kind)
        if check is None:
            raise UsageError(f"a {kind.__name__} can't be a key: keys are str, int or bytes")
        check(keys if len(kinds) == 1 else [key for key in keys if type(key) is kind])


def _check_ints(keys: Sequence[Any]) -> None:
    for key in (min(keys), max(keys)):
        if not INT_MIN <= key <= INT_MAX:
            raise UsageError(f"the key {key} is out of range: an int key has 64 bits")


def _check_bytes(keys: Sequence[Any]) -> None:
    if (size := max(map(len, keys))) > KEY_BYTES_MAX:
        raise UsageError(f"a key of {size} bytes is too large: a key may have {KEY_BYTES_MAX} bytes")


def _check_texts(keys: Sequence[Any]) -> None:
    if "".join(keys).isascii():
        _check_bytes(keys)
        return
    try:
        _check_bytes(list(map(str.encode, keys)))
    except UnicodeEncodeError as exc:
        raise UsageError(f"the key {exc.object!r} can't be encoded as UTF-8") from exc


_CHECKS: dict[type, Callable[[Sequence[Any]], None]] = {int: _check_ints, bytes: _check_bytes, str: _check_texts}


def key_bytes(keys: Sequence[Any]) -> int:
    """Return how many bytes keys have, beyond a few for each."""
    kind = type(keys[0]) if keys else int
    try:
        if kind is bytes:
            return len(b"".join(keys))
        if kind is str:
            text = "".join(keys)
            return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    except TypeError:
        pass  # keys of several types: one by one
    return sum(len(_key_bytes(key)) for key in keys)


def longest_key_bytes(keys: Sequence[Any]) -> int:
    """Return how many bytes the longest key has at most, beyond a few."""
    try:
        return 4 * max(map(len, keys))  # a text may grow so much in UTF-8
    except TypeError:
        return max(len(_key_bytes(key)) for key in keys)  # some are ints


def shown_key(key: Key) -> str:
    """Return a key as operators see it: a text as it is, bytes as Python writes them."""
    return key if isinstance(key, str) else repr(key)


def shown_value(value: Any) -> str:
    """Return a value as operators see it: a text as it is, everything else as JSON."""
    if isinstance(value, str):
        return value
    try:
        return msgspec.json.encode(value).decode()
    except TypeError:  # msgpack carries more than JSON
        return repr(value)


def encode_values(values: Iterable[Any]) -> list[bytes]:
    """Encode values as msgpack.

    Raises UsageError for None, for a type that msgpack can't carry, and for a value over `VALUE_BYTES_MAX`.
    """
    try:
        encoded = list(map(_encode, values))
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise UsageError(f"a value can't be stored: {exc}; values are what msgpack carries") from exc
    if NO_VALUE in encoded:
        raise UsageError("None can't be a value: use remove() to delete an entry")
    if encoded and (size := max(map(len, encoded))) > VALUE_BYTES_MAX:
        raise UsageError(f"a value of {size} bytes is too large: a value may have {VALUE_BYTES_MAX} bytes")
    return encoded


def encode_value(value: Any) -> bytes:
    """Encode one value; see `encode_values`."""
    return encode_values((value,))[0]


def encode_argument(argument: Any) -> bytes:
    """Encode a callback argument; empty for None, which says that there is none.

    Raises UsageError for what msgpack can't carry, and for more than `ARGUMENT_BYTES_MAX`.
    """
    if argument is None:
        return b""
    try:
        encoded = _encode(argument)
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise UsageError(f"callback_argument can't be carried: {exc}; give what msgpack carries") from exc
    check_argument(encoded)
    return encoded


def check_argument(encoded: bytes) -> None:
    """Raise UsageError for an encoded callback argument that is too large."""
    if len(encoded) > ARGUMENT_BYTES_MAX:
        raise UsageError(f"a callback argument of {len(encoded)} bytes is too large: it may have {ARGUMENT_BYTES_MAX}")


def bucket_of(key: Key, total_num_buckets: int) -> BucketId:
    """Return the bucket of a key."""
    return BucketId(crc32(_key_bytes(key)) % total_num_buckets)


def buckets_of(keys: Sequence[Key], total_num_buckets: int) -> list[BucketId]:
    """Return the bucket of every key."""
    kinds = set(map(type, keys))
    data: Iterable[bytes]
    if kinds == {str}:
        data = map(str.encode, keys)  # type: ignore[arg-type]
    elif kinds == {bytes}:
        data = keys  # type: ignore[assignment]
    else:
        data = map(_key_bytes, keys)
    return [crc32(each) % total_num_buckets for each in data]  # type: ignore[misc]  # BucketId is an int


def keys_of_part(keys: Sequence[Key], total_num_buckets: int, part: int, parts: int) -> list[Key]:
    """Return those of a bucket's keys that belong to one of `parts` parts.

    A key is always in the same part, so that one is neither left out nor listed twice when entries come and go between
    two parts. The keys of a part are those of two parts of twice as many: `part` and `part + parts`.
    """
    hashes = map(crc32, map(_key_bytes, keys))
    return [key for key, hashed in zip(keys, hashes, strict=True) if hashed // total_num_buckets % parts == part]


def _key_bytes(key: Key) -> bytes:
    if isinstance(key, bytes):
        return key
    return key.encode() if isinstance(key, str) else b"%d" % key
