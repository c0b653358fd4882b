"""The conformance suite, played on both engines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.conformance import SCENARIOS
from tests.engine.worlds import Scenario, play_on_nats, play_on_sim


@pytest.mark.parametrize("play", [play_on_nats, play_on_sim])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_engine(play: Callable[[Scenario, Path], None], scenario: Scenario, tmp_path: Path) -> None:
    play(scenario, tmp_path)
