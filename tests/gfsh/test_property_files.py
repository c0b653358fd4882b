"""What start commands make of properties files, and what reaches the daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from heliograph.errors import UnavailableError
from heliograph.gfsh import launch
from tests.certificates import Authority
from tests.gfsh.support import Program


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The options that daemons would be started with."""
    seen: list[dict[str, Any]] = []

    def start(kind: str, name: str, directory: Path, options: dict[str, Any], *_rest: Any) -> None:
        seen.append({"kind": kind, "name": name, **options})
        raise UnavailableError("not started")

    monkeypatch.setattr(launch, "start", start)
    return seen


def test_a_locator_is_started_as_a_file_says_but_for_what_the_command_says(
    program: Program, started: list[dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / "l.properties"
    file.write_text("name=l1\nport=7\nhttp-service-port=8\ndistributed-system-id=3\n")
    program("start", "locator", f"--properties-file={file}", "--port=9", f"--dir={tmp_path / 'l1'}")
    (options,) = started
    assert (options["name"], options["port"], options["http_service_port"]) == ("l1", 9, 8)
    assert options["distributed_system_id"] == 3


def test_a_server_is_started_as_a_file_says_but_for_what_the_command_says(
    program: Program, started: list[dict[str, Any]], tmp_path: Path
) -> None:
    file = tmp_path / "s.properties"
    file.write_text("name=s1\nserver-port=7\ngroups=a,b\nlocators=h[1]\n")
    program("start", "server", f"--properties-file={file}", "--server-port=9", f"--dir={tmp_path / 's1'}")
    (options,) = started
    assert (options["name"], options["server_port"]) == ("s1", 9)
    assert options["properties_file"] == {"groups": "a,b", "locators": "h[1]"}


def test_connect_takes_locators_from_a_file(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "c.properties"
    file.write_text("locators=127.0.0.1[1]\n")
    assert "no locator answers at 127.0.0.1[1]" in program("connect", f"--properties-file={file}").err
    assert "127.0.0.1[2]" in program("connect", f"--properties-file={file}", "--locator=127.0.0.1[2]").err


def test_connect_has_options_for_tls(program: Program, tmp_path: Path) -> None:
    files = Authority(tmp_path).stores("operator")
    trusted = f"--trust-store={files.truststore}"
    for options, words in (
        (("--use-ssl",), "ssl-truststore: name a PEM file"),
        (("--use-ssl", "--trust-store=missing.pem"), "missing.pem does not exist"),
        (("--use-ssl=false", trusted), "--use-ssl=false: ssl-truststore has no effect then"),
        ((trusted, "--trust-store-password=secret"), "a PEM file of certificates has no password"),
        ((trusted, "--key-store-type=JKS"), "files are PEM here, not JKS"),
        ((trusted, "--ciphers=NO_SUCH"), "there is no cipher suite 'NO_SUCH'"),
        ((trusted, f"--key-store={files.keystore}", "--protocols=TLSv1.3"), "no locator answers at 127.0.0.1[1]"),
    ):
        ran = program("connect", "--locator=127.0.0.1[1]", *options)
        assert words in ran.err, (options, ran.err)
        assert "secret" not in ran.err
