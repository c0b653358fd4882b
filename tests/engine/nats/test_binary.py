"""Finding a `nats-server` that fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.engine.nats import binary
from heliograph.engine.nats.binary import CLUSTER_VERSION_MIN, VARIABLE, WHEEL, find_nats_server
from heliograph.errors import UsageError


def program(path: Path, says: str) -> Path:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def _nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def without_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary, "WHEEL", "no-such-package-here")


def test_the_wheel_has_one() -> None:
    assert find_nats_server().name == "nats-server"


def test_the_variable_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mine = program(tmp_path / "mine", "nats-server: v2.11.0")
    monkeypatch.setenv(VARIABLE, str(mine))
    assert find_nats_server() == mine


def test_path_comes_last(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_wheel(monkeypatch)
    found = program(tmp_path / "nats-server", "nats-server: v3.0.1-beta")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert find_nats_server() == found


@pytest.mark.parametrize(
    ("says", "problem"),
    [("nats-server: v2.10.29", "2.10"), ("nats-server: v1.4.1", "1.4"), ("hello", "no nats-server")],
)
def test_one_that_does_not_fit_is_refused_naming_all_places(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, says: str, problem: str
) -> None:
    without_wheel(monkeypatch)
    program(tmp_path / "nats-server", says)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(UsageError, match=problem) as refused:
        find_nats_server()
    for place in (VARIABLE, "PATH", f"pip install {binary.WHEEL}"):
        assert place in str(refused.value)


def test_a_named_one_that_does_not_run_is_refused_whatever_else_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "/nowhere/nats-server")
    with pytest.raises(UsageError, match="/nowhere/nats-server can't be run") as refused:
        find_nats_server()
    for place in (VARIABLE, "PATH", WHEEL):
        assert place in str(refused.value)


def test_a_cluster_needs_a_newer_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(program(tmp_path / "mine", "nats-server: v2.11.9")))
    with pytest.raises(UsageError, match=r"no nats-server 2\.12 or newer.*is 2\.11"):
        find_nats_server(CLUSTER_VERSION_MIN)
