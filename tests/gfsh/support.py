"""A program in this process, and an admin API that records what it is asked."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from heliograph.errors import UnavailableError
from heliograph.gfsh import cli
from heliograph.model.results import Result


@dataclass
class FakeAdmin:
    """Stands for a site. `answers`: (method, path) -> result; whatever else is asked is answered OK."""

    answers: dict[tuple[str, str], Result] = field(default_factory=dict)
    calls: list[tuple[str, str, Any, dict[str, Any]]] = field(default_factory=list)
    reachable: bool = True
    closed: int = 0

    def client(self, url: str, _tls: object = None, _authorization: str = "") -> FakeAdmin:
        """Stands for the class AdminClient."""
        self.url = url
        return self

    def call(self, method: str, path: str, body: Any = None, query: Mapping[str, str | bool] | None = None) -> Result:
        if not self.reachable:
            raise UnavailableError(f"the admin API at {self.url} can't be reached")
        self.calls.append((method, path, body, dict(query or {})))
        return self.answers.get((method, path), Result(info=[f"{method} {path}"]))

    def close(self) -> None:
        self.closed += 1


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


class NoTerminal(io.StringIO):
    """Standard input as a pipe."""


class Program:
    """Runs the program as from a command line."""

    def __init__(self, monkeypatch: Any, capsys: Any) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str, stdin: str = "") -> Ran:
        self._monkeypatch.setattr("sys.stdin", NoTerminal(stdin))
        status = cli.main(arguments)
        out, err = self._capsys.readouterr()
        return Ran(status, out, err)
