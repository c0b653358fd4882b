"""What a link tells its owner: the calls that a connection makes when its peer says something."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Protocol

from heliograph.errors import BadEventError, UsageError
from heliograph.link import messages

if TYPE_CHECKING:
    from heliograph.net.connection import Link


class LinkHandler(Protocol):
    """What a link tells its owner. One handler may serve one link or many. Nothing here may block."""

    def on_request(self, link: Link, message: messages.Request) -> messages.Reply | Awaitable[messages.Reply]:
        """Answer a request: a reply at once, or an awaitable of one.

        A coroutine becomes a task of the link, cancelled when the link closes; a future stays its maker's. An
        exception is answered as `Failure`.
        """
        ...

    def on_batch(self, link: Link, batch_id: int, body: bytes) -> None:
        """Take an encoded WanBatch (receiver); answer with `send_ack` or `send_refusal`, now or later.

        A PeerError raised here closes the link with that reason.
        """
        ...

    def on_ack(self, link: Link, batch_id: int) -> None:
        """A batch is in the remote log (sender)."""
        ...

    def on_acked_in_part(self, link: Link, batch_id: int, rejected: Sequence[messages.Rejected]) -> None:
        """A batch is in the remote log but for these events (sender): they are lost unless they are kept now."""
        ...

    def on_refused(self, link: Link, batch_id: int, error: str, message: str) -> None:
        """A batch was turned down (sender); `error` names a class of `heliograph.errors`."""
        ...

    def on_writable(self, link: Link) -> None:
        """`link.writable` is True again."""
        ...

    def on_closed(self, link: Link, reason: str) -> None:
        """The link is gone; called once, for every link that was open."""
        ...


class BaseHandler:
    """A handler that refuses requests and ignores everything else."""

    def on_request(self, link: Link, message: messages.Request) -> messages.Reply | Awaitable[messages.Reply]:
        """Refuse."""
        raise UsageError(f"{link.peer} can't ask {type(message).__name__} here")

    def on_batch(self, link: Link, batch_id: int, body: bytes) -> None:
        """Ignore."""

    def on_ack(self, link: Link, batch_id: int) -> None:
        """Ignore."""

    def on_acked_in_part(self, link: Link, batch_id: int, rejected: Sequence[messages.Rejected]) -> None:
        """Take it for a refusal: who can't keep the rejected events must not take the batch for delivered."""
        self.on_refused(link, batch_id, BadEventError.__name__, rejected[0].error)

    def on_refused(self, link: Link, batch_id: int, error: str, message: str) -> None:
        """Ignore."""

    def on_writable(self, link: Link) -> None:
        """Ignore."""

    def on_closed(self, link: Link, reason: str) -> None:
        """Ignore."""
