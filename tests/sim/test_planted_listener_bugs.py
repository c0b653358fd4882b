"""Bugs planted in what listeners are told are found by the campaign, as those of `test_planted_bugs`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import pytest

from heliograph.bucket import view
from heliograph.bucket.history import History, Reread
from heliograph.model.batch import Record
from heliograph.model.ids import Seq
from tests.sim.test_planted_bugs import SEEDS_MAX, found_within, quarrels, seeds


def plant_told_what_is_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member tells a listener the newest records, whether or not there are older ones that it has not been told."""
    monkeypatch.setattr(History, "holds", lambda self, bucket, after: True)


def plant_not_told_of_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the log still holds is taken for all that a listener has not been told."""
    take = Reread.take

    def take_it(self: Reread, seq: Seq, previous: Seq, record: Record) -> None:
        take(self, seq, Seq(0), record)

    monkeypatch.setattr(Reread, "take", take_it)


def plant_old_values_are_looked_up_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """What events replace is looked up when they have been applied."""
    monkeypatch.setattr(view, "before_each", lambda values, columns: list(columns.values))


@pytest.mark.parametrize(
    "plant", [plant_told_what_is_at_hand, plant_not_told_of_cuts, plant_old_values_are_looked_up_too_late]
)
def test_a_planted_bug_is_found(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    assert found_within(islice(seeds(quarrels), SEEDS_MAX), {"told wrongly"}) >= {"told wrongly"}
