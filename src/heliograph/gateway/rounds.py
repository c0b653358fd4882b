"""Core: until when no site can send an older event any more, agreed in rounds without trusting each other's clocks.

A site's *round* k begins when every other site has completed k - 1. The site then notes its clock and where its logs
end, waits until its gateway senders have delivered the logs up to there, and says that it has completed the round.

What stands in some site's log when all begin round k has gone one step further by the end of that round, to wherever it
goes next: an acknowledged event is in the next site's log, before that site can begin round k + 1. An event visits no
site twice (`gateway.loops`), so with n sites it takes n - 1 steps at most. When all have completed round k + n, every
event that stood anywhere when they began round k is wherever it will ever be, and whatever comes still was born after
that: its stamp is no older than the clock that its site noted at the beginning of round k. The least of those clocks
is *stable*: tombstones from before it have no more to judge (docs/decisions/0018).

A site that is silent completes no round, and holds up all. One that comes new, or lost its data, takes up the number
that the others have reached; of the rounds before it knows no clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from heliograph.link.messages import SiteRound

SLACK = 1
"""Rounds beyond the steps that an event can take."""


def may_begin(own: SiteRound, others: Iterable[SiteRound | None]) -> bool:
    """Say whether a site may begin its next round; None stands for a site that has said nothing."""
    return all(other is not None and other.completed >= own.completed for other in others)


def caught_up(own: SiteRound, others: Iterable[SiteRound | None]) -> SiteRound:
    """Return the site's round after a jump to where the others are, if they are more than a round ahead."""
    ahead = max((other.completed for other in others if other is not None), default=0)
    return own if ahead <= own.completed + 1 else SiteRound(own.dsid, ahead, ())


def completed(own: SiteRound, clock_ms: int, sites: int) -> SiteRound:
    """Return the site's round after the next one, at whose beginning its clock showed `clock_ms`."""
    kept = (*own.times, clock_ms)[-_rounds_needed(sites) - 2 :]
    return SiteRound(own.dsid, own.completed + 1, kept)


def stable_ms(rounds: Collection[SiteRound | None]) -> int:
    """Return since when every event was born that can still come, in ms; 0 when that is not known.

    rounds: of all sites, the own one too.
    """
    known = [each for each in rounds if each is not None]
    if not known or len(known) < len(rounds):
        return 0
    first = min(each.completed for each in known) - _rounds_needed(len(known))
    return min(_clock_of(each, first) for each in known)


def behind(own: SiteRound, others: Iterable[tuple[int, SiteRound | None]]) -> list[int]:
    """Return the sites that the own one waits for."""
    return sorted(dsid for dsid, other in others if other is None or other.completed < own.completed)


def _rounds_needed(sites: int) -> int:
    return sites - 1 + SLACK


def _clock_of(each: SiteRound, number: int) -> int:
    position = len(each.times) - 1 - (each.completed - number)
    return each.times[position] if 0 <= position < len(each.times) else 0
