"""nats-py's exceptions, translated at the seam."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import nats.errors
from nats.js.errors import APIError

from heliograph.errors import UnavailableError, UsageError

REFUSALS = frozenset({10003, 10025, 10052, 10054, 10058, 10061, 10065, 10074})
"""Error codes (nats-server, server/errors.json): bad request, invalid JSON, invalid stream configuration, message too
large, stream name in use, replicas can't be changed, subjects of another stream, replicas without a cluster."""


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Raise nats-py's errors as heliograph's; `action` says what was tried.

    What JetStream refuses because the request can never be right (`REFUSALS`), and what is too large, is a UsageError.
    Everything else is an UnavailableError with an unknown outcome: most 4xx answers say what the engine lacks now (a
    consumer, a peer).

    nats-py swallows a cancellation that comes while it flushes (`Client._flush_pending`): the caller's task would go on
    as if nobody had cancelled it. It is raised here again.
    """
    task = asyncio.current_task()
    cancels = task.cancelling() if task is not None else 0
    try:
        yield
    except APIError as exc:
        if exc.err_code in REFUSALS:
            raise UsageError(f"the engine refused to {action}: {exc.description} (code {exc.err_code})") from exc
        reason = exc.description or "JetStream is not available"
        raise UnavailableError(f"the engine could not {action}: {reason} (code {exc.err_code})") from exc
    except nats.errors.MaxPayloadError as exc:
        raise UsageError(f"it is too large for the engine to {action}: {exc}") from exc
    except (nats.errors.Error, OSError, TimeoutError) as exc:
        reason = str(exc) or type(exc).__name__
        if isinstance(exc, nats.errors.OutboundBufferLimitError):
            reason = "there is no connection to it"
        raise UnavailableError(f"the engine gave no answer to: {action} ({reason}); is it running?") from exc
    finally:
        if task is not None and task.cancelling() > cancels:
            raise asyncio.CancelledError
