"""What is wrong is told clearly, and disturbs nobody: after every mistake a put at one site is read at the other."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

import heliograph
from heliograph.errors import PeerError, RegionNotFoundError, UnavailableError, UsageError
from heliograph.gfsh import asking
from heliograph.gfsh.dispatch import execute
from heliograph.gfsh.local_sites import free_ports
from heliograph.gfsh.output import Printer
from heliograph.gfsh.session import Session
from heliograph.link.frames import PREFACE, Kind, frame_header
from heliograph.link.hello import NO_SITE, Hello, encode_hello
from heliograph.model.ids import Address
from heliograph.model.keys import VALUE_BYTES_MAX
from tests.system.sites import HOST, Site, Sites
from tests.system.waiting import until

CLOSED_WITHIN_S = 10.0
PORTS = ("locator", "server", "receiver")
GARBAGE = random.Random(1).randbytes(4_000)


def greeting(kind: str) -> bytes:
    """What opens a link to a port in good order."""
    role = "sender" if kind == "receiver" else "operator"
    return PREFACE + framed(Kind.HELLO, encode_hello(Hello(role, "junk", 1 if role == "sender" else NO_SITE)))


def framed(kind: int, body: bytes) -> bytes:
    return frame_header(kind, 1, body) + body


def junk(kind: str) -> dict[bytes, bytes]:
    """What a port closes at, and why it says it does; to who speaks another language it says nothing."""
    hello = greeting(kind)
    return {
        GARBAGE: b"",
        b"GET / HTTP/1.1\r\nHost: example\r\n\r\n": b"",
        bytes.fromhex("160301020001000001fc0303") + bytes(500): b"",  # a TLS greeting
        PREFACE + b"\xff" * 64: b"a frame of 4294967295 bytes is too large",
        PREFACE + framed(Kind.HELLO, GARBAGE): b"malformed hello",
        PREFACE + framed(Kind.REQUEST, GARBAGE): b"may not send a frame of kind request",
        hello[:-3]: b"no hello within 1 s",
        hello + b"\xff" * 64: b"a frame of 4294967295 bytes is too large",
        hello + framed(99, GARBAGE): b"may not send a frame of kind unknown (99)",
        hello + framed(Kind.CLOSE, GARBAGE): b"malformed reason",
    }


@pytest.fixture(autouse=True)
def still_works(pair: Sites) -> Iterator[None]:
    """After every test both sites do their work, and nobody was restarted."""
    processes = [daemon.process for site in pair.all for daemon in site.daemons]
    yield
    assert all(daemon.running for site in pair.all for daemon in site.daemons)
    assert processes == [daemon.process for site in pair.all for daemon in site.daemons]
    here, there = pair.all
    value = random.random()
    with heliograph.connect(str(here.address)) as near, heliograph.connect(str(there.address)) as far:
        near.region("alone").put("probe", value)
        assert near.region("alone").get("probe") == value
        until(lambda: far.region("alone").get("probe") == value, "the put is at the other site")


def nobody() -> Address:
    return Address(HOST, free_ports(1))


def http_port(site: Site) -> Address:
    port = urlsplit(site.view().http_url).port
    assert port is not None
    return Address(HOST, port)


def connected(site: Site, kind: str) -> socket.socket:
    """A bare connection to a port of a site."""
    address = port_of(site, kind)
    return socket.create_connection((address.host, address.port), timeout=CLOSED_WITHIN_S)


def port_of(site: Site, kind: str) -> Address:
    (server,) = site.live_servers()
    if kind == "locator":
        return site.address
    if kind == "server":
        return server.address
    assert server.receiver is not None
    return server.receiver.address


# --- addresses


def test_an_address_where_nobody_listens() -> None:
    address = nobody()
    with pytest.raises(UnavailableError, match=r"no locator answers at .*helio start locator") as told:
        heliograph.connect(str(address)).__enter__()
    assert str(address) in str(told.value)
    result = execute(Session(Printer()), ["connect", f"--locator={address}"])
    assert result.status == "ERROR"
    assert str(address) in result.info[0]


def test_an_address_of_something_that_waits(pair: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "ASK_TIMEOUT_S", 0.5)
    address = http_port(pair.all[0])  # it takes our greeting for the beginning of a request, and waits for the rest
    with pytest.raises(UnavailableError, match=r"no locator answers at .*check .* the address") as told:
        heliograph.connect(str(address)).__enter__()
    assert str(address) in str(told.value)
    result = execute(Session(Printer()), ["connect", f"--locator={address}"])
    assert result.status == "ERROR"
    assert str(address) in result.info[0]


def greet_otherwise(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
        all_of(connection)


def test_an_address_of_something_that_talks_otherwise() -> None:
    with socket.create_server((HOST, 0)) as server, ThreadPoolExecutor(1) as pool:
        address = Address(HOST, server.getsockname()[1])
        talking = pool.submit(greet_otherwise, server)
        with pytest.raises(PeerError, match="there is no heliograph locator at") as told:
            heliograph.connect(str(address)).__enter__()
        talking.result()
    assert str(address) in str(told.value)


def test_an_address_of_a_server_instead_of_a_locator(pair: Sites) -> None:
    with pytest.raises((PeerError, UsageError), match="there is no heliograph locator at"):
        heliograph.connect(str(port_of(pair.all[0], "server"))).__enter__()


def test_a_server_without_a_locator_does_not_start() -> None:
    address = nobody()
    with pytest.raises(UnavailableError, match=r"no locator answers at .*check the address") as told:
        heliograph.Cache("lonely", locators=str(address), bind_address=HOST, server_port=0, locator_wait_time=0)
    assert str(address) in str(told.value)


# --- regions, keys and values


def test_an_unknown_region(pair: Sites) -> None:
    here = pair.all[0]
    with heliograph.connect(str(here.address)) as client:
        for call in (
            lambda: client.region("nowhere").get("k"),
            lambda: client.region("nowhere").put("k", 1),
            lambda: len(client.region("nowhere")),
        ):
            with pytest.raises(RegionNotFoundError, match=r"'nowhere' does not exist at this site \(regions: .*alone"):
                call()
    for line in (
        "put --region=nowhere --key=k --value=v",
        "get --region=nowhere --key=k",
        "locate entry --region=nowhere --key=k",
        "query --query='SELECT * FROM /nowhere'",
    ):
        result = here.run(line)
        assert result.data["Result"] == "false"
        assert "'nowhere' does not exist" in result.data["Message"]
    removed = here.run("remove --region=nowhere --key=k")
    assert removed.status == "ERROR"
    assert "'nowhere' does not exist" in removed.info[0]


def test_keys_and_values_that_cannot_be(pair: Sites) -> None:
    with heliograph.connect(str(pair.all[0].address)) as client:
        region = client.region("alone")
        for key in (1.5, None, ("a", 1), True):
            with pytest.raises(UsageError, match="key"):
                region.put(key, 1)  # type: ignore[arg-type]
        for value in (None, object()):
            with pytest.raises(UsageError):
                region.put("k", value)
        with pytest.raises(UsageError, match=str(VALUE_BYTES_MAX)):
            region.put("k", b"x" * (VALUE_BYTES_MAX + 1))
        assert "k" not in region
        largest = b"x" * (VALUE_BYTES_MAX - 16)
        region.put("k", largest)
        assert region.remove("k") == largest


def test_a_region_that_is_missing_at_the_other_site_stops_no_other_one(pair: Sites) -> None:
    here, there = pair.all
    here.do("create region --name=missing --type=PARTITION --gateway-sender-id=parallel2")
    entries = {f"k{number}": number for number in range(100)}
    with heliograph.connect(str(here.address)) as near, heliograph.connect(str(there.address)) as far:
        near.region("missing").put_all(entries)
        near.region("missing").remove("k0")
        near.region("alone").put("beside", 1)
        until(lambda: "beside" in far.region("alone"), "the other region arrives")
        until(lambda: "'missing' does not exist" in str(here.senders()), "the sender says what is wrong")
        told = here.run("status gateway-sender --id=parallel2")
        assert "'missing' does not exist" in str(told)
        there.do("create region --name=missing --type=PARTITION")
        until(here.drained, "the region arrives when it is there")
        assert dict(far.region("missing").items()) == {key: n for key, n in entries.items() if n}
    until(lambda: not any(status.error for status in here.senders()), "the sender is content again")


# --- what comes in by the ports


@pytest.mark.parametrize("kind", PORTS)
def test_junk_is_answered_by_closing(pair: Sites, kind: str) -> None:
    for sent, told in junk(kind).items():
        with connected(pair.all[1], kind) as connection:
            connection.sendall(sent)
            assert told in all_of(connection), sent[:60]


@pytest.mark.parametrize("kind", PORTS)
def test_a_garbage_body_is_answered_with_the_reason(pair: Sites, kind: str) -> None:
    answers = {Kind.REQUEST: b"does not understand the request: "}
    if kind == "receiver":
        answers[Kind.BATCH] = b"malformed batch of events: "
    for frame_kind, told in answers.items():
        with connected(pair.all[1], kind) as connection:
            connection.sendall(greeting(kind) + framed(frame_kind, GARBAGE))
            heard = b""
            while told not in heard:
                heard += (data := connection.recv(65_536))
                assert data, heard


@pytest.mark.parametrize("kind", PORTS)
def test_who_says_nothing_is_let_go(pair: Sites, kind: str) -> None:
    with connected(pair.all[1], kind) as connection:
        assert all_of(connection) == b""


def test_who_leaves_at_once_is_no_trouble(pair: Sites) -> None:
    for kind in PORTS:
        for _ in range(20):
            connected(pair.all[1], kind).close()


def all_of(connection: socket.socket) -> bytes:
    """Return what the other end says until it closes. Raises TimeoutError when it does not."""
    heard = b""
    try:
        while data := connection.recv(65_536):
            heard += data
    except ConnectionResetError:
        return heard  # it closed without reading all that we sent
    return heard
