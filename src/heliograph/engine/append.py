"""An append whose answer is lost is resolved, never guessed (architecture §2)."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing

from heliograph.engine.seam import Log
from heliograph.errors import DiskStoreFullError, FencedError, SettledTooLateError, UnavailableError
from heliograph.model.ids import Seq

RETRY_MIN_S, RETRY_MAX_S = 0.01, 0.5

_log = logging.getLogger(__name__)


async def append_settled(
    log: Log, subject: str, payload: bytes, *, expected: Seq, batch_id: str, deadline_s: float
) -> Seq:
    """Append, and find out what became of it when an answer is lost; returns the message's sequence.

    The identical append is repeated until the log acknowledges or refuses it. A refusal may be the echo of an earlier
    attempt (this call's, or the caller's own with the same `batch_id`) that was written, so the message that follows
    `expected` decides: there is only one, however many a successor has appended since. No attempt can be written late:
    after a refusal the subject's last sequence is never `expected` again.

    A read that shows nothing after `expected` decides nothing: in an engine of several nodes it may be answered by one
    that was the log's primary and does not know what its successor took (decision 5). It is read again.

    Raises FencedError when another message follows `expected`, SettledTooLateError when the one that did was cut from
    the log meanwhile (by others, who have it in a snapshot), UnavailableError when `deadline_s` passes first
    (the outcome is still unknown), UsageError as `Log.append` does. That the engine has no room for an attempt does not
    tell whether an earlier one was written, so that is no answer either. Attempts are paced without jitter: while the
    engine is away they fail without reaching it, and what comes back together is spread by the reconnection.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + deadline_s
    delay_s = RETRY_MIN_S
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                return await _append_or_read_back(log, subject, payload, expected, batch_id)
        except (UnavailableError, DiskStoreFullError, TimeoutError) as exc:
            if loop.time() + delay_s >= deadline:
                raise UnavailableError(
                    f"no answer within {deadline_s:g} s to the append of batch {batch_id} after {expected} of {subject}"
                ) from exc
            _log.debug("append_retried subject=%s batch=%s reason=%s", subject, batch_id, exc)
        await asyncio.sleep(delay_s)
        delay_s = min(delay_s * 2, RETRY_MAX_S)


async def _append_or_read_back(log: Log, subject: str, payload: bytes, expected: Seq, batch_id: str) -> Seq:
    try:
        return await log.append(subject, payload, expected=expected, batch_id=batch_id)
    except FencedError:
        async with aclosing(log.scan([subject], after=expected)) as entries:
            async for follower, *_ in entries:
                if follower.batch_id == batch_id:
                    return follower.seq
                if follower.previous != expected:
                    raise SettledTooLateError(
                        f"the log of {subject} was cut after {expected}: whether batch {batch_id} followed is unknown"
                    ) from None
                raise
        raise UnavailableError(
            f"what refused batch {batch_id} after {expected} of {subject} is not shown yet"
        ) from None
