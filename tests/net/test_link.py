"""Links in every world: the two event loops over loopback sockets, and the simulated network."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest

from heliograph.errors import HeliographError, PeerError, UnavailableError, UsageError
from heliograph.link.frames import FRAME_BYTES_MAX, PREFACE, Kind, frame_header
from heliograph.link.hello import Hello, encode_hello
from heliograph.link.messages import Count, Rejected, Size, StatusQuery, Values, encode
from heliograph.model.ids import Address
from heliograph.net import connection
from heliograph.net.link import (
    BaseHandler,
    KeepAlive,
    Link,
    LinkHandler,
    LinkServer,
    call_once,
    connect_link,
    serve_links,
)
from tests.net.worlds import WORLDS, Asked, Raw, Recorder, Scenario, World, run_in, until

CLIENT, MEMBER = Hello("client", "app"), Hello("member", "server1", 2)
SENDER, RECEIVER = Hello("sender", "s2", 1), Hello("receiver", "server1", 2)
Run = Callable[[Scenario], None]


@pytest.fixture(params=WORLDS)
def run(request: pytest.FixtureRequest) -> Run:
    return lambda scenario: run_in(request.param, scenario)


@asynccontextmanager
async def serving(
    world: World, handler: LinkHandler, hello: Hello = MEMBER, keep_alive: KeepAlive = connection.KEEP_ALIVE
) -> AsyncIterator[LinkServer]:
    server = await serve_links(world.serving, world.host, 0, hello, lambda _peer: handler, keep_alive=keep_alive)
    try:
        yield server
    finally:
        await server.close()
        assert server.links == {}


@asynccontextmanager
async def linked(
    world: World,
    server: LinkServer,
    handler: LinkHandler | None = None,
    hello: Hello = CLIENT,
    keep_alive: KeepAlive = connection.KEEP_ALIVE,
) -> AsyncIterator[Link]:
    link = await connect_link(
        world.calling, at(world, server), hello, handler or BaseHandler(), timeout_s=5, keep_alive=keep_alive
    )
    try:
        yield link
    finally:
        link.close()
        await link.wait_closed()


def at(world: World, server: LinkServer) -> Address:
    return Address(world.host, server.port)


async def raw(world: World, server: LinkServer) -> tuple[asyncio.Transport, Raw]:
    return await world.calling.open(world.host, server.port, Raw)


def hello_bytes(hello: Hello) -> bytes:
    body = encode_hello(hello)
    return PREFACE + frame_header(Kind.HELLO, 0, body) + body


# --- requests ---------------------------------------------------------------------------------------------------------


def test_the_ends_know_each_other(run: Run) -> None:
    async def scenario(world: World) -> None:
        handler = Asked()
        async with serving(world, handler) as server, linked(world, server) as link:
            assert link.peer == MEMBER
            assert link.peer_address == f"{world.host}[{server.port}]"
            await link.call(Size("now", []), timeout_s=5)
            assert handler.links[0].peer == CLIENT
            assert handler.links[0] in server.links

    run(scenario)


def test_many_requests_at_once(run: Run) -> None:
    async def scenario(world: World) -> None:
        async with serving(world, Asked()) as server, linked(world, server) as link:
            asked = [Size(region, [i]) for i in range(300) for region in ("now", "later")]
            answers = await asyncio.gather(*map(link.request, asked))
            assert answers == [Count(question.buckets[0]) for question in asked]

    run(scenario)


def test_a_future_answers_when_it_is_done(run: Run) -> None:
    async def scenario(world: World) -> None:
        handler = Asked()
        async with serving(world, handler) as server, linked(world, server) as link:
            futures = [link.request(Size("future", [])) for _ in range(3)]
            await until(lambda: len(handler.waiting) == 3)
            handler.waiting[2].set_result(Count(2))
            assert await futures[2] == Count(2)
            assert not futures[0].done()
            handler.waiting[1].set_exception(UnavailableError("no primary"))
            with pytest.raises(UnavailableError, match="no primary"):
                await futures[1]
            handler.waiting[0].cancel()
            with pytest.raises(UnavailableError, match="gave the request up"):
                await futures[0]

    run(scenario)


def test_a_large_message_goes_through(run: Run) -> None:
    async def scenario(world: World) -> None:
        async with serving(world, Asked()) as server, linked(world, server) as link:
            sizes = [3_000_000, 1, 2_000_000]
            answer = await link.call(Size("large", sizes), timeout_s=30)
            assert isinstance(answer, Values)
            assert [len(value) for value in answer.values] == sizes

    run(scenario)


def test_too_large_is_refused_on_either_way(run: Run) -> None:
    async def scenario(world: World) -> None:
        async with serving(world, Asked()) as server, linked(world, server) as link:
            with pytest.raises(UsageError, match="too large"):
                await link.call(Size("large", [FRAME_BYTES_MAX]), timeout_s=30)
            with pytest.raises(UsageError, match="too large"):
                await link.call(Size("x" * FRAME_BYTES_MAX, []), timeout_s=30)
            assert await link.call(Size("now", [1]), timeout_s=5) == Count(1)

    run(scenario)


def test_failures_keep_their_class(run: Run) -> None:
    async def scenario(world: World) -> None:
        async with serving(world, Asked()) as server, linked(world, server) as link:
            with pytest.raises(UsageError, match="client app can't ask StatusQuery here"):
                await link.call(StatusQuery(), timeout_s=5)
            assert await link.call(Size("now", [1]), timeout_s=5) == Count(1)

    run(scenario)


def test_a_bug_in_a_handler_fails_its_request_and_is_reported() -> None:
    async def scenario(world: World) -> None:
        reported: list[BaseException] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: reported.append(context["exception"]))
        async with serving(world, Asked()) as server, linked(world, server) as link:
            with pytest.raises(HeliographError, match="internal error: KeyError"):
                await link.call(Size("bug", []), timeout_s=5)
            assert await link.call(Size("now", [1]), timeout_s=5) == Count(1)
        assert [type(error) for error in reported] == [KeyError]

    run_in("sim", scenario)


def test_a_bug_in_on_batch_costs_its_link_alone() -> None:
    class Broken(Recorder):
        def on_batch(self, link: Link, batch_id: int, body: bytes) -> None:
            raise ZeroDivisionError

    async def scenario(world: World) -> None:
        reported: list[BaseException] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: reported.append(context["exception"]))
        ours = Recorder()
        async with (
            serving(world, Broken(), RECEIVER) as server,
            linked(world, server, ours, SENDER) as link,
            linked(world, server, hello=SENDER) as other,
        ):
            link.send_batch(1, b"x")
            await until(ours.reasons)
            assert "internal error: ZeroDivisionError" in str(ours.reasons())
            assert not other.closed
        assert [type(error) for error in reported] == [ZeroDivisionError]

    run_in("sim", scenario)


def test_a_deadline_ends_the_wait_and_a_late_answer_is_dropped(run: Run) -> None:
    async def scenario(world: World) -> None:
        handler = Asked()
        async with serving(world, handler) as server, linked(world, server) as link:
            with pytest.raises(UnavailableError, match=r"member server1 of site 2 did not answer Size within 0.05 s"):
                await link.call(Size("future", []), timeout_s=0.05)
            await until(lambda: handler.waiting)
            handler.waiting[0].set_result(Count(1))
            assert await link.call(Size("now", [1]), timeout_s=5) == Count(1)

    run(scenario)


def test_cancelling_a_request_harms_nobody(run: Run) -> None:
    async def scenario(world: World) -> None:
        handler = Asked()
        async with serving(world, handler) as server, linked(world, server) as link:
            task = asyncio.ensure_future(link.call(Size("future", []), timeout_s=60))
            await until(lambda: handler.waiting)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            handler.waiting[0].set_result(Count(1))
            assert await link.call(Size("now", [1]), timeout_s=5) == Count(1)

    run(scenario)


def test_call_once(run: Run) -> None:
    async def scenario(world: World) -> None:
        async with serving(world, Asked()) as server:
            answer = await call_once(world.calling, at(world, server), CLIENT, Size("now", [4]), timeout_s=5)
            assert answer == Count(4)
            await until(lambda: not server.links)

    run(scenario)


# --- batches ----------------------------------------------------------------------------------------------------------


def test_batches_are_acked_and_refused(run: Run) -> None:
    async def scenario(world: World) -> None:
        theirs, ours = Recorder(), Recorder()
        async with serving(world, theirs, RECEIVER) as server, linked(world, server, ours, SENDER) as link:
            for number in (1, 2, 3):
                link.send_batch(number, b"x" * 100_000)
            await until(lambda: theirs.count("batch") == 3)
            theirs.links[0].send_refusal(2, "ClockSkewError", "an hour ahead")
            theirs.links[0].send_ack(1)
            theirs.links[0].send_ack(3, [Rejected(0, (1,), "too large")])
            await until(lambda: len(ours.heard) == 3)
            assert ours.heard == [
                ("refused", (2, "ClockSkewError", "an hour ahead")),
                ("ack", 1),
                ("refused", (3, "BadEventError", "too large")),  # to who does not keep what is rejected
            ]

    run(scenario)


def test_a_slow_receiver_holds_the_sender_back(run: Run) -> None:
    async def scenario(world: World) -> None:
        theirs, ours = Recorder(), Recorder()
        async with serving(world, theirs, RECEIVER) as server, linked(world, server, ours, SENDER) as link:
            link.send_batch(0, b"first")
            await until(lambda: theirs.links)
            theirs.links[0].pause_reading()
            theirs.links[0].pause_reading()
            sent = 1
            while link.writable:
                link.send_batch(sent, bytes(256 * 1024))
                sent += 1
                await asyncio.sleep(0.001)
            assert theirs.count("batch") == 1
            theirs.links[0].resume_reading()
            await until(lambda: ours.count("writable"))
            assert link.writable
            await until(lambda: theirs.count("batch") == sent)
            assert [number for _, number in theirs.heard] == list(range(sent))

    run(scenario)


def test_answers_that_are_not_read_stop_the_questions(run: Run) -> None:
    """An answering end holds no more replies than fit its buffer: it stops reading, and goes on when they are taken."""

    async def scenario(world: World) -> None:
        handler = Asked()
        async with serving(world, handler) as server, linked(world, server) as link:
            await link.call(Size("now", []), timeout_s=5)
            link.pause_reading()
            futures = []
            while handler.links[0].writable:
                futures.append(link.request(Size("large", [1_000_000])))
                await asyncio.sleep(0.002)
            answered = len(handler.links)
            futures += [link.request(Size("large", [1])) for _ in range(10)]
            await asyncio.sleep(0.05)
            assert len(handler.links) <= answered + 1
            link.resume_reading()
            assert len(await asyncio.gather(*futures)) == len(futures)

    run(scenario)


@pytest.mark.parametrize("how", ["large", "future"])
def test_answers_to_a_burst_of_questions_are_kept_back_until_they_are_read(run: Run, how: str) -> None:
    """All of them arrive before the first answer is put out; what waits for the peer is bounded all the same."""

    async def scenario(world: World) -> None:
        handler = Asked()
        async with serving(world, handler) as server, linked(world, server) as link:
            await link.call(Size("now", []), timeout_s=5)
            link.pause_reading()
            futures = [link.request(Size(how, [1_000_000 + n])) for n in range(100)]
            await until(lambda: len(handler.links) == 101)
            for n, waiting in enumerate(handler.waiting):
                waiting.set_result(Values([bytes(1_000_000 + n)]))
            most = 0
            for _ in range(20):
                await asyncio.sleep(0.002)
                most = max(most, handler.links[0]._transport.get_write_buffer_size())
            assert most < 4_000_000
            link.resume_reading()
            for n, answer in enumerate(await asyncio.gather(*futures)):
                assert isinstance(answer, Values)
                assert len(answer.values[0]) == 1_000_000 + n

    run(scenario)


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_refused_with_a_reason(run: Run) -> None:
    def accept(peer: Hello) -> LinkHandler:
        raise UsageError(f"{peer.name} is not welcome")

    async def scenario(world: World) -> None:
        server = await serve_links(world.serving, world.host, 0, lambda: MEMBER, accept)
        with pytest.raises(PeerError, match="refused the link: app is not welcome"):
            await connect_link(world.calling, at(world, server), CLIENT, BaseHandler(), timeout_s=5)
        await server.close()

    run(scenario)


@pytest.mark.parametrize(
    ("hello", "message"),
    [
        (Hello("sender", "s2", 2), "refused the link: .* same distributed-system-id"),
        (Hello("sender", "s2", 1, version=9, oldest=9), "refused the link: .* needs version 9 or newer"),
        (Hello("sender", "s2", 1, version=0, oldest=0), "refused the link: .* speaks version 0"),
    ],
)
def test_unfit_hellos(run: Run, hello: Hello, message: str) -> None:
    async def scenario(world: World) -> None:
        theirs, ours = Recorder(), Recorder()
        async with serving(world, theirs, RECEIVER) as server:
            with pytest.raises(PeerError, match=message):
                await connect_link(world.calling, at(world, server), hello, ours, timeout_s=5)
        assert theirs.heard == ours.heard == []

    run(scenario)


def test_a_full_server_says_so(run: Run) -> None:
    async def scenario(world: World) -> None:
        server = await serve_links(world.serving, world.host, 0, MEMBER, lambda _peer: BaseHandler(), links_max=1)
        async with linked(world, server) as link:
            with pytest.raises(UnavailableError):
                await connect_link(world.calling, at(world, server), CLIENT, BaseHandler(), timeout_s=5)
            assert not link.closed
            assert server.by_role() == {CLIENT.role: 1}
        await until(lambda: not server.links)
        assert server.by_role() == {}
        async with linked(world, server):
            pass
        await server.close()

    run(scenario)


def test_nobody_listens(run: Run) -> None:
    async def scenario(world: World) -> None:
        server = await serve_links(world.serving, world.host, 0, MEMBER, lambda _peer: BaseHandler())
        await server.close()
        with pytest.raises(UnavailableError, match=r"can't connect to .*\[\d+\]"):
            await connect_link(world.calling, at(world, server), CLIENT, BaseHandler(), timeout_s=5)

    run(scenario)


class Other(asyncio.Protocol):
    """A server of another kind: it answers whatever it was made to, and ignores what it hears."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        if self.answer:
            transport.write(self.answer)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", PeerError, "not heliograph"),
        (PREFACE[:-1] + b"\x05", PeerError, "speaks link protocol 5"),
        (hello_bytes(CLIENT), PeerError, "client app can't be the answering end"),
        (b"", UnavailableError, r"did not answer within 0.1 s"),
    ],
)
def test_the_other_end_is_something_else(run: Run, answer: bytes, error: type[Exception], message: str) -> None:
    async def scenario(world: World) -> None:
        protocols: list[Other] = []

        def new() -> Other:
            protocols.append(Other(answer))
            return protocols[-1]

        server = await world.serving.listen(world.host, 0, new)
        address, timeout_s = Address(world.host, server.port), 5 if answer else 0.1
        with pytest.raises(error, match=message):
            await connect_link(world.calling, address, CLIENT, BaseHandler(), timeout_s=timeout_s)
        server.close()
        for protocol in protocols:
            protocol.transport.close()

    run(scenario)


# --- strangers, silence, closing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "not heliograph"),
        (bytes(range(256)) * 40, "not heliograph"),
        (PREFACE + b"\xff" * 20, "too large"),
        (PREFACE + frame_header(Kind.HELLO, 0, b"??") + b"??", "malformed hello"),
        (PREFACE + frame_header(Kind.BATCH, 1, b"") + b"", "may not send a frame of kind batch"),
        (hello_bytes(CLIENT) + frame_header(99, 1, b""), r"unknown \(99\)"),
        (hello_bytes(CLIENT) + frame_header(Kind.BATCH, 1, b""), "client app may not send a frame of kind batch"),
    ],
)
def test_garbage_is_dropped_and_disturbs_nobody(
    run: Run, data: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(world: World) -> None:
        async with serving(world, Asked()) as server, linked(world, server) as link:
            pending = link.request(Size("later", [1]))
            transport, stranger = await raw(world, server)
            transport.write(data)
            await until(lambda: stranger.lost)
            assert await pending == Count(1)
            assert await link.call(Size("now", [1]), timeout_s=5) == Count(1)

    with caplog.at_level(logging.WARNING):
        run(scenario)
    (record,) = caplog.records
    assert re.search(reason, record.getMessage())


def test_a_connection_that_says_nothing_is_dropped(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connection, "HELLO_TIMEOUT_S", 0.5)

    async def scenario(world: World) -> None:
        async with serving(world, Asked()) as server, linked(world, server) as link:
            _, stranger = await raw(world, server)
            scanner, _ = await raw(world, server)
            scanner.close()
            await until(lambda: stranger.lost)
            assert stranger.received == b""
            assert await link.call(Size("now", [1]), timeout_s=5) == Count(1)

    with caplog.at_level(logging.WARNING):
        run(scenario)
    assert "no hello within 0.5 s" in caplog.text


def test_a_silent_peer_is_cut_off(run: Run) -> None:
    async def scenario(world: World) -> None:
        handler = Asked()
        quick = KeepAlive(interval_s=0.05, silence_s=0.2)
        async with serving(world, handler, keep_alive=quick) as server:
            _, stranger = await raw(world, server)
            transport, mute = await raw(world, server)
            transport.write(hello_bytes(CLIENT))  # and never a word again, not even a pong
            await until(lambda: mute.lost)
            assert str(handler.reasons()).startswith("['nothing was heard for ")
            assert not stranger.lost  # it has its own, longer deadline

    run(scenario)


def test_pings_keep_an_idle_link() -> None:
    async def scenario(world: World) -> None:
        async with serving(world, Asked()) as server, linked(world, server) as link:
            await asyncio.sleep(600)
            assert not link.closed
            assert len(server.links) == 1

    run_in("sim", scenario)


def test_who_holds_reading_back_does_not_call_the_other_silent() -> None:
    async def scenario(world: World) -> None:
        handler = Asked()
        async with serving(world, handler) as server, linked(world, server) as link:
            await link.call(Size("now", []), timeout_s=5)
            handler.links[0].pause_reading()
            pending = link.request(Size("now", [3]))
            await asyncio.sleep(600)
            handler.links[0].resume_reading()
            assert await pending == Count(3)

    run_in("sim", scenario)


class Slow(Raw):
    """Takes one chunk every ten seconds, and says nothing."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.pause_reading()
        asyncio.get_running_loop().call_later(10, self.transport.resume_reading)


def test_a_peer_that_takes_its_answers_slowly_lives_as_long_as_it_takes_some() -> None:
    async def scenario(world: World) -> None:
        handler = Asked()
        async with serving(world, handler) as server:
            transport, slow = await world.calling.open(world.host, server.port, Slow)
            transport.write(hello_bytes(CLIENT))
            await until(lambda: slow.received)
            for number in range(1, 9):
                body = encode(Size("large", [1_000_000]))
                transport.write(frame_header(Kind.REQUEST, number, body) + body)
                await asyncio.sleep(0.1)
            await until(handler.reasons)
            assert len(slow.received) > 2_000_000
            assert "nothing was heard" in str(handler.reasons())

    run_in("sim", scenario)


def test_closing_fails_what_waits_and_cancels_what_works(run: Run) -> None:
    async def scenario(world: World) -> None:
        handler, ours = Asked(), Recorder()
        async with serving(world, handler) as server, linked(world, server, ours) as link:
            never, future = link.request(Size("never", [])), link.request(Size("future", []))
            await until(lambda: handler.waiting)
            (their_link,) = server.links
            await server.close("maintenance")
            assert handler.cancelled == 1
            assert their_link.closed
            assert not handler.waiting[0].done()
            for request in (never, future, link.request(Size("now", []))):
                with pytest.raises(UnavailableError, match="maintenance"):
                    await request
            assert link.closed
            await link.wait_closed()
            assert ours.reasons() == [f"{world.host}[{server.port}] closed the link: maintenance"]
            assert handler.reasons() == ["maintenance"]
            handler.waiting[0].set_result(Count(1))
            for send in (lambda: link.send_batch(1, b""), lambda: link.send_ack(1), link.resume_reading):
                send()

    run(scenario)


def test_a_question_and_a_close_in_one_chunk(run: Run) -> None:
    """The answer comes after the close: there is nobody left to tell, and that is no error."""

    async def scenario(world: World) -> None:
        handler = Asked()
        async with serving(world, handler) as server:
            async with linked(world, server) as link:
                link.request(Size("now", [])).cancel()
                link.request(Size("later", [])).cancel()
            await until(lambda: handler.reasons())
            assert len(handler.links) == 2

    run(scenario)


@pytest.mark.parametrize("closing", ["server", "client"])
def test_an_orderly_close_is_no_news(run: Run, closing: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World) -> None:
        handler = Asked()
        async with serving(world, handler) as server, linked(world, server) as link:
            await link.call(Size("now", []), timeout_s=5)
            if closing == "server":
                await server.close("maintenance")
            else:
                link.close()
            await link.wait_closed()
            await until(lambda: handler.reasons())

    with caplog.at_level(logging.DEBUG, logger=connection.__name__):
        run(scenario)
    closes = [record.levelno for record in caplog.records if record.getMessage().startswith("link closed")]
    assert closes == [logging.DEBUG, logging.DEBUG]


def test_a_peer_that_hangs_up(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World) -> None:
        handler = Asked()
        async with serving(world, handler) as server:
            transport, _ = await raw(world, server)
            transport.write(hello_bytes(CLIENT))
            await until(lambda: [link for link in server.links if link.opened])
            transport.close()
            await until(handler.reasons)
            assert len(handler.reasons()) == 1
            await until(lambda: not server.links)

    with caplog.at_level(logging.INFO, logger=connection.__name__):
        run(scenario)
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert "link closed side=answering" in record.getMessage()


def test_an_unread_close_is_cut_short(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CLOSE_TIMEOUT_S", 0.1)

    async def scenario(world: World) -> None:
        theirs = Recorder()
        async with serving(world, theirs, RECEIVER) as server, linked(world, server, hello=SENDER) as link:
            link.send_batch(0, b"")
            await until(lambda: theirs.links)
            theirs.links[0].pause_reading()
            sent = 1
            while link.writable:
                link.send_batch(sent, bytes(1024 * 1024))
                sent += 1
                await asyncio.sleep(0.001)
            link.close()
            await link.wait_closed()

    run(scenario)


def test_a_peer_error_of_the_handler_closes_the_link(run: Run) -> None:
    class Picky(Recorder):
        def on_batch(self, link: Link, batch_id: int, body: bytes) -> None:
            raise PeerError("malformed batch")

    async def scenario(world: World) -> None:
        ours = Recorder()
        async with serving(world, Picky(), RECEIVER) as server, linked(world, server, ours, SENDER) as link:
            link.send_batch(1, b"")
            await until(ours.reasons)
            assert "malformed batch" in str(ours.reasons())

    run(scenario)


def test_hello_is_asked_anew_for_every_connection(run: Run) -> None:
    async def scenario(world: World) -> None:
        names = iter(("one", "two", "three"))
        server = await serve_links(
            world.serving,
            world.host,
            0,
            lambda: msgspec.structs.replace(MEMBER, name=next(names)),
            lambda _peer: BaseHandler(),
        )
        for name in ("one", "two"):
            async with linked(world, server) as link:
                assert link.peer.name == name
        await server.close()

    run(scenario)
