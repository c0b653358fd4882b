"""The state block of a locator or server: what `start` and `status` show (gfsh.md §3.5)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from heliograph.model.results import Result, failed

if TYPE_CHECKING:
    from heliograph.errors import HeliographError
    from heliograph.gfsh.processes import ProcessState
    from heliograph.link.messages import Status


def online(status: Status) -> Result:
    """Show a process that answers; of a locator also whether it serves the site's configuration."""
    from heliograph.locator.site_configuration import STATE

    info = [f"{status.kind} in {status.directory} on {status.address} as {status.name} is currently online."]
    if status.kind == "Locator":
        serves = "not running yet" if STATE in status.details else "up and running"
        info.append(f"Cluster configuration service is {serves}.")
    return Result(
        info=info,
        data={
            "Process ID": str(status.pid),
            "Uptime": duration(status.uptime_ms),
            "Heliograph Version": status.version,
            "Log File": status.log_file,
            **{name: value for name, value in status.details.items() if value},
        },
    )


def online_unseen(directory: str, state: ProcessState, why: HeliographError) -> Result:
    """Show a process that answers, but not to us."""
    info = f"{state.kind.capitalize()} in {directory} on {state.address} as {state.name} is currently online."
    return Result(info=[info, f"It does not tell us more: {why}"], data={"Process ID": str(state.pid)})


def starting(directory: str, state: ProcessState) -> Result:
    """Show a process that does not answer yet, and from when on it has been starting."""
    began = datetime.fromtimestamp(state.created).astimezone().isoformat(sep=" ", timespec="seconds")
    return Result(
        info=[f"{state.kind.capitalize()} in {directory} as {state.name} is currently starting."],
        data={"Process ID": str(state.pid), "Start Time": began, "Log File": state.log_file},
    )


def not_online(directory: str, state: ProcessState, word: str) -> Result:
    """Show a process that is `not responding` or `stopped`: an error, and nothing but its first line."""
    where = f" on {state.address}" if state.address is not None else ""
    return failed(f"{state.kind.capitalize()} in {directory}{where} as {state.name} is currently {word}.")


def duration(ms: int) -> str:
    """Return a duration in words, to the second."""
    seconds = ms // 1000
    parts: list[str] = []
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, seconds = divmod(seconds, size)
        if count or (unit == "second" and not parts):
            parts.append(f"{count} {unit}{'' if count == 1 else 's'}")
    return " ".join(parts)
