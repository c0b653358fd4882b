"""Plug-ins in real processes: a module of the operator's, a listener and filters, and a server that is killed."""

from __future__ import annotations

from pathlib import Path

import pytest

import heliograph
from tests.system.sites import Sites
from tests.system.waiting import until

MODULE = '''
import os
from pathlib import Path


class Keeper:
    """Writes keys into a file of its process; processes nothing while there is a file called `wait`."""

    def __init__(self, directory):
        self.directory = Path(directory)

    def process_events(self, events):
        if (self.directory / "wait").exists():
            return False
        with (self.directory / f"{os.getpid()}.keys").open("a") as file:
            file.writelines(f"{event.key}\\n" for event in events)
        return True


class Named:
    def before_enqueue(self, event):
        return event.key.startswith("a.")
'''
FIRST = {f"a.{number}": number for number in range(200)}
REFUSED = {f"b.{number}": number for number in range(100)}
LATER = {f"a.later.{number}": number for number in range(100)}


def test_a_listener_is_given_everything_though_a_server_is_killed(
    sites: Sites, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plugged.py").write_text(MODULE)
    wait = tmp_path / "wait"
    wait.touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    [here] = sites.start({1: 2})
    here.do(
        f"""create async-event-queue --id=q --parallel=true --listener='plugged:Keeper{{"directory": "{tmp_path}"}}'"""
        " --gateway-event-filter=plugged:Named",
        "create region --name=r --type=PARTITION_REDUNDANT --async-event-queue-id=q",
    )

    def processed() -> set[str]:
        return {key for file in tmp_path.glob("*.keys") for key in file.read_text().split()}

    def put(entries: dict[str, int]) -> None:
        with heliograph.connect(here.everywhere) as client:
            client.region("r").put_all(entries)

    put(FIRST | REFUSED)
    assert processed() == set()
    here.server("server1-2").kill()
    put(LATER)
    wait.unlink()
    until(lambda: processed() == {*FIRST, *LATER}, "the listener has processed all that its filter lets pass")
    here.stop()
