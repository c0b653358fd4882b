from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from heliograph.errors import UsageError
from heliograph.gfsh.asking import authorization_for
from heliograph.gfsh.dispatch import execute
from heliograph.gfsh.output import Printer
from heliograph.gfsh.session import Session
from heliograph.security.passwords import parse_hash
from heliograph.security.properties import SecurityProperties

NOWHERE = "--locator=127.0.0.1[1]"


def said(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def identity_of(*options: str) -> SecurityProperties:
    """Try to connect to where nobody is, and return who the session was then."""
    session = Session(Printer())
    assert execute(session, ["connect", NOWHERE, *options]).status == "ERROR"
    assert session.aside().identity == session.identity
    return session.identity


def test_a_password_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    said(monkeypatch, "sesame\n")
    result = execute(Session(Printer()), ["hash", "password"])
    assert parse_hash(result.info[0]).fits("sesame")
    said(monkeypatch, "\n")
    assert execute(Session(Printer()), ["hash", "password"]).info == ["the password is empty"]


def test_who_connects(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert identity_of("--user=ada", "--password=sesame") == SecurityProperties(username="ada", password="sesame")
    said(monkeypatch, "asked\n")
    assert identity_of("--username=ada") == SecurityProperties(username="ada", password="asked")
    assert identity_of("--token=abc") == SecurityProperties(token="abc")
    file = tmp_path / "ada.properties"
    file.write_text("security-username=ada\nsecurity-password=sesame\n")
    assert identity_of(f"--security-properties-file={file}").password == "sesame"
    assert identity_of() == SecurityProperties()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--password=sesame"], "--password is given without --user"),
        (["--token=abc", "--user=ada"], "give either --token or --user"),
        (["--token="], "--token is empty"),
    ],
)
def test_what_does_not_fit(options: list[str], message: str) -> None:
    result = execute(Session(Printer()), ["connect", NOWHERE, *options])
    assert result.info == [message]


def test_a_clients_file_names_no_manager(tmp_path: Path) -> None:
    file = tmp_path / "site.properties"
    file.write_text("security-manager=file\nsecurity-users-file=users.json\n")
    result = execute(Session(Printer()), ["connect", NOWHERE, f"--security-properties-file={file}"])
    assert "security-manager, security-users-file: for locators and servers, and this is a client" in result.info[0]
    assert str(file) in result.info[0]


class Provider:
    def get_credentials(self, properties: dict[str, str], server: Any) -> dict[str, str]:
        return {"security-token": f"{server.address}"}


def test_the_header_of_the_admin_api() -> None:
    def of(**properties: Any) -> str:
        return authorization_for(SecurityProperties(**properties), "http://host:7070")

    assert of() == ""
    assert of(username="ada", password="sesame") == "Basic YWRhOnNlc2FtZQ=="
    assert of(token="abc") == "Bearer abc"
    assert of(client_auth_init="tests.gfsh.test_security:Provider") == "Bearer host[7070]"
    with pytest.raises(UsageError, match="colon"):
        of(username="a:b", password="x")
