"""A gateway sender's parked events, at one member: written before their batch counts as delivered, and sent again.

    acknowledged in part ──park──> in the registry ──> the batch counts, its cursor may move
                                        └──redrive──> a link of its own ──acknowledged──> forgotten

Redriven events leave beside the queue, as they once left, with their own versions: those decide over there, so that
what is newer by now stays, and doing it twice is harmless.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

from heliograph.engine.parked import list_parked, note_redriven, read_parked, remove_parked, write_parked
from heliograph.errors import HeliographError, UnavailableError
from heliograph.gateway.filters import PluginFailedError
from heliograph.gateway.parking import Attempt, check_room
from heliograph.gateway.retry import Backoff
from heliograph.gateway.transport import TransportFilters
from heliograph.link.messages import Redriven, Rejected, WanBatch, encode
from heliograph.member.sender_host import SenderHost
from heliograph.model.parked import ParkedEvent, ParkedInfo, ToPark
from heliograph.net.link import BaseHandler, Link, LinkHandler

LOOK_S, LOOK_SHARE = 10.0, 0.1
"""While more is parked, what is parked is counted anew that often (other members park, and operators take away), but
never for more than this share of the time: 10,000 events take some seconds.
"""
RETRY_FIRST_MS, RETRY_LIMIT_MS = 50, 2_000
REDRIVE_S = 20.0
"""How long a command to redrive may take; it is given again for the rest."""
CHUNK_EVENTS, CHUNK_BYTES = 500, 1024 * 1024

_log = logging.getLogger(__name__)


class SenderParking:
    """See the module. redriven: events that were delivered by it from here. error: why some can't be parked now."""

    def __init__(self, sender: str, host: SenderHost) -> None:
        self.redriven = 0
        self.error = ""
        self._sender = sender
        self._host = host
        self._known: dict[str, ParkedInfo] = {}
        self._look_at = 0.0
        self._parking = asyncio.Lock()

    def attempt(self) -> Attempt:
        """Return what a new attempt to park is told by."""
        return Attempt(self._host.name, self._host.clock.now_ms(), f"{self._host.rng.getrandbits(48):012x}")

    async def park(self, events: Sequence[ToPark], wanted: Callable[[], bool]) -> bool:
        """Park events; returns False when that is not `wanted` any more before it is done.

        Tries until the engine answers. Raises ParkingFullError, and UsageError when the engine takes no such entry.
        """
        backoff = Backoff(RETRY_FIRST_MS, RETRY_LIMIT_MS)
        async with self._parking:
            try:
                while wanted():
                    try:
                        await self._park(events)
                    except UnavailableError as exc:
                        if not self.error:
                            _log.warning("events not parked yet sender=%s error=%s", self._sender, exc)
                        self.error = f"{len(events)} events can't be parked yet: {exc}"
                        await asyncio.sleep(backoff.next_ms(self._host.rng.random()) / 1000)
                    else:
                        return True
            finally:
                self.error = ""
        return False

    async def _park(self, events: Sequence[ToPark]) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._look_at:
            self._known = (await list_parked(self._host.registry, self._sender)).get(self._sender, {})
            after = asyncio.get_running_loop().time()
            self._look_at = after + max(LOOK_S, (after - now) / LOOK_SHARE)
        fresh = [each for each in events if each.id not in self._known]
        check_room(list(self._known.values()), fresh)
        await write_parked(self._host.registry, self._sender, events)
        self._known.update({each.id: each.info for each in events})
        for each in fresh[:1]:
            where = (self._sender, each.info.region, each.info.key, len(fresh), each.info.error)
            _log.warning("events parked sender=%s region=%s key=%s events=%d error=%s", *where)

    # --- sending them again

    async def redrive(
        self,
        events: Sequence[str],
        connect: Callable[[LinkHandler], Awaitable[Link]],
        transport: TransportFilters,
    ) -> Redriven:
        """Send parked events again, all of them when none is named, and forget those that are taken.

        connect: opens a link to a gateway receiver. Raises what it raises, when nothing was sent.
        """
        registry, sender = self._host.registry, self._sender
        parked = (await list_parked(registry, sender)).get(sender, {})
        left = {event: "it is not parked" for event in events if event not in parked}
        wanted = {event: parked[event] for event in events or parked if event in parked}
        left |= dict.fromkeys(wanted, f"not sent within {REDRIVE_S:g} s: redrive it again")
        answers = _Answers()
        link = await connect(answers)
        delivered = 0
        try:
            async with asyncio.timeout(REDRIVE_S):
                for chunk in _chunks(wanted):
                    found = await read_parked(registry, sender, chunk)
                    left |= dict.fromkeys(chunk.keys() - found.keys(), "it is not parked any more")
                    for alike in _alike(found):
                        taken, turned_down = await self._send(link, answers, alike, transport)
                        delivered += await remove_parked(registry, sender, taken)
                        left = {event: error for event, error in {**left, **turned_down}.items() if event not in taken}
        except TimeoutError:
            pass  # `left` says so
        except HeliographError as exc:
            _log.warning("redriving interrupted sender=%s error=%s", sender, exc)
            left |= {event: str(exc) for event, error in left.items() if error.startswith("not sent")}
        finally:
            link.close("parked events were redriven")
            await link.wait_closed()
        self._look_at = 0.0
        self.redriven += delivered
        _log.info("parked events redriven sender=%s delivered=%d left=%d", sender, delivered, len(left))
        return Redriven(delivered, list(left.items()))

    async def _send(
        self, link: Link, answers: _Answers, alike: Mapping[str, ParkedEvent], transport: TransportFilters
    ) -> tuple[list[str], dict[str, str]]:
        """Send some events; returns those that are over there now, and why others are not."""
        registry, sender = self._host.registry, self._sender
        ids = list(alike)
        try:
            body = transport.encode(encode(_batch(list(alike.values()))))
        except PluginFailedError as exc:
            return [], dict.fromkeys(ids, str(exc))
        answer = await answers.send(link, body)
        if isinstance(answer, str):
            return [], dict.fromkeys(ids, answer)
        turned_down = {ids[each.item]: each.error for each in answer if 0 <= each.item < len(ids)}
        for event, error in turned_down.items():
            await note_redriven(registry, sender, event, error)
        return [event for event in ids if event not in turned_down], turned_down


class _Answers(BaseHandler):
    """What a receiver answers to batches that are sent one after the other."""

    def __init__(self) -> None:
        self._sent = 0
        self._waiting: asyncio.Future[Sequence[Rejected] | str] | None = None

    async def send(self, link: Link, body: bytes) -> Sequence[Rejected] | str:
        """Send a batch and wait for the answer: what is rejected of it, or why it is refused."""
        if link.closed:
            raise UnavailableError(f"the link to {link.peer} was lost")
        self._waiting = asyncio.get_running_loop().create_future()
        self._sent += 1
        link.send_batch(self._sent, body)
        return await self._waiting

    def _answer(self, answer: Sequence[Rejected] | str) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(answer)

    def on_ack(self, link: Link, batch_id: int) -> None:  # noqa: ARG002
        self._answer(())

    def on_acked_in_part(self, link: Link, batch_id: int, rejected: Sequence[Rejected]) -> None:  # noqa: ARG002
        self._answer(rejected)

    def on_refused(self, link: Link, batch_id: int, error: str, message: str) -> None:  # noqa: ARG002
        self._answer(f"{error}: {message}")

    def on_closed(self, link: Link, reason: str) -> None:  # noqa: ARG002
        self._answer(f"the link was lost: {reason}")


def _chunks(wanted: Mapping[str, ParkedInfo]) -> Iterator[dict[str, ParkedInfo]]:
    """Cut events into what is read at once: of one region, the oldest first."""
    ordered = sorted(wanted.items(), key=lambda each: (each[1].region, each[1].parked_ms, each[0]))
    chunk: dict[str, ParkedInfo] = {}
    size = 0
    region = ""
    for event, info in ordered:
        if chunk and (info.region != region or len(chunk) >= CHUNK_EVENTS or size + info.size > CHUNK_BYTES):
            yield chunk
            chunk, size = {}, 0
        region = info.region
        chunk[event] = info
        size += info.size
    if chunk:
        yield chunk


def _alike(found: Mapping[str, ParkedEvent]) -> list[dict[str, ParkedEvent]]:
    """Part events of one region by what a batch says once: the region may have been created anew with other buckets."""
    groups: dict[tuple[int, str], dict[str, ParkedEvent]] = {}
    for event, parked in found.items():
        groups.setdefault((parked.buckets, parked.resolver), {})[event] = parked
    return list(groups.values())


def _batch(events: Sequence[ParkedEvent]) -> WanBatch:
    first = events[0]
    return WanBatch(first.region, first.buckets, [(each.bucket, each.part) for each in events], first.resolver)
