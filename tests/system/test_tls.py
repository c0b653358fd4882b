"""Two sites of real processes with mutual TLS on every link, their engines' too."""

from __future__ import annotations

import datetime as dt
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import heliograph
from heliograph.errors import HeliographError
from heliograph.gfsh.dispatch import execute
from heliograph.gfsh.local_sites import free_ports
from heliograph.gfsh.output import Printer
from heliograph.gfsh.processes import kill_tree, read_state
from heliograph.gfsh.session import Session
from heliograph.gfsh.tokens import parse_line
from heliograph.model.results import Result
from heliograph.model.tls import TlsStores
from tests.certificates import Authority
from tests.system.waiting import until

HOST = "127.0.0.1"
PASSWORD = "open-sesame"
REFUSED_S = 1.0


class SecuredSite:
    """A site of one locator and one server, by the commands that an operator types."""

    def __init__(self, number: int, directory: Path, authority: Authority, ports: tuple[int, int, int]) -> None:
        self.number = number
        self.directory = directory
        self.port, self.remote, self.receiver = ports
        stores = authority.stores(f"site{number}", site=number, password=PASSWORD)
        self.file = properties(directory / f"site{number}.properties", stores)
        self.locator = f"{HOST}[{self.port}]"
        self.session = Session(Printer())

    def do(self, line: str) -> Result:
        """Run a command that has to succeed."""
        (command,) = parse_line(line)
        result = execute(self.session, command.words)
        assert result.status == "OK", f"{line}: {result}"
        return result

    def start(self) -> None:
        """Start the processes and define what there is."""
        n, secured = self.number, f"--security-properties-file={self.file}"
        self.do(
            f"start locator --name=l{n} --dir={self.directory / f'l{n}'} --bind-address={HOST} --port={self.port}"
            f" --http-service-port=0 --distributed-system-id={n} --remote-locators={HOST}[{self.remote}] {secured}"
        )
        self.do(
            f"start server --name=s{n} --dir={self.directory / f's{n}'} --server-port=0 --locators={self.locator}"
            f" --server-bind-address={HOST} {secured}"
        )
        self.do(f"create gateway-receiver --start-port={self.receiver} --end-port={self.receiver}")
        self.do(f"create gateway-sender --id=away --remote-distributed-system-id={3 - n} --parallel=true")
        self.do("create region --name=r --type=PARTITION --gateway-sender-id=away")

    def stop(self) -> None:
        """End every process."""
        self.session.disconnect()
        for kind, name in (("server", "s"), ("locator", "l")):
            state = read_state(self.directory / f"{name}{self.number}", kind)  # type: ignore[arg-type]
            if state is not None:
                kill_tree(state.pid, timeout_s=20)

    def log(self, name: str) -> str:
        """Return what a process has logged."""
        return (self.directory / f"{name}{self.number}" / f"{name}{self.number}.log").read_text()


def properties(file: Path, stores: TlsStores) -> Path:
    file.touch(mode=0o600)
    file.write_text(
        f"ssl-enabled-components=all\nssl-keystore={stores.keystore}\nssl-truststore={stores.truststore}\n"
        f"ssl-keystore-password={stores.keystore_password}\nssl-endpoint-identification-enabled=true\n"
        "ssl-web-require-authentication=true\nssl-require-site-identity=true\n"
    )
    return file


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[tuple[SecuredSite, SecuredSite]]:
    first = free_ports(4)
    authority = Authority(tmp_path)
    one = SecuredSite(1, tmp_path, authority, (first, first + 1, first + 2))
    two = SecuredSite(2, tmp_path, authority, (first + 1, first, first + 3))
    one.authority = two.authority = authority  # type: ignore[attr-defined]
    try:
        one.start()
        two.start()
        yield one, two
    finally:
        one.stop()
        two.stop()


def refused(locator: str, file: Path | None) -> str:
    """Connect in vain, and soon; returns the reason."""
    begun = time.monotonic()
    with pytest.raises(HeliographError) as caught:
        heliograph.connect(locator, security_properties_file=file)
    assert time.monotonic() - begun < REFUSED_S
    return str(caught.value)


def test_data_flows_by_tls_alone_and_strangers_are_refused(
    sites: tuple[SecuredSite, SecuredSite], tmp_path: Path
) -> None:
    one, two = sites
    authority: Authority = one.authority  # type: ignore[attr-defined]
    expired = authority.stores("old", site=1, not_after=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other").stores("stranger")
    with (
        heliograph.connect(one.locator, security_properties_file=one.file) as here,
        heliograph.connect(two.locator, security_properties_file=two.file) as there,
    ):
        near, far = here.region("r"), there.region("r")
        near.put("a", 1)
        until(lambda: far.get("a") == 1, "it is at the other site")
        far.put("b", 2)
        until(lambda: near.get("b") == 2, "and the other way")

        assert "this port speaks TLS, and you don't" in refused(one.locator, None)
        reason = refused(one.locator, properties(tmp_path / "expired.properties", expired))
        assert "refuses this end's certificate as expired" in reason
        reason = refused(one.locator, properties(tmp_path / "stranger.properties", stranger))
        assert "the certificate of the other end is refused" in reason
        log = one.log("l")
        for words in ("does not speak TLS, and this port does", "certificate has expired"):
            assert f"tls refused component=locator peer={HOST}" in log
            assert words in log

        near.put("c", 3)
        until(lambda: far.get("c") == 3, "the data flows on")
        assert len(near) == 3

    assert one.session.connection is not None
    assert one.session.connection.url.startswith("https://")
    status = one.do(f"status server --dir={one.directory / 's1'}")
    assert status.data["TLS"] == "cluster, gateway, locator, server, web"
    assert_engine_asks_for_tls(one)
    assert_nothing_tells_the_password(one)


def assert_engine_asks_for_tls(site: SecuredSite) -> None:
    conf = (site.directory / "l1" / "engine" / "nats.conf").read_text()
    port = int(conf.partition("\n")[0].rpartition(":")[2].strip('"'))
    with socket.create_connection((HOST, port), timeout=5) as plain:
        assert b'"tls_required":true' in plain.recv(65536)
        plain.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
        assert b"PONG" not in plain.recv(65536)


def assert_nothing_tells_the_password(site: SecuredSite) -> None:
    for name in ("l", "s"):
        state = read_state(site.directory / f"{name}1", "locator" if name == "l" else "server")
        assert state is not None
        process = psutil.Process(state.pid)
        for each in (process, *process.children(recursive=True)):
            assert PASSWORD not in " ".join(each.cmdline())
            assert PASSWORD not in str(each.environ())
        for file in (site.directory / f"{name}1").rglob("*"):
            assert not file.is_file() or PASSWORD.encode() not in file.read_bytes(), file


def test_a_command_that_is_not_secured_says_what_to_do(sites: tuple[SecuredSite, SecuredSite]) -> None:
    one, _ = sites
    plain = Session(Printer())
    result = execute(plain, ["connect", f"--locator={one.locator}"])
    assert result.status == "ERROR"
    assert "this port speaks TLS" in str(result.info)
    named = f"--key-store={one.directory / 'site1.pem'}"
    trusted = f"--trust-store={one.directory / 'authority.pem'}"
    secret = f"--key-store-password={PASSWORD}"
    try:
        result = execute(plain, ["connect", f"--locator={one.locator}", "--use-ssl", named, secret, trusted])
        assert result.status == "OK", result
    finally:
        plain.disconnect()
