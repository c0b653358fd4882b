"""Loop prevention: which events a gateway sender ships, and what it writes on them (architecture §5).

An event carries the site of its birth and the sites it was already sent to. A sender to site N skips what was born at
N and what N was already sent; everything else it ships with all sites added that the region's senders lead to, because
each of those gets the event from here. So in a mesh nobody forwards, in a ring an event stops before it would return,
and in a star the hub forwards to every arm but the one it came from.

A sender that is stopped adds no site: others may forward the event there, and when it starts again it sends the event
itself, which the version then shows to be a duplicate. One that is paused, or whose site is away, does: its queue is
the way that the event takes. On two ways that know nothing of each other an event may travel twice; it is applied once.

What is imported without callbacks is silent: nobody ships it.
"""

from __future__ import annotations

from heliograph.model.batch import Part


def is_for(part: Part, site: int) -> bool:
    """Say whether a gateway sender to `site`, or an async event queue, takes the part."""
    return part.origin != site and site not in part.recipients and not part.silent


def outgoing(part: Part, bucket: int, seq: int, recipients: tuple[int, ...]) -> Part:
    """Return the part as it leaves this site: its way and its birth written on it, its columns untouched.

    bucket, seq: of the record that holds the part here, which is its birth when it was born here.
    recipients: the sites that the region's senders lead to, but for those that are stopped, sorted.
    """
    if part.recipients:
        recipients = tuple(sorted({*part.recipients, *recipients}))
    if part.birth_seq:
        bucket, seq = part.birth_bucket, part.birth_seq
    return Part(part.origin, recipients, bucket, seq, part.count, part.columns, part.argument, part.resolved)
