"""The load's keys are those of the reference, and its clients do exactly as many put_alls as asked."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import Any, cast

import pytest

from heliograph.errors import UnavailableError
from heliograph.gfsh.bench.load import KEYS, KeySequence, run_load
from heliograph.gfsh.bench.measuring import percentile
from heliograph.gfsh.bench.settings import WanSettings

SEQUENCE = KeySequence()


class FakeRegion:
    def __init__(self) -> None:
        self.put: list[dict[str, bytes]] = []
        self.under_way = self.most_under_way = 0

    async def put_all(self, entries: dict[str, bytes]) -> None:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        self.put.append(entries)


def test_batches_go_on_in_strides_and_each_client_begins_elsewhere() -> None:
    first, second = islice(SEQUENCE.batches(0, 3), 2)
    assert first == [b"flight:0", b"flight:7919", b"flight:15838"]
    assert second == [b"flight:23757", b"flight:31676", b"flight:39595"]
    assert next(SEQUENCE.batches(1, 1)) == [b"flight:3"]


def test_one_client_comes_by_every_key() -> None:
    assert len(set(next(SEQUENCE.batches(5, KEYS)))) == KEYS


def test_a_batch_goes_on_at_the_beginning_where_the_keys_end() -> None:
    batches = SEQUENCE.batches(0, KEYS - 1)
    next(batches)
    assert next(batches)[:2] == [b"flight:192081", b"flight:0"]


def test_concurrent_clients_share_the_put_alls() -> None:
    region = FakeRegion()
    asyncio.run(run_load(cast(Any, region), SEQUENCE, clients=[0, 1, 2], operations=10, put_all=4, value_size=20))
    assert [len(entries) for entries in region.put] == [4] * 10
    assert region.most_under_way == 3
    values = {value for entries in region.put for value in entries.values()}
    assert len(values) == 10
    assert set(map(len, values)) == {20}


def test_some_of_the_operations_get() -> None:
    class Readable(FakeRegion):
        def __init__(self) -> None:
            super().__init__()
            self.got: list[int] = []

        async def get(self, key: bytes) -> None:
            self.got.append(1)

        async def get_all(self, keys: list[bytes]) -> None:
            self.got.append(len(keys))

    for put_all in (1, 4):
        region = Readable()
        sequence = KeySequence(7_919 * 2)
        load = run_load(
            cast(Any, region), sequence, clients=[0, 1], operations=200, put_all=put_all, value_size=9, get_percent=30
        )
        samples = asyncio.run(load)
        assert region.got == [put_all] * 60
        assert (len(samples.gets), len(samples.puts), len(region.put)) == (60, 140, 140)


def test_a_client_that_fails_ends_the_load_with_its_own_error() -> None:
    class Failing(FakeRegion):
        async def put_all(self, entries: dict[str, bytes]) -> None:
            raise UnavailableError(f"no {len(entries)} entries today")

    with pytest.raises(UnavailableError, match="no 4 entries"):
        asyncio.run(run_load(cast(Any, Failing()), SEQUENCE, clients=[0, 1], operations=9, put_all=4, value_size=1))


def test_events_are_rounded_up_to_whole_put_alls() -> None:
    assert WanSettings(events=1_001, put_all=100).put_alls == 11


def test_percentiles_are_samples_by_nearest_rank() -> None:
    samples = [float(number) for number in range(200, 0, -1)]
    assert (percentile(samples, 50), percentile(samples, 99), percentile(samples, 100)) == (100.0, 198.0, 200.0)
    assert percentile([3.0], 99) == 3.0
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 50)
