"""The loop rule, walked through whole topologies: who gets an event, how often, and that it always stops."""

from __future__ import annotations

from collections import Counter, deque

import msgspec
import pytest

from heliograph.gateway.loops import is_for, outgoing
from heliograph.model.batch import Part
from tests.gateway.builders import part_of

Senders = dict[int, tuple[int, ...]]
"""Site -> the sites that the senders of its region lead to."""


def deliveries(senders: Senders, birth: int) -> Counter[int]:
    """Send one event born at `birth` along every sender; returns how often each site received it."""
    received: Counter[int] = Counter()
    logs: deque[tuple[int, Part]] = deque([(birth, part_of("k", origin=birth))])
    while logs:
        site, part = logs.popleft()
        for remote in senders[site]:
            if is_for(part, remote):
                received[remote] += 1
                assert sum(received.values()) < 100, "the event goes round for ever"
                logs.append((remote, outgoing(part, 7, 42, tuple(sorted(senders[site])))))
    return received


def mesh(count: int) -> Senders:
    return {site: tuple(other for other in range(1, count + 1) if other != site) for site in range(1, count + 1)}


def ring(count: int) -> Senders:
    return {site: (site % count + 1,) for site in range(1, count + 1)}


def star(count: int) -> Senders:
    return {1: tuple(range(2, count + 1)), **dict.fromkeys(range(2, count + 1), (1,))}


def chain(count: int) -> Senders:
    return {site: tuple(n for n in (site - 1, site + 1) if 1 <= n <= count) for site in range(1, count + 1)}


@pytest.mark.parametrize("topology", [mesh, ring, star, chain])
@pytest.mark.parametrize("count", [2, 3, 4, 6])
def test_every_other_site_gets_every_event_exactly_once(topology: object, count: int) -> None:
    senders: Senders = topology(count)  # type: ignore[operator]
    for birth in senders:
        assert deliveries(senders, birth) == dict.fromkeys(senders.keys() - {birth}, 1)


def test_two_ways_to_one_site_deliver_twice_and_stop() -> None:
    diamond = {1: (2, 3), 2: (4,), 3: (4,), 4: ()}
    assert deliveries(diamond, 1) == {2: 1, 3: 1, 4: 2}


def test_a_ring_with_a_chord_stops() -> None:
    hybrid = {1: (2, 3), 2: (3,), 3: (1,), 4: ()}
    for birth in (1, 2, 3):
        assert deliveries(hybrid, birth).keys() == {1, 2, 3} - {birth}


def test_nobody_takes_a_silent_part() -> None:
    part = msgspec.structs.replace(part_of("k", origin=1), silent=True)
    assert not any(is_for(part, site) for site in range(256))


def test_an_outgoing_part_names_its_birth_and_keeps_it_afterwards() -> None:
    first = outgoing(msgspec.structs.replace(part_of("k", origin=1), argument=b"why"), 7, 42, (2, 3))
    assert (first.birth_bucket, first.birth_seq, first.recipients) == (7, 42, (2, 3))
    second = outgoing(first, 9, 4711, (1, 4))
    assert (second.birth_bucket, second.birth_seq, second.recipients) == (7, 42, (1, 2, 3, 4))
    assert second.columns is first.columns
    assert second.argument == first.argument == b"why"
