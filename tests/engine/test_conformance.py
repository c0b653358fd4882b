"""The conformance suite, played on both engines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from tests.engine.conformance import (
    SCENARIOS,
    kill_and_restart_with_follow_and_watch_going_on,
    lost_answer_is_unknown_then_settled,
)
from tests.engine.worlds import Scenario, play_on_nats, play_on_sim


@pytest.mark.parametrize("play", [play_on_nats, play_on_sim])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_engine(play: Callable[[Scenario, Path], None], scenario: Scenario, tmp_path: Path) -> None:
    play(scenario, tmp_path)


@pytest.mark.parametrize(
    "scenario",
    [lost_answer_is_unknown_then_settled, kill_and_restart_with_follow_and_watch_going_on],
    ids=lambda scenario: scenario.__name__,
)
def test_nats_engine_on_uvloop(scenario: Scenario, tmp_path: Path) -> None:
    play_on_nats(scenario, tmp_path, run=uvloop.run)
