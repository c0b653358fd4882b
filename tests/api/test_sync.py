"""The blocking client against real sockets: threads, closing, and addresses where no locator is."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

import heliograph
from heliograph.api.loop import LoopThread
from heliograph.api.options import Addresses
from heliograph.errors import PeerError, RegionNotFoundError, UnavailableError, UsageError
from heliograph.link.messages import Change, PutAll
from heliograph.model.ids import Address
from tests.api.site import FakeSite, hang, lose_request


@pytest.fixture
def site() -> Iterator[FakeSite]:
    loop = LoopThread("fake site")
    site = loop.run(FakeSite().start())
    yield site
    loop.close(site.close)


def threads_of_clients() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "heliograph client" in thread.name]


@contextmanager
def listening(answer: bytes | None) -> Iterator[str]:
    """A port where somebody else answers, or (None) nobody listens any more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if answer is None:
            server.close()
            yield f"127.0.0.1[{port}]"
            return

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(answer)
                while connection.recv(4096):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1[{port}]"
        thread.join(10)


def test_the_tour(site: FakeSite) -> None:
    with heliograph.connect(site.address) as client:
        assert client.regions() == ["customer"]
        customer = client.region("/customer")
        customer.put("42", {"name": "Ada"})
        assert "42" in customer
        assert len(customer) == 1
        assert repr(client) == f"<heliograph client of {site.address}>"
    assert threads_of_clients() == []


def test_many_threads_share_a_client_and_its_links(site: FakeSite) -> None:
    def work(number: int) -> int:
        region = client.region("customer")
        for step in range(10):
            region.put((number, step).__repr__(), step)
        region.put_all({f"{number}-{step}": step for step in range(100)})
        return len(region.get_all(f"{number}-{step}" for step in range(100)))

    with heliograph.connect(site.address) as client:
        with ThreadPoolExecutor(16) as threads:
            assert list(threads.map(work, range(16))) == [100] * 16
        assert len(client.region("customer")) == 16 * 110
        assert [len(server.server.links) for server in site.servers.values()] == [1, 1]


def test_a_client_inside_a_running_event_loop(site: FakeSite) -> None:
    async def main() -> object:
        with heliograph.connect(site.address) as client:
            client.region("customer")["k"] = 1
            return client.region("customer")["k"]

    assert asyncio.run(main()) == 1


def test_a_lost_link_is_opened_again(site: FakeSite) -> None:
    with heliograph.connect(site.address) as client:
        region = client.region("customer")
        for server in site.servers.values():
            server.faults[PutAll] = lose_request
        region.put_all({str(number): number for number in range(100)})
        assert len(region) == 100


def test_an_interrupted_call_leaves_the_client_as_it_was(site: FakeSite) -> None:
    with heliograph.connect(site.address) as client:
        region = client.region("customer")
        for server in site.servers.values():
            server.faults[PutAll] = hang
            server.faults[Change] = hang
        for call in (lambda: region.put("k", 1), lambda: region.put_if_absent("k", 2)):
            asked = sum((site.asked(PutAll) + site.asked(Change)).values())
            interrupter = threading.Thread(target=_interrupt_once_asked, args=(site, asked))
            interrupter.start()
            with pytest.raises(KeyboardInterrupt):
                call()
            interrupter.join()
        region.put("k", 3)
        assert region.get("k") == 3
        assert client.region("customer", timeout_s=1).put_if_absent("k", 4) == 3


def _interrupt_once_asked(site: FakeSite, asked: int) -> None:
    deadline = time.monotonic() + 10
    while sum((site.asked(PutAll) + site.asked(Change)).values()) == asked and time.monotonic() < deadline:
        time.sleep(0.001)
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)  # a signal to the process may go to another thread, which wakes nobody


def test_a_region_that_does_not_exist_is_named_with_those_that_do(site: FakeSite) -> None:
    with heliograph.connect(site.address) as client:
        with pytest.raises(RegionNotFoundError, match=r"'nowhere' does not exist .*\(regions: customer\)"):
            client.region("nowhere")
        with pytest.raises(UsageError, match="can't name a region"):
            client.region("no where")
        with pytest.raises(UsageError, match="5 can't name a region"):
            client.region(5)  # type: ignore[arg-type]


def test_after_close(site: FakeSite) -> None:
    client = heliograph.connect(site.address)
    region = client.region("customer")
    client.close()
    client.close()
    with pytest.raises(UsageError, match=r"client of 127.* is closed"):
        region.get("k")
    with pytest.raises(UsageError, match=r"client of 127.* is closed"):
        client.regions()


def test_close_ends_calls_of_other_threads(site: FakeSite) -> None:
    client = heliograph.connect(site.address)
    region = client.region("customer")
    region.put("k", 1)
    for server in site.servers.values():
        server.faults[PutAll] = hang
    asked = sum(site.asked(PutAll).values())
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(region.put, "k", 2)
        deadline = time.monotonic() + 10
        while sum(site.asked(PutAll).values()) == asked:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        client.close()
        with pytest.raises(UnavailableError, match=r"unknown whether .* closed"):
            call.result(10)


def test_nobody_listens() -> None:
    with (
        listening(None) as address,
        pytest.raises(
            UnavailableError,
            match=r"no locator answers at 127\.0\.0\.1\[\d+\]: check that it is started \(`helio start locator`\) and "
            r"the address .*refused",
        ),
    ):
        heliograph.connect(address)
    assert threads_of_clients() == []


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\x10" * 100])
def test_somebody_else_listens(answer: bytes) -> None:
    with (
        listening(answer) as address,
        pytest.raises(PeerError, match=r"there is no heliograph locator at 127\.0\.0\.1\[\d+\]: check the address"),
    ):
        heliograph.connect(address)


def test_a_server_is_no_locator(site: FakeSite) -> None:
    with pytest.raises(UsageError, match=r"no heliograph locator at .*: check the address .*ask a locator"):
        heliograph.connect(str(site.servers["server1"].info.address))


def test_the_other_locators_are_tried(site: FakeSite) -> None:
    with listening(None) as nobody, heliograph.connect(f"{nobody},{site.address}") as client:
        assert client.regions() == ["customer"]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("", "connect needs the address of a locator"),
        ("localhost", "'localhost' is not an address: write host"),
        ("localhost[99999]", "port 0 to 65535"),
        ((), "connect needs the address of a locator"),
        (5, r"locators=5: give host\[port\]"),
        (b"localhost[1]", "locators=b'localhost.1.': give host"),
    ],
)
def test_addresses_that_are_none(address: Addresses, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        heliograph.connect(address)


def test_addresses_are_texts_or_addresses_one_or_many(site: FakeSite) -> None:
    address = Address.parse(site.address)
    for locators in (site.address, [site.address], address, (address,)):
        with heliograph.connect(locators) as client:
            assert client.regions() == ["customer"]
            assert repr(client) == f"<heliograph client of {address}>"


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan"), "5", None])
def test_a_timeout_is_more_than_nothing(timeout_s: float) -> None:
    with pytest.raises(UsageError, match=f"timeout_s={timeout_s!r}: give seconds"):
        heliograph.connect("localhost[1]", timeout_s=timeout_s)


def test_importing_the_package_loads_nothing_else() -> None:
    program = (
        "import sys, heliograph; assert not {'asyncio', 'msgspec'} & sys.modules.keys();"
        "heliograph.connect, heliograph.Region, heliograph.aio.connect;"
        "assert not {'nats', 'litestar', 'uvicorn'} & sys.modules.keys();"
        "assert set(heliograph.__all__) <= set(dir(heliograph)); heliograph.Cache, heliograph.aio.Cache;"
        "assert not {'litestar', 'uvicorn'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    with pytest.raises(AttributeError, match="module 'heliograph' has no attribute 'Cash'"):
        heliograph.Cash  # noqa: B018
    with pytest.raises(AttributeError, match=r"module 'heliograph\.aio' has no attribute 'Cash'"):
        heliograph.aio.Cash  # noqa: B018
