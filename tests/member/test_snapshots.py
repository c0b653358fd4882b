from __future__ import annotations

import pytest

from heliograph.bucket.view import BucketView
from heliograph.errors import PeerError
from heliograph.member.snapshots import SnapshotStore
from heliograph.model.ids import Seq
from tests.member.copies import Members, simulate


def view_at(seq: int) -> BucketView:
    view = BucketView()
    view.seq, view.versions, view.values = Seq(seq), {"k": seq << 8}, {"k": b"%d" % seq}
    return view


def test_the_newest_snapshot_is_found_and_the_older_ones_are_gone() -> None:
    async def scenario(members: Members) -> None:
        blobs = await (await members.join("a")).client.open_blobs("snapshots")
        store = SnapshotStore(blobs)
        assert await store.newest("r", 0) == {}
        for seq in (5, 9):
            size = await store.store("r", 0, 3, view_at(seq))
        await store.store("r", 0, 4, view_at(7))
        await store.store("r2", 0, 3, view_at(70))
        await blobs.put("r.notes", b"an operator's own")
        assert await blobs.names() == ["r.0.3.9", "r.0.4.7", "r.notes", "r2.0.3.70"]
        assert await store.newest("r", 0) == {3: 9, 4: 7}
        found = await store.load("r", 0, 3, Seq(9))
        assert found is not None
        assert (found[0].values, found[1]) == ({"k": b"9"}, size)
        assert await store.load("r", 0, 3, Seq(5)) is None

    simulate(scenario)


def test_a_snapshot_that_comes_late_hides_no_newer_one() -> None:
    async def scenario(members: Members) -> None:
        store = SnapshotStore(await (await members.join("a")).client.open_blobs("snapshots"))
        await store.store("r", 0, 3, view_at(9))
        await store.store("r", 0, 3, view_at(5))
        assert await store.newest("r", 0) == {3: 9}

    simulate(scenario)


def test_the_snapshots_of_a_destroyed_region_are_not_those_of_the_next_of_its_name() -> None:
    async def scenario(members: Members) -> None:
        blobs = await (await members.join("a")).client.open_blobs("snapshots")
        store = SnapshotStore(blobs)
        await store.store("r", 0, 3, view_at(9))
        await store.store("r", 1, 2, view_at(12))
        assert await store.newest("r", 1) == {2: 12}
        assert await store.regions() == {("r", 0), ("r", 1)}
        await store.forget("r", 0)
        assert await blobs.names() == ["r.1.2.12"]

    simulate(scenario)


def test_a_damaged_snapshot_is_no_empty_one() -> None:
    async def scenario(members: Members) -> None:
        blobs = await (await members.join("a")).client.open_blobs("snapshots")
        await blobs.put("r.0.3.9", b"damaged")
        with pytest.raises(PeerError, match="malformed snapshot"):
            await SnapshotStore(blobs).load("r", 0, 3, Seq(9))

    simulate(scenario)
