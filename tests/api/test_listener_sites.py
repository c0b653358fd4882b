"""Two real sites: what is written at one reaches the listeners of the other, once, with its origin and argument."""

from __future__ import annotations

import queue
import socket
from pathlib import Path

import heliograph
from heliograph import EntryEvent
from heliograph.api.cache_config import CacheOptions
from heliograph.net.real import SystemClock

WAIT_S = 30.0


def site(directory: Path, dsid: int, remote_locators: str) -> heliograph.Cache:
    options: CacheOptions = {
        "start_locator": "127.0.0.1[0]",
        "bind_address": "127.0.0.1",
        "http_service_port": 0,
        "directory": str(directory / f"site{dsid}"),
        "distributed_system_id": dsid,
        "remote_locators": remote_locators,
    }
    return heliograph.Cache(f"app{dsid}", **options)


def brief(event: EntryEvent) -> tuple[object, ...]:
    operation = event.operation, event.key, event.old_value, event.new_value
    return *operation, event.origin, event.remote, event.callback_argument


def test_origin_and_argument_arrive_at_the_other_sites_listeners_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with site(tmp_path, 2, "") as two, site(tmp_path, 1, str(two.locators[0])) as one:
        two.create_gateway_receiver(start_port=port, end_port=port + 10, bind_address="127.0.0.1")
        there = two.create_region("customer")
        one.create_gateway_sender("to-two", remote_distributed_system_id=2, parallel=True)
        here = one.create_region("customer", gateway_sender_ids="to-two")
        with heliograph.connect(str(two.locators[0])) as client:
            told: list[queue.Queue[EntryEvent]] = [queue.Queue(), queue.Queue()]
            there.listen(told[0].put)
            client.region("customer").listen(told[1].put)
            there.put("k", "local")
            for each in told:
                event = each.get(timeout=WAIT_S)
                assert brief(event) == ("create", "k", None, "local", 2, False, None)
            while SystemClock().now_ms() <= event.timestamp_ms:
                pass  # written in one millisecond at both sites, the key would be the second one's
            here.put("k", {"n": 1}, callback_argument={"who": "Ada", "why": [1, 2]})
            here.replace("k", {"n": 2}, expected={"n": 1})
            here.put_all({"k": {"n": 3}, "l": 1}, callback_argument="both")
            here.remove("k", callback_argument=b"gone")
            here.put("last", 1)
            for each in told:
                events: list[EntryEvent] = []
                while {"k", "l", "last"} - {event.key for event in events} or len(events) < 6:
                    events.append(each.get(timeout=WAIT_S))
                of_k = [brief(event) for event in events if event.key == "k"]
                assert of_k == [
                    ("update", "k", "local", {"n": 1}, 1, True, {"who": "Ada", "why": [1, 2]}),
                    ("update", "k", {"n": 1}, {"n": 2}, 1, True, None),
                    ("update", "k", {"n": 2}, {"n": 3}, 1, True, "both"),
                    ("destroy", "k", {"n": 3}, None, 1, True, b"gone"),
                ]
                assert {brief(event) for event in events if event.key != "k"} == {
                    ("create", "l", None, 1, 1, True, "both"),
                    ("create", "last", None, 1, 1, True, None),
                }
                assert each.empty()
