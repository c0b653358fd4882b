"""The hello: who is at the other end, and whether the two ends can work together.

The opening end says its hello first; the answering end judges it and says its own, or closes with a reason. Both ends
judge by the same rules, so either alone is enough to refuse.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from heliograph.errors import PeerError
from heliograph.model.decoding import decode
from heliograph.model.ids import SITE_ID_MAX

VERSION = 1
"""The newest version of the messages that this release speaks."""
VERSION_OLDEST = 1
"""The oldest one that it still speaks."""
PARKING = "parking"
"""A batch may be acknowledged in part: the sender keeps what the receiver can't take."""
FEATURES: tuple[str, ...] = (PARKING,)
"""Optional abilities offered; "zstd" is a name set aside for compressed batches."""

TEXT_MAX = 255
"""Characters of a role or a name."""

NO_SITE = -1
"""dsid of who belongs to no site: a client, an operator's command."""


class Side(Enum):
    """Which end of a connection."""

    OPENER = "opening"
    ANSWERER = "answering"


class Hello(msgspec.Struct, frozen=True):
    """Identity and abilities of one end. Encoded as a map: unknown fields of a newer release are skipped.

    role: see `session.MAY_SEND`. name: of the member, locator, sender or client, for logs and messages.
    version, oldest: the range of versions spoken. features: the link uses those that both ends offer.
    filters: the transport filters that batches go through, of a gateway sender or receiver.
    credentials: of the opening end, for the answering end to see who it is; `bare` in whatever outlives the greeting.
    """

    role: str
    name: str
    dsid: int = NO_SITE
    version: int = VERSION
    features: tuple[str, ...] = FEATURES
    oldest: int = VERSION_OLDEST
    filters: tuple[str, ...] = ()
    credentials: dict[str, str] | None = None

    def __repr__(self) -> str:
        return f"<{self}>"

    def __str__(self) -> str:
        site = "" if self.dsid == NO_SITE else f" of site {self.dsid}"
        return f"{self.role} {self.name}{site}"

    @property
    def bare(self) -> Hello:
        """The same without the credentials."""
        return self if self.credentials is None else msgspec.structs.replace(self, credentials=None)


encode_hello = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Hello).decode


def decode_hello(data: bytes) -> Hello:
    """Decode a hello. Raises PeerError when it is malformed.

    Role and name are written to logs as they are, so they have to be short text of one line.
    """
    hello = decode(_decode, data, "hello")
    for text in (hello.role, hello.name):
        if len(text) > TEXT_MAX or not text.isprintable():
            raise PeerError(f"malformed hello: {text[:TEXT_MAX]!r} is longer than {TEXT_MAX}, or not printable")
    if not NO_SITE <= hello.dsid <= SITE_ID_MAX:
        raise PeerError(f"malformed hello: there is no distributed-system-id {hello.dsid}")
    return hello


def check_compatible(ours: Hello, theirs: Hello) -> None:
    """Raise PeerError, naming what to change, unless the two ends can work together.

    A site's own sender is never linked to its own receiver: events would come back to where they were born.
    """
    if theirs.oldest > ours.version:
        raise PeerError(
            f"{theirs} needs version {theirs.oldest} or newer of the messages, {ours} speaks {ours.version}: "
            f"upgrade {ours}"
        )
    if theirs.version < ours.oldest:
        raise PeerError(
            f"{theirs} speaks version {theirs.version} of the messages, {ours} needs {ours.oldest} or newer: "
            f"upgrade {theirs}"
        )
    if {ours.role, theirs.role} == {"sender", "receiver"} and ours.dsid == theirs.dsid:
        raise PeerError(
            f"{ours} and {theirs} have the same distributed-system-id: a gateway sender is linked to another site"
        )
    if {ours.role, theirs.role} == {"sender", "receiver"} and ours.filters != theirs.filters:
        raise PeerError(
            f"{ours} has {_listed(ours.filters)}, {theirs} has {_listed(theirs.filters)}: name the same ones, in the "
            "same order, at both sites (--gateway-transport-filter)"
        )


def _listed(filters: tuple[str, ...]) -> str:
    return f"the transport filters {', '.join(filters)}" if filters else "no transport filter"


def common_features(ours: Hello, theirs: Hello) -> tuple[str, ...]:
    """Return the features that both ends offer, in our order."""
    return tuple(feature for feature in ours.features if feature in theirs.features)
