"""One question to one process over its link port, from a command."""

from __future__ import annotations

import asyncio
import os
from typing import TypeVar

from heliograph.errors import PeerError
from heliograph.link.hello import Hello
from heliograph.link.messages import Reply, Request
from heliograph.model.ids import Address
from heliograph.net.link import call_once
from heliograph.net.real import RealNetwork

ASK_TIMEOUT_S = 5.0
T = TypeVar("T", bound=Reply)


def ask(address: Address, message: Request, kind: type[T]) -> T:
    """Ask and return the answer of that kind.

    Raises UnavailableError when nobody answers within `ASK_TIMEOUT_S`, PeerError when it is no heliograph process.
    """
    hello = Hello(role="operator", name=f"gfsh-{os.getpid()}")
    reply = asyncio.run(call_once(RealNetwork(), address, hello, message, timeout_s=ASK_TIMEOUT_S))
    if not isinstance(reply, kind):
        raise PeerError(f"{address} answered {type(reply).__name__} to {type(message).__name__}")
    return reply
