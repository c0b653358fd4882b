"""A locator is killed, and its engine with it, while clients read and write; then it is started again."""

from __future__ import annotations

import heliograph
from heliograph.errors import UnavailableError
from heliograph.model.keys import Key
from tests.system.ledger import assert_right
from tests.system.scenarios import REGIONS, assert_all_there, connect_sites
from tests.system.sites import Sites
from tests.system.waiting import PATIENCE_S, until
from tests.system.writers import Writer, ledgers, progress, writing

READ: dict[Key, int] = {f"read.{number}": number for number in range(100)}


def test_writes_wait_and_reads_go_on_without_the_locator(sites: Sites) -> None:
    here, there = sites.start({1: 2, 2: 1})
    connect_sites([here, there], {1: [2]})
    here.do("create region --name=read --type=PARTITION_REDUNDANT")
    patient = [Writer(here.address, region, "patient") for region in REGIONS]
    hasty = [Writer(here.address, region, "hasty", timeout_s=2.0) for region in REGIONS]
    with heliograph.connect(str(here.address)) as client, writing([*patient, *hasty]):
        read = client.region("read")
        read.put_all(READ)
        progress([*patient, *hasty], 30, within_s=PATIENCE_S)
        assert here.locator.process is not None
        assert [child.name() for child in here.locator.process.children()] == ["nats-server"]
        here.locator.kill()

        def refused() -> bool:
            assert read.get_all(READ) == READ
            assert len(read) == len(READ)
            return all(writer.errors for writer in hasty)

        until(refused, "writes that can't wait fail")
        here.locator.start()
        progress([*patient, *hasty], 30, within_s=PATIENCE_S)
        assert read.get_all(READ) == READ
    assert [writer.errors for writer in patient] == [[], [], []]
    for writer in hasty:
        assert all(isinstance(error, UnavailableError) and writer.region in str(error) for error in writer.errors)
    here.wait_joined()
    assert_all_there([*patient, *hasty], here, there)


def test_writes_wait_and_reads_go_on_while_the_engine_is_frozen(sites: Sites) -> None:
    """A frozen engine refuses nothing, so that every write has to find out by itself that it gets no answer."""
    (site,) = sites.start({1: 2})
    site.do("create region --name=read --type=PARTITION_REDUNDANT", "create region --name=alone --type=PARTITION")
    patient, hasty = Writer(site.address, "alone", "patient"), Writer(site.address, "alone", "hasty", timeout_s=2.0)
    with heliograph.connect(str(site.address)) as client, writing([patient, hasty]):
        read = client.region("read")
        read.put_all(READ)
        progress([patient, hasty], 20, within_s=PATIENCE_S)
        assert site.locator.process is not None
        (engine,) = site.locator.process.children()
        engine.suspend()
        try:

            def refused() -> bool:
                assert read.get_all(READ) == READ
                return bool(hasty.errors)

            until(refused, "a write that can't wait fails")
        finally:
            engine.resume()
        progress([patient, hasty], 20, within_s=PATIENCE_S)
        assert read.get_all(READ) == READ
    assert patient.errors == []
    assert all(isinstance(error, UnavailableError) and "alone" in str(error) for error in hasty.errors)
    assert_right(ledgers([patient, hasty], "alone"), site.entries("alone"), "alone")
