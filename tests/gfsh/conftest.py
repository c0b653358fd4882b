from __future__ import annotations

from pathlib import Path

import pytest

from tests.gfsh.support import FakeAdmin, Program


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Program:
    """The program, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    return Program(monkeypatch, capsys)


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> FakeAdmin:
    """A site behind `connect --url=http://site`."""
    fake = FakeAdmin()
    monkeypatch.setattr("heliograph.admin.client.AdminClient", fake.client)
    return fake
