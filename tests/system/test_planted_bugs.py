"""The scenarios fail when the code is broken on which recovery rests: each finds a bug that was planted for it."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from heliograph.gfsh import launch
from tests.system import scenarios
from tests.system.sites import ROOT, Sites

SETTLE_S = 3.0
LOSS = r"lost: |resurrected: |entries differ|failed: AssertionError"
"""What the ledger says, or a writer that finds another value than the one it wrote."""


@pytest.mark.planted
@pytest.mark.parametrize(
    ("bug", "scenario"),
    [
        ("unread_take_over", scenarios.primaries_are_killed),
        ("sender_at_the_end", scenarios.serial_sender_is_killed),
        ("forgetful_sender", scenarios.remote_site_is_away),
        ("unfenced_engine", scenarios.primary_is_frozen),
    ],
)
def test_a_planted_bug_is_found(
    sites: Sites, monkeypatch: pytest.MonkeyPatch, bug: str, scenario: Callable[..., None]
) -> None:
    monkeypatch.setattr(launch, "DAEMON_MODULE", f"tests.system.planted.{bug}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    with pytest.raises(AssertionError, match=LOSS):
        scenario(sites, settle_s=SETTLE_S)
