"""nats-py's exceptions, translated at the seam."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import nats.errors
from nats.js.errors import APIError, ServerError, ServiceUnavailableError

from heliograph.errors import UnavailableError, UsageError


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Raise nats-py's errors as heliograph's; `action` says what was tried.

    An answer that JetStream gave on purpose (4xx) is a UsageError: the request will never be right. Everything else is
    an UnavailableError with an unknown outcome.

    nats-py swallows a cancellation that comes while it flushes (`Client._flush_pending`): the caller's task would go on
    as if nobody had cancelled it. It is raised here again.
    """
    task = asyncio.current_task()
    cancels = task.cancelling() if task is not None else 0
    try:
        yield
    except (ServiceUnavailableError, ServerError) as exc:
        raise UnavailableError(
            f"the engine could not {action}: {exc.description or 'JetStream is not available'}"
        ) from exc
    except APIError as exc:
        raise UsageError(f"the engine refused to {action}: {exc.description} (code {exc.err_code})") from exc
    except (nats.errors.Error, OSError, TimeoutError) as exc:
        reason = str(exc) or type(exc).__name__
        raise UnavailableError(f"the engine gave no answer to: {action} ({reason})") from exc
    finally:
        if task is not None and task.cancelling() > cancels:
            raise asyncio.CancelledError
