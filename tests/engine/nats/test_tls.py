"""An operator's engine that wants TLS, a client certificate and a password: a real nats-server, set up by hand."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from heliograph import aio
from heliograph.engine.append import append_settled
from heliograph.engine.nats.binary import find_nats_server
from heliograph.engine.nats.engine import connect_engine
from heliograph.engine.nats.lifetime import free_port
from heliograph.errors import HeliographError, UnavailableError, UsageError
from heliograph.locator.config import LocatorConfig
from heliograph.locator.engine import with_credentials
from heliograph.locator.locator import Locator
from heliograph.model.engine_tls import EngineTls
from heliograph.model.ids import NO_SEQ
from tests.engine.worlds import eventually

HOST = "localhost"
USER, PASSWORD = "operator", "s3cret/with@signs"


@dataclass
class Operator:
    """An engine that an operator runs, and what its clients need."""

    port: int
    directory: Path
    tls: EngineTls

    @property
    def url(self) -> str:
        return with_credentials(f"tls://{HOST}:{self.port}", f"{USER}:{PASSWORD}")

    def files(self) -> dict[str, Any]:
        """The options of a locator."""
        (self.directory / "credentials").write_text(f"{USER}:{PASSWORD}\n")
        return {
            "engine": f"tls://{HOST}:{self.port}",
            "engine_credentials_file": str(self.directory / "credentials"),
            "engine_ca_file": str(self.directory / "ca.pem"),
            "engine_certificate_file": str(self.directory / "client.pem"),
            "engine_key_file": str(self.directory / "client.key"),
        }


@contextmanager
def operator(directory: Path, *, secured: bool = True) -> Iterator[Operator]:
    ca = trustme.CA()
    server, client = ca.issue_cert(HOST), ca.issue_cert("heliograph")
    for name, blob in (
        ("ca.pem", ca.cert_pem),
        ("server.pem", server.cert_chain_pems[0]),
        ("server.key", server.private_key_pem),
        ("client.pem", client.cert_chain_pems[0]),
        ("client.key", client.private_key_pem),
    ):
        blob.write_to_path(directory / name)
    port = free_port("127.0.0.1", 0)
    where = json.dumps
    tls = (
        f"tls {{ cert_file: {where(str(directory / 'server.pem'))}, key_file: {where(str(directory / 'server.key'))}, "
        f"ca_file: {where(str(directory / 'ca.pem'))}, verify: true }}\n"
    )
    (directory / "nats.conf").write_text(
        f'listen: "127.0.0.1:{port}"\n{tls if secured else ""}'
        f"authorization {{ user: {USER}, password: {where(PASSWORD)} }}\n"
        f"jetstream {{ store_dir: {where(str(directory / 'store'))} }}\nlogfile: {where(str(directory / 'nats.log'))}\n"
    )
    texts = {name: (directory / name).read_text() for name in ("ca.pem", "client.pem", "client.key")}
    with subprocess.Popen([find_nats_server(), "-c", directory / "nats.conf"]) as process:
        try:
            asyncio.run(eventually(lambda: "ready" in _text(directory / "nats.log"), "the engine is up"))
            yield Operator(port, directory, EngineTls(texts["ca.pem"], texts["client.pem"], texts["client.key"]))
        finally:
            process.kill()


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_appends_deliveries_and_requests_go_over_tls(tmp_path: Path) -> None:
    async def scenario(there: Operator) -> None:
        engine = await connect_engine(there.url, there.tls)
        log = await engine.open_log("DEFAULT")
        registry = await engine.open_registry("site")
        await append_settled(log, "log.DEFAULT.r.0.0", b"x" * 500_000, expected=NO_SEQ, batch_id="b", deadline_s=10)
        assert await registry.create("k", b"v") > 0
        entries = [entry async for found in log.read(["log.DEFAULT.r.0.0"], after=NO_SEQ) for entry in found]
        assert [entry.payload for entry in entries] == [b"x" * 500_000]
        engine._deliveries.drop()  # it comes back over TLS too
        await eventually(lambda: engine.connected)
        await engine.close()

    with operator(tmp_path) as there:
        asyncio.run(scenario(there))


def test_what_is_wrong_with_certificates_and_credentials_is_told_without_secrets(tmp_path: Path) -> None:
    def reason(url: str, tls: EngineTls) -> str:
        with pytest.raises(HeliographError) as caught:
            asyncio.run(connect_engine(url, tls))
        assert isinstance(caught.value, UsageError | UnavailableError)
        return str(caught.value)

    with operator(tmp_path) as there:
        known, url = there.tls, there.url
        stranger = trustme.CA().cert_pem.bytes().decode()
        assert "not trusted" in reason(url, EngineTls(stranger, known.certificate, known.key))
        assert "not trusted" in reason(url.replace(HOST, "127.0.0.1"), known)
        assert "can't be reached" in reason(url, EngineTls(known.ca))  # without a certificate of its own
        wrong = with_credentials(f"tls://{HOST}:{there.port}", f"{USER}:wr0ng")
        refused = reason(wrong, known)
        assert "refuses the credentials" in refused
        assert "wr0ng" not in refused
        assert "PEM" in reason(url, EngineTls("no certificate"))
        assert "belong" not in reason(url, EngineTls(known.ca, known.certificate, "no key"))
        assert known.key not in repr(known)


def test_credentials_are_not_sent_to_an_engine_without_tls_when_the_url_says_tls(tmp_path: Path) -> None:
    with operator(tmp_path, secured=False) as there, pytest.raises(UsageError, match="nothing was sent"):
        asyncio.run(connect_engine(there.url, there.tls))


def test_a_site_on_an_operators_engine_tells_its_members_what_they_need(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def scenario(there: Operator) -> None:
        config = LocatorConfig(
            name="l1",
            port=0,
            bind_address="127.0.0.1",
            directory=str(tmp_path / "l1"),
            http_service_port=0,
            **there.files(),
        )
        locator = Locator(config)
        await locator.start()
        try:
            assert locator.status().details["Copies In The Engine"] == "1"
            async with aio.Cache("s1", locators=str(locator.address), directory=str(tmp_path / "s1")) as cache:
                region = await cache.create_region("r")
                await region.put("k", "v")
                assert await region.get("k") == "v"
        finally:
            await locator.stop()

    with operator(tmp_path) as there:
        asyncio.run(scenario(there))
    assert PASSWORD not in caplog.text
    assert "PRIVATE KEY" not in caplog.text


@pytest.mark.parametrize(
    ("url", "credentials", "whole"),
    [
        ("nats://h1:1,h2:2", "u:p", "nats://u:p@h1:1,h2:2"),
        ("tls://h", "to/ken", "tls://to%2Fken@h"),
        ("h", "u:p:q", "nats://u:p%3Aq@h"),
    ],
)
def test_credentials_from_a_file_get_into_the_url(url: str, credentials: str, whole: str) -> None:
    assert with_credentials(url, credentials) == whole


@pytest.mark.parametrize(("url", "credentials"), [("nats://u:p@h", "u:p"), ("nats://h", ""), ("nats://h", "a\nb")])
def test_credentials_that_do_not_fit_are_refused_without_being_told(url: str, credentials: str) -> None:
    with pytest.raises(UsageError, match="engine-credentials-file") as caught:
        with_credentials(url, credentials)
    assert "u:p" not in str(caught.value).replace("user:password", "")
