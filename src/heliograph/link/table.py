"""The one table of the link protocol: who may send what, when, and where it leads.

`MOVES` says which frame may be sent and received by which side in which state; what is absent is illegal. `MAY_SEND`
narrows the open state by role: the opening end asks and ships, the answering end only answers.

The opening end speaks its hello first and then waits for the other's before it says anything else.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from heliograph.link.frames import Kind
from heliograph.link.hello import Side


class State(Enum):
    """Of a session."""

    NEW = "new"
    GREETED = "waiting for the other end's hello"
    JUDGING = "deciding on the other end's hello"
    OPEN = "open"
    CLOSED = "closed"


class Way(Enum):
    """Direction of a frame, seen from the session."""

    SENT = "sent"
    RECEIVED = "received"


Move: TypeAlias = tuple[Way, Kind]
SENT, RECEIVED = Way.SENT, Way.RECEIVED
_BOTH_WAYS: dict[Move, State] = {
    (SENT, Kind.PING): State.OPEN,
    (RECEIVED, Kind.PING): State.OPEN,
    (SENT, Kind.PONG): State.OPEN,
    (RECEIVED, Kind.PONG): State.OPEN,
    (SENT, Kind.CLOSE): State.CLOSED,
    (RECEIVED, Kind.CLOSE): State.CLOSED,
}
MOVES: dict[tuple[Side, State], dict[Move, State]] = {
    (Side.OPENER, State.NEW): {
        (SENT, Kind.HELLO): State.GREETED,
        (SENT, Kind.CLOSE): State.CLOSED,
    },
    (Side.OPENER, State.GREETED): {
        (RECEIVED, Kind.HELLO): State.OPEN,
        (RECEIVED, Kind.CLOSE): State.CLOSED,
        (SENT, Kind.CLOSE): State.CLOSED,
    },
    (Side.OPENER, State.OPEN): _BOTH_WAYS
    | {
        (SENT, Kind.REQUEST): State.OPEN,
        (RECEIVED, Kind.REPLY): State.OPEN,
        (SENT, Kind.BATCH): State.OPEN,
        (RECEIVED, Kind.ACK): State.OPEN,
        (RECEIVED, Kind.REFUSAL): State.OPEN,
    },
    (Side.ANSWERER, State.NEW): {
        (RECEIVED, Kind.HELLO): State.JUDGING,
        (SENT, Kind.CLOSE): State.CLOSED,
    },
    (Side.ANSWERER, State.JUDGING): {
        (SENT, Kind.HELLO): State.OPEN,
        (SENT, Kind.CLOSE): State.CLOSED,
        (RECEIVED, Kind.CLOSE): State.CLOSED,
    },
    (Side.ANSWERER, State.OPEN): _BOTH_WAYS
    | {
        (RECEIVED, Kind.REQUEST): State.OPEN,
        (SENT, Kind.REPLY): State.OPEN,
        (RECEIVED, Kind.BATCH): State.OPEN,
        (SENT, Kind.ACK): State.OPEN,
        (SENT, Kind.REFUSAL): State.OPEN,
    },
    (Side.OPENER, State.CLOSED): {},
    (Side.ANSWERER, State.CLOSED): {},
}

_ASK = frozenset({Kind.REQUEST})
_ANSWER = frozenset({Kind.REPLY})
MAY_SEND: dict[tuple[Side, str], frozenset[Kind]] = {
    (Side.OPENER, "client"): _ASK,
    (Side.OPENER, "operator"): _ASK,
    (Side.OPENER, "member"): _ASK,
    (Side.OPENER, "server"): _ASK,
    (Side.OPENER, "locator"): _ASK,
    (Side.OPENER, "sender"): _ASK | {Kind.BATCH},
    (Side.ANSWERER, "member"): _ANSWER,
    (Side.ANSWERER, "server"): _ANSWER,
    (Side.ANSWERER, "locator"): _ANSWER,
    (Side.ANSWERER, "receiver"): _ANSWER | {Kind.ACK, Kind.REFUSAL},
}
"""Which roles open and answer links, and what each may send beyond what everyone may (`_BOTH_WAYS`)."""

_COUNTERPART = {
    Kind.REQUEST: Kind.REPLY,
    Kind.REPLY: Kind.REQUEST,
    Kind.BATCH: Kind.ACK,
    Kind.ACK: Kind.BATCH,
    Kind.REFUSAL: Kind.BATCH,
}


def may_say(kind: Kind, *, side: Side, role: str, peer_role: str) -> bool:
    """Say whether an end of an open link may send `kind`: its role sends it, and the peer's role sends its answer."""
    counterpart = _COUNTERPART.get(kind)
    if counterpart is None:
        return True
    other = Side.ANSWERER if side is Side.OPENER else Side.OPENER
    return kind in MAY_SEND[side, role] and counterpart in MAY_SEND[other, peer_role]
