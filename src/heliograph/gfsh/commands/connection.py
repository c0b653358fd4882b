"""connect, disconnect, describe connection."""

from __future__ import annotations

from typing import Any

import click

from heliograph.errors import AuthenticationError, HeliographError, UnavailableError, UsageError
from heliograph.gfsh.grammar import ADDRESSES, command, refused
from heliograph.gfsh.passwords import ask_password
from heliograph.gfsh.property_files import property_files, read_property_files, tls_options
from heliograph.gfsh.session import Session
from heliograph.model.ids import Address
from heliograph.model.refusals import CONNECT
from heliograph.model.results import Result, Table
from heliograph.security.properties import SecurityProperties

_API_ADVICE = "is that the HTTP port, which `start locator` has as --http-service-port?"
_TOLD_ADVICE = "the locator says that it is there; from other machines --http-service-bind-address must allow it"
DEFAULT_LOCATOR = Address("localhost", 10334)


@command("connect")
@click.option(
    "--locator",
    "locators",
    type=ADDRESSES,
    help=f"A locator of the site, or several: the first one that answers is taken. [default: {DEFAULT_LOCATOR}]",
)
@click.option("--url", help="The site's admin API itself (http://host:port) instead of a locator.")
@click.option("--user", "--username", "user", help="Who you are, where the site wants to know.")
@click.option("--password", help="The user's password; better not given: then it is asked for, and not shown.")
@click.option("--token", help="A token instead of a user and a password.")
@property_files
@tls_options
@refused(CONNECT)
@click.pass_obj
def connect(
    session: Session,
    /,
    locators: tuple[Address, ...] | None,
    url: str | None,
    user: str | None,
    password: str | None,
    token: str | None,
    **options: Any,
) -> Result:
    """Connect to a site."""
    session.drop_lost()
    if session.connection is not None:
        return Result(info=[f"Already connected to: {session.connection}"])
    settings, _ = read_property_files("client", options)
    session.tls = settings.tls
    session.identity = _identity(settings.security, user, password, token)
    if url is None and locators is None:
        locators = settings.options.get("locators")
    if url is not None:
        if locators:
            raise UsageError("give either --locator or --url")
        return _connect(session, [], url, None)
    return connect_to(session, *(locators or (DEFAULT_LOCATOR,)))


def _identity(
    given: SecurityProperties, user: str | None, password: str | None, token: str | None
) -> SecurityProperties:
    """Return who the operator is, asking for a password that is missing. Raises UsageError."""
    if token is not None:
        if user is not None or password is not None:
            raise UsageError("give either --token or --user")
        if not token:
            raise UsageError("--token is empty")
        return SecurityProperties(token=token)
    if user is None:
        if password is not None:
            raise UsageError("--password is given without --user")
        return given
    return SecurityProperties(username=user, password=ask_password() if password is None else password)


def connect_to(session: Session, *locators: Address) -> Result:
    """Connect to the site of the first locator that answers; the session must not be connected.

    Raises UnavailableError, PeerError or UsageError that say what to check.
    """
    from heliograph.api.locators import verdict
    from heliograph.gfsh.asking import ask
    from heliograph.link.messages import SiteQuery, SiteView

    failures: list[tuple[Address, HeliographError]] = []
    for locator in locators:
        try:
            view = ask(locator, SiteQuery(), SiteView, tls=session.tls, identity=session.identity)
        except HeliographError as exc:
            failures.append((locator, exc))
            continue
        if not view.http_url:
            failures.append((locator, UnavailableError("it has only begun to start: its admin API is not served yet")))
        else:
            return _connect(session, [f"Connecting to locator at {locator} ..."], view.http_url, locator)
    raise verdict(failures) from failures[-1][1]


def _connect(session: Session, info: list[str], url: str, locator: Address | None) -> Result:
    connection = session.connect(url, locator)
    try:
        answer = connection.client.call("GET", "/version")
        if answer.status != "OK":
            raise AuthenticationError("; ".join(answer.info))
    except AuthenticationError:
        session.disconnect()
        raise
    except HeliographError as exc:
        session.disconnect()
        raise type(exc)(f"{exc} ({_API_ADVICE if locator is None else _TOLD_ADVICE})") from exc
    return Result(
        info=[*info, f"Connecting to manager at {url} ...", f"Successfully connected to: {url}", *answer.info]
    )


@command("disconnect")
@click.pass_obj
def disconnect(session: Session) -> Result:
    """Give up the connection."""
    connection = session.disconnect()
    return Result(info=["Not connected." if connection is None else f"Disconnected from: {connection}"])


@command("describe connection")
@click.pass_obj
def describe_connection(session: Session) -> Result:
    """Show what the shell is connected to."""
    endpoint = "Not connected" if session.connection is None else session.connection.url
    return Result(tables=[Table(("Connection Endpoints",), [(endpoint,)])])


COMMANDS = (connect, disconnect, describe_connection)
