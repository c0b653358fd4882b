"""What the bytes of a batch go through on a link: the transport filters of a gateway sender and of a receiver.

    batch ──encode: first to last──> link ──decode: last to first──> batch

Both ends name the same filters in the same order, which their hellos compare (`link.hello`). Every batch goes through
them by itself: it may be sent again, and over another link.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from heliograph.errors import PeerError
from heliograph.gateway.filters import PluginFailedError


class TransportFilters:
    """Those of one gateway, in order.

    named: (name, plug-in). on_failure: told of everything that they raise: which plug-in, which method, what.
    """

    def __init__(
        self, named: Sequence[tuple[str, Any]] = (), on_failure: Callable[[str, str, Exception], None] | None = None
    ) -> None:
        self.names = tuple(name for name, _ in named)
        self._named = tuple(named)
        self._on_failure = on_failure

    def encode(self, body: bytes) -> bytes:
        """Return a batch as it goes over the link. Raises PluginFailedError."""
        for name, plugin in self._named:
            try:
                body = _bytes_of(plugin.encode(body))
            except Exception as exc:  # of users' own code
                self._tell(name, "encode", exc)
                raise PluginFailedError(f"{name} failed: encode of a batch: {type(exc).__name__}: {exc}") from exc
        return body

    def decode(self, body: bytes) -> bytes:
        """Return a batch as it was before `encode` at the other end. Raises PeerError when it can't have been that."""
        for name, plugin in reversed(self._named):
            try:
                body = _bytes_of(plugin.decode(body))
            except Exception as exc:  # of users' own code
                self._tell(name, "decode", exc)
                raise PeerError(
                    f"the gateway-transport-filter {name} can't decode the batch: {type(exc).__name__}: {exc}; "
                    "give it the same parameters at both sites"
                ) from exc
        return body

    def _tell(self, name: str, method: str, exc: Exception) -> None:
        if self._on_failure is not None:
            self._on_failure(name, method, exc)


def _bytes_of(given: object) -> bytes:
    """Return what a filter made. Raises TypeError when that is no bytes."""
    if isinstance(given, bytes):
        return given
    if isinstance(given, bytearray | memoryview):
        return bytes(given)
    raise TypeError(f"it returned {type(given).__name__}, and no bytes")
