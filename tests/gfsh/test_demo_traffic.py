"""How the demo divides its keys, and that its sites' writers wait for what they update."""

from __future__ import annotations

from heliograph.gfsh.demo.traffic import CHUNK, chunks, shares

CODES = [f"A{i:04}" for i in range(2_000)]


def test_shares_overlap_in_the_contested_keys_only() -> None:
    second, third = shares(CODES, [2, 3]).values()
    contested = set(CODES[::10])
    assert set(second.updates) & set(third.updates) == contested
    assert set(second.updates) - contested
    assert set(third.updates) - contested


def test_a_site_removes_only_what_no_other_site_writes() -> None:
    second, third = shares(CODES, [2, 3]).values()
    assert second.removals
    assert not set(second.removals) & set(third.updates)
    assert set(second.removals) <= set(second.updates)
    assert len(second) == len(second.updates) + len(second.removals)


def test_some_keys_stay_as_they_were_loaded() -> None:
    updated = {code for share in shares(CODES, [2, 3]).values() for code in share.updates}
    assert 0 < len(updated) < len(CODES)


def test_updates_keep_the_order_of_the_load_so_that_a_follower_is_never_far_behind() -> None:
    for share in shares(CODES, [2, 3]).values():
        assert list(share.updates) == sorted(share.updates)


def test_chunks_cover_everything_once() -> None:
    assert [code for chunk in chunks(CODES[: CHUNK + 3]) for code in chunk] == CODES[: CHUNK + 3]
