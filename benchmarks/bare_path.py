"""The bare path from a put to the other site's log: what `helio bench wan` is measured against (`compare.py`).

Two sites on this machine, one process and one JetStream engine each, both logs on disk. It does the least that a site
must do and nothing else: route entries to fenced buckets, commit each bucket's entries in groups to the site's log,
ship the bytes that were appended, check versions at the other site, append there, acknowledge. There is no membership,
no API, no lane and no handling of failures, and nothing of heliograph is used, so that both can't change together.

    python benchmarks/bare_path.py [--events=1000000] [--put-all=100] [--clients=16]

prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import nats
import uvloop
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import StorageType, StreamConfig

BUCKETS = 16
KEYS = 200_000
VALUE_BYTES = 100
HOST = "127.0.0.1"
HEAD, ACK = struct.Struct(">IQ"), struct.Struct(">Q")
"""Before a batch: its bytes and its id. An acknowledgement: the id."""
LINK_BYTES = 8 << 20

Batch = tuple[int, int, list[bytes], list[bytes], list[int]]
"""Bucket, site of birth, keys, values, stamps."""
encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Batch).decode
Ship = Callable[[bytes, int], None]


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server((HOST, 0)) as taken:
        return int(taken.getsockname()[1])


def cpu_seconds() -> float:
    """Return what this process has used of the processors."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return round(usage.ru_utime + usage.ru_stime, 2)


class Engine:
    """A `nats-server` in a directory of its own, for one site."""

    def __enter__(self) -> Self:
        self._directory = Path(tempfile.mkdtemp())
        self._port = free_port()
        conf = self._directory / "nats.conf"
        store = json.dumps(str(self._directory / "jetstream"))
        conf.write_text(f'listen: "{HOST}:{self._port}"\njetstream {{ store_dir: {store} }}\nmax_payload: 8MB\n')
        binary = shutil.which("nats-server", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        if binary is None:
            raise SystemExit("no nats-server beside this Python or on PATH: run `make .venv/ready`")
        silent = subprocess.DEVNULL
        self._process = subprocess.Popen([binary, "-c", str(conf)], stdout=silent, stderr=silent)  # noqa: S603
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    async def log(self) -> tuple[Client, JetStreamContext]:
        """Connect, and create the stream that is the site's log."""
        while True:
            try:
                socket.create_connection((HOST, self._port)).close()
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
        client = await nats.connect(f"nats://{HOST}:{self._port}", pending_size=64 << 20)
        log = client.jetstream()
        await log.add_stream(StreamConfig(name="L", subjects=["l.*"], storage=StorageType.FILE))
        return client, log


class Bucket:
    """A fenced bucket: one append in flight, and what arrives meanwhile is the next one."""

    def __init__(self, number: int, log: JetStreamContext, site: int, ship: Ship | None = None) -> None:
        self.values: dict[bytes, bytes] = {}
        self._versions: dict[bytes, int] = {}
        self._number, self._log, self._site, self._ship = number, log, site, ship
        self._clock = self._last = 0
        self._keys: list[bytes] = []
        self._new: list[bytes] = []
        self._stamps: list[int] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._flushing: asyncio.Task[None] | None = None

    def put_all(self, keys: Sequence[bytes], values: Sequence[bytes]) -> asyncio.Future[None]:
        """Put entries; the future is done when they are in the log."""
        first = max(time.time_ns(), self._clock + 1)
        self._clock = first + len(keys)
        return self._submit(keys, values, range(first, self._clock))

    def apply(self, keys: Sequence[bytes], values: Sequence[bytes], stamps: Sequence[int]) -> asyncio.Future[None]:
        """Take what is newer of another site's entries; the future is done when it is in the log."""
        known = self._versions.get
        newer = [place for place, key in enumerate(keys) if known(key, 0) < stamps[place]]
        if len(newer) < len(keys):
            keys, values = [keys[place] for place in newer], [values[place] for place in newer]
            stamps = [stamps[place] for place in newer]
        return self._submit(keys, values, stamps)

    def _submit(self, keys: Sequence[bytes], values: Sequence[bytes], stamps: Sequence[int]) -> asyncio.Future[None]:
        self._keys += keys
        self._new += values
        self._stamps += stamps
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())
        return waiter

    async def _flush(self) -> None:
        while self._waiters:
            keys, values, stamps, waiters = self._keys, self._new, self._stamps, self._waiters
            self._keys, self._new, self._stamps, self._waiters = [], [], [], []
            if keys:
                data = encode((self._number, self._site, keys, values, stamps))
                headers = {"Nats-Expected-Last-Subject-Sequence": str(self._last)}
                self._last = (await self._log.publish(f"l.{self._number}", data, headers=headers)).seq
                self.values.update(zip(keys, values, strict=True))
                self._versions.update(zip(keys, stamps, strict=True))
                if self._ship is not None:
                    self._ship(data, len(keys))
            for waiter in waiters:
                waiter.set_result(None)
        self._flushing = None


async def receiving_site(port: int, conn: Connection) -> None:
    """Append what the other site ships, until it closes the link."""
    with Engine() as engine:
        client, log = await engine.log()
        buckets = [Bucket(number, log, 2) for number in range(BUCKETS)]
        closed = asyncio.Event()

        async def link(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    size, batch = HEAD.unpack(await reader.readexactly(HEAD.size))
                    number, _, keys, values, stamps = decode(await reader.readexactly(size))
                    done = buckets[number].apply(keys, values, stamps)
                    done.add_done_callback(lambda _, batch=batch: writer.write(ACK.pack(batch)))
            except asyncio.IncompleteReadError:
                closed.set()

        await asyncio.start_server(link, HOST, port, limit=LINK_BYTES)
        conn.send("ready")
        await closed.wait()
        conn.send({"entries": sum(len(bucket.values) for bucket in buckets), "cpu_seconds": cpu_seconds()})
        await client.close()


class Shipping:
    """The link to the other site: what is on it, and how much has been acknowledged."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._in_flight: dict[int, int] = {}
        self._batches = 0

    def ship(self, data: bytes, count: int) -> None:
        """Send what was appended."""
        self._batches += 1
        self._in_flight[self._batches] = count
        self._writer.write(HEAD.pack(len(data), self._batches))
        self._writer.write(data)

    async def acknowledged(self, events: int) -> None:
        """Wait until so many events are in the other site's log."""
        while events > 0:
            events -= self._in_flight.pop(ACK.unpack(await self._reader.readexactly(ACK.size))[0])


async def sending_site(port: int, events: int, put_all: int, clients: int, conn: Connection) -> None:
    """Put entries as fast as the log takes them, and tell how long that and the shipping took."""
    with Engine() as engine:
        reader, writer = await asyncio.open_connection(HOST, port, limit=LINK_BYTES)
        client, log = await engine.log()
        shipping = Shipping(reader, writer)
        buckets = [Bucket(number, log, 1, shipping.ship) for number in range(BUCKETS)]
        value = os.urandom(VALUE_BYTES)
        begun = 0

        async def put(number: int) -> None:
            nonlocal begun
            place = number * 1_000_003
            while begun < events:
                begun += put_all
                parts: list[list[bytes]] = [[] for _ in range(BUCKETS)]
                for _ in range(put_all):
                    key = b"flight:%d" % (place % KEYS)
                    place += 7919
                    parts[zlib.crc32(key) % BUCKETS].append(key)
                for done in [buckets[n].put_all(keys, [value] * len(keys)) for n, keys in enumerate(parts) if keys]:
                    await done

        acknowledged = asyncio.create_task(shipping.acknowledged(events))
        start = time.perf_counter()
        await asyncio.gather(*map(put, range(clients)))
        put_s = time.perf_counter() - start
        await acknowledged
        wan_s = time.perf_counter() - start
        conn.send(
            {
                "events": begun,
                "put_all": put_all,
                "clients": clients,
                "put_events_per_second": round(begun / put_s),
                "wan_events_per_second": round(begun / wan_s),
                "cpu_seconds": cpu_seconds(),
                "entries": sum(len(bucket.values) for bucket in buckets),
            }
        )
        writer.close()
        await client.close()


def receive(port: int, conn: Connection) -> None:
    """Be the receiving site's process."""
    uvloop.run(receiving_site(port, conn))


def send(port: int, events: int, put_all: int, clients: int, conn: Connection) -> None:
    """Be the sending site's process."""
    uvloop.run(sending_site(port, events, put_all, clients, conn))


def main() -> None:
    """Run both sites and print what they moved."""
    parser = argparse.ArgumentParser(description="The bare path from a put to the other site's log.")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--put-all", type=int, default=100)
    parser.add_argument("--clients", type=int, default=16)
    options = parser.parse_args()
    events = -(-options.events // options.put_all) * options.put_all
    port = free_port()
    from_receiver, at_receiver = multiprocessing.Pipe()
    from_sender, at_sender = multiprocessing.Pipe()
    receiver = multiprocessing.Process(target=receive, args=(port, at_receiver))
    receiver.start()
    from_receiver.recv()
    sender = multiprocessing.Process(target=send, args=(port, events, options.put_all, options.clients, at_sender))
    sender.start()
    sent, received = from_sender.recv(), from_receiver.recv()
    sender.join()
    receiver.join()
    sent["converged"] = sent["entries"] == received["entries"]
    sent["receiver_cpu_seconds"] = received["cpu_seconds"]
    print(json.dumps(sent))  # noqa: T201  (the program's output)


if __name__ == "__main__":
    main()
