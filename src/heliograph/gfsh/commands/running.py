"""stop and status of locators and servers (gfsh.md §3.3).

A process is named by its directory, by its name (whose directory is `./<name>`), by its process id, or by none of
them: the current directory. A name without such a directory is looked up in the connected site. A locator may also be
asked at its address.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from heliograph.config.reading import read_settings
from heliograph.errors import AuthenticationError, NotAuthorizedError, PeerError, UnavailableError, UsageError
from heliograph.gfsh.grammar import PORT, command
from heliograph.gfsh.session import NOT_CONNECTED, Session
from heliograph.locator.config import LOCATOR_PORT
from heliograph.model.ids import LOOPBACK, Address
from heliograph.model.members import MemberKind
from heliograph.model.results import Result
from heliograph.model.tls import Port

if TYPE_CHECKING:
    from heliograph.gfsh.processes import ProcessState
    from heliograph.link.messages import Status

_name = click.option("--name", default="", help="Name of the process.")
_pid = click.option("--pid", type=click.INT, help="Its process id.")
_directory = click.option("--dir", "directory", default="", help="Its working directory. [default: ./<name>, or here]")


def _stop(kind: MemberKind) -> click.Command:
    @command(f"stop {kind}")
    @_name
    @_directory
    @_pid
    @click.pass_obj
    def stop(session: Session, name: str, directory: str, pid: int | None) -> Result:
        from heliograph.gfsh import processes

        place = _directory_of(name, directory, pid) or Path(_status_from_site(session, kind, name).directory)
        state = _state(place, kind, name)
        if not processes.stop(state):
            raise UsageError(f"{kind} {state.name} in {place} is not running")
        return Result(info=[f"{kind.capitalize()} {state.name} in {place} was stopped (process {state.pid})."])

    stop.help = f"Stop a {kind} on this machine and wait until it is gone."
    return stop


def _status(kind: MemberKind) -> click.Command:
    @command(f"status {kind}")
    @_name
    @_directory
    @_pid
    @click.option("--security-properties-file", "file", help="How it is reached by TLS, unless `connect` has said so.")
    @click.pass_obj
    def status(
        session: Session,
        name: str,
        directory: str,
        pid: int | None,
        file: str | None,
        host: str | None = None,
        port: int | None = None,
    ) -> Result:
        from heliograph.gfsh import state_block

        if file is not None:
            settings = read_settings(kind, file)
            session.tls, session.identity = settings.tls, settings.security

        if host is not None or port is not None:
            if name or directory or pid is not None:
                raise UsageError("give either --host and --port, or --name, --dir or --pid")
            return _status_at(session, Address(host or LOOPBACK, LOCATOR_PORT if port is None else port))
        place = _directory_of(name, directory, pid)
        if place is None:
            return state_block.online(_status_from_site(session, kind, name))
        return _local_status(place, _state(place, kind, name), session)

    if kind == "locator":
        status = click.option("--host", help=f"Host of its address. [default: {LOOPBACK}]")(
            click.option("--port", type=PORT, help=f"Port of its address. [default: {LOCATOR_PORT}]")(status)
        )
    status.help = f"Show the state of a {kind}; it fails when the {kind} is stopped or does not answer."
    return status


def _local_status(place: Path, state: ProcessState, session: Session) -> Result:
    from heliograph.gfsh import state_block
    from heliograph.gfsh.asking import ask
    from heliograph.gfsh.processes import process_of
    from heliograph.link.messages import Status, StatusQuery

    if process_of(state) is None:
        return state_block.not_online(str(place), state, "stopped")
    if state.address is None:
        return state_block.starting(str(place), state)
    try:
        status = ask(
            state.address,
            StatusQuery(),
            Status,
            tls=session.tls,
            port=_port(state.kind),
            identity=session.identity,
        )
        return state_block.online(status)
    except (AuthenticationError, NotAuthorizedError) as exc:
        return state_block.online_unseen(str(place), state, exc)
    except (UnavailableError, PeerError) as exc:
        return state_block.not_online(str(place), state, f"not responding ({exc})")


def _status_at(session: Session, address: Address) -> Result:
    """Show the locator at an address. Raises UnavailableError and others when none answers us there."""
    from heliograph.gfsh import state_block
    from heliograph.gfsh.asking import ask
    from heliograph.link.messages import Status, StatusQuery

    status = ask(address, StatusQuery(), Status, tls=session.tls, identity=session.identity)
    return state_block.online(status)


def _port(kind: MemberKind) -> Port:
    return "locator" if kind == "locator" else "member"


def _directory_of(name: str, directory: str, pid: int | None) -> Path | None:
    """Return the directory meant, or None when the site has to be asked for the name. Raises UsageError."""
    if pid is not None:
        from heliograph.gfsh.processes import directory_of

        if name or directory:
            raise UsageError("give one of --name, --dir and --pid")
        return directory_of(pid)
    if directory:
        return Path(directory).resolve()
    if not name:
        return Path.cwd()
    place = Path(name).resolve()
    return place if place.is_dir() else None


def _state(place: Path, kind: MemberKind, name: str) -> ProcessState:
    from heliograph.gfsh.processes import read_state

    state = read_state(place, kind)
    if state is None and kind == "locator" and (host := read_state(place, "server")) is not None:
        raise UsageError(f"no locator runs in {place} by itself: one may live in server {host.name}, and end with it")
    if state is None:
        raise UsageError(f"no {kind} runs in {place}")
    if name and name != state.name:
        raise UsageError(f"the {kind} in {place} is {state.name}, not {name}")
    return state


def _status_from_site(session: Session, kind: MemberKind, name: str) -> Status:
    from heliograph.gfsh.asking import ask
    from heliograph.link.messages import SiteQuery, SiteView, Status, StatusQuery

    if session.connection is None:
        raise UsageError(f"there is no directory ./{name}: give --dir, or, to look for it in a site: {NOT_CONNECTED}")
    if session.connection.locator is None:
        raise UsageError(
            f"there is no directory ./{name}: give --dir, or connect by --locator to look for it in a site"
        )
    locator, tls, identity = session.connection.locator, session.tls, session.identity
    for member in ask(locator, SiteQuery(), SiteView, tls=tls, identity=identity).members:
        if member.name == name and member.kind == kind:
            return ask(
                member.address, StatusQuery(), Status, tls=session.tls, port=_port(kind), identity=session.identity
            )
    raise UsageError(f"the site has no {kind} {name}")


COMMANDS = tuple(make(kind) for make in (_stop, _status) for kind in ("locator", "server"))
