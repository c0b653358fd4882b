"""Two sites at work while strangers throw all they have at every port of one: they are refused, and nobody notices."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest

from heliograph.link.frames import PREFACE, Kind, frame_header
from heliograph.link.hello import Hello, encode_hello
from heliograph.model.ids import Address
from tests.system.scenarios import assert_all_there, connect_sites
from tests.system.sites import HOST, Site, Sites
from tests.system.waiting import PATIENCE_S
from tests.system.writers import Writer, progress, writing

REFUSED_S = 1.0
BUSY_S = 2.0
"""What a busy machine may add."""
REGIONS = {"alone": ("PARTITION", "parallel")}
HELLO = PREFACE + frame_header(Kind.HELLO, 0, encode_hello(Hello("client", "x"))) + encode_hello(Hello("client", "x"))


def garbage(address: Address) -> float:
    return refused(address, b"\x00\x01\x02" * 1000)


def tls_hello(address: Address) -> float:
    return refused(address, bytes.fromhex("160301020001000001fc0303") + bytes(500))


def oversize(address: Address) -> float:
    """A first frame that announces 16 MB; the admin port takes it for no HTTP."""
    return refused(address, PREFACE + (16_000_000).to_bytes(4, "big") + bytes([Kind.HELLO]) + bytes(8))


def too_new(address: Address) -> float:
    return refused(address, PREFACE[:-1] + b"\x07")


def slow_loris(address: Address) -> float:
    """A byte of what a port wants to hear, every tenth of a second."""
    began = time.monotonic()
    words = b"GET /api/v1/ping HTTP/1.1\r\n" if address.port in _http else HELLO
    with socket.create_connection((address.host, address.port), timeout=10) as connection:
        connection.settimeout(0.1)
        for word in words * 10:
            with suppress(TimeoutError):
                try:
                    connection.sendall(bytes([word]))
                    if connection.recv(4096) == b"":
                        break
                except ConnectionError:
                    break
        else:
            pytest.fail(f"{address} listens to a slow peer for ever")
    return time.monotonic() - began


def half_open(address: Address) -> float:
    return refused(address, b"")


def port_scan(address: Address) -> float:
    began = time.monotonic()
    for _ in range(20):
        socket.create_connection((address.host, address.port), timeout=10).close()
    return time.monotonic() - began


_http: set[int] = set()
ATTACKS: tuple[Callable[[Address], float], ...] = (
    garbage, tls_hello, oversize, too_new, slow_loris, half_open, port_scan
)  # fmt: skip


def refused(address: Address, data: bytes) -> float:
    """Send something and return how long it took until the port hung up."""
    with socket.create_connection((address.host, address.port), timeout=10) as connection:
        began = time.monotonic()
        try:
            connection.sendall(data)
            while connection.recv(65_536):
                pass
        except ConnectionError:
            pass
        return time.monotonic() - began


@contextmanager
def flooded(addresses: list[Address]) -> Iterator[None]:
    """Keep making silent connections to every port."""
    stopping = threading.Event()

    def flood(address: Address) -> None:
        held: list[socket.socket] = []
        while not stopping.wait(0.005):
            with suppress(OSError):
                held.append(socket.create_connection((address.host, address.port), timeout=1))
            if len(held) > 200:
                held.pop(0).close()
        for each in held:
            each.close()

    threads = [threading.Thread(target=flood, args=[address]) for address in addresses]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def ports_of(site: Site) -> dict[str, Address]:
    (server,) = site.live_servers()
    assert server.receiver is not None
    http = urlsplit(site.view().http_url).port
    assert http is not None
    _http.add(http)
    return {
        "locator": site.address,
        "server": server.address,
        "receiver": server.receiver.address,
        "admin": Address(HOST, http),
    }


def test_strangers_are_refused_while_data_flows(sites: Sites) -> None:
    here, there = sites.start({1: 1, 2: 1})
    connect_sites([here, there], {1: [2]}, REGIONS)
    ports = ports_of(there)
    writers = [Writer(here.address, "alone", f"w{number}") for number in (1, 2)]
    with writing(writers):
        progress(writers, 20, within_s=PATIENCE_S)
        for name, address in ports.items():
            for attack in ATTACKS:
                took = attack(address)
                assert took < REFUSED_S + BUSY_S, f"{attack.__name__} at the {name} port"
        with flooded(list(ports.values())):
            progress(writers, 50, within_s=PATIENCE_S)
            assert there.run("list members").status == "OK"
    assert not [error for writer in writers for error in writer.errors]
    assert_all_there(writers, here, there)
    for daemon, port in ((there.locator, "admin"), (there.locator, "locator"), (there.servers[0], "server")):
        log = next(daemon.directory.glob("*.log")).read_text()
        word = "HTTP connection refused" if port == "admin" else r"(?<!HTTP )connection refused"
        lines = re.findall(rf"{word} .*reason=.*", log)
        assert lines, f"no reason in the log of {daemon.name}"
        assert len(lines) < 100, "a line for every stranger"
