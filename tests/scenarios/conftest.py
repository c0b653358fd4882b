from __future__ import annotations

from pathlib import Path

import pytest

from tests.gfsh.support import FakeAdmin, Program
from tests.scenarios.shell import Shell


@pytest.fixture
def gfsh(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    """The program, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    admin = FakeAdmin()
    monkeypatch.setattr("heliograph.admin.client.AdminClient", admin.client)
    return Shell(Program(monkeypatch, capsys), admin)
