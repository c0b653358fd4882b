"""TLS on real sockets: what is agreed on, who is refused and what both ends say about it, and new certificates."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import logging
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop

from heliograph.errors import HeliographError, PeerError, UsageError
from heliograph.link import messages
from heliograph.link.hello import Hello
from heliograph.link.strangers import REFUSALS_LOGGED_OF_ADDRESS, STRANGERS_OF_ADDRESS_MAX
from heliograph.model.ids import Address
from heliograph.model.tls import TlsProperties, TlsStores
from heliograph.net.link import BaseHandler, Link, LinkServer, call_once, connect_link, serve_links
from heliograph.net.real import RealNetwork
from heliograph.net.tls import TLS13_CIPHERS, TlsContexts, openssl_name
from tests.certificates import Authority

SENDER, RECEIVER = Hello("sender", "s", 1), Hello("receiver", "r", 2)
HOST = "127.0.0.1"
WITHIN_S = 1.0
"""A refusal takes no longer."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def on_both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(**given: Any) -> None:
        for loop_factory in (asyncio.SelectorEventLoop, uvloop.new_event_loop):
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                runner.run(test(**given))

    return run


def of_gateway(stores: TlsStores, **more: Any) -> TlsProperties:
    return TlsProperties(enabled_components=("gateway",), stores=stores, **more)


class Answering(BaseHandler):
    def on_request(self, link: Link, message: messages.Request) -> messages.Reply:
        return messages.Status("Server", link.peer.name, Address("h", 1), 1, 1, "", "", "", {"big": "x" * 3_000_000})


@asynccontextmanager
async def listening(tls: TlsProperties, hello: Hello = RECEIVER) -> AsyncIterator[Address]:
    server: LinkServer = await serve_links(RealNetwork(tls).to("gateway"), HOST, 0, hello, lambda _hello: Answering())
    try:
        yield Address(HOST, server.port)
    finally:
        await server.close()


async def connect(tls: TlsProperties, address: Address, hello: Hello = SENDER) -> Link:
    return await connect_link(RealNetwork(tls).to("gateway"), address, hello, BaseHandler(), timeout_s=5)


async def refused(tls: TlsProperties, address: Address, hello: Hello = SENDER) -> str:
    """Connect, which has to fail soon, and return the reason."""
    async with asyncio.timeout(WITHIN_S):
        with pytest.raises(HeliographError) as caught:
            await connect(tls, address, hello)
    assert isinstance(caught.value, PeerError), caught.value
    return str(caught.value)


async def logged(caplog: pytest.LogCaptureFixture, words: str) -> None:
    async with asyncio.timeout(WITHIN_S):
        while words not in caplog.text:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@on_both_loops
async def test_both_ends_show_certificates_and_agree(authority: Authority) -> None:
    async with listening(of_gateway(authority.stores("r"))) as address:
        link = await connect(of_gateway(authority.stores("s")), address)
        assert link.tls.startswith("TLSv1.3 TLS_AES_256_GCM_SHA384")
        status = await link.call(messages.StatusQuery(), timeout_s=5)
        assert isinstance(status, messages.Status)
        assert len(status.details["big"]) == 3_000_000
        link.close()
        await link.wait_closed()


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@on_both_loops
async def test_without_a_certificate_nobody_is_let_in(
    authority: Authority, caplog: pytest.LogCaptureFixture, version: str
) -> None:
    nobody = TlsStores(truststore=authority.stores("s").truststore)
    async with listening(of_gateway(authority.stores("r"), protocols=(version,))) as address:
        reason = await refused(of_gateway(nobody, require_authentication=False), address)
        assert "TLS failed" in reason or "hung up" in reason
        await logged(caplog, "the other end shows no certificate: it needs ssl-keystore")
        await (await connect(of_gateway(authority.stores("s")), address)).wait_opened()
    async with listening(of_gateway(authority.stores("r"), require_authentication=False)) as address:
        await (await connect(of_gateway(nobody, require_authentication=False), address)).wait_opened()


@on_both_loops
async def test_a_stranger_is_refused_by_both_ends(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = Authority(tmp_path)
    async with listening(of_gateway(authority.stores("r"))) as address:
        assert "certificate of the other end is refused" in await refused(of_gateway(other.stores("s")), address)
        forged = TlsStores(keystore=other.stores("s").keystore, truststore=authority.stores("r").truststore)
        assert "it does not trust who signed this end's certificate" in await refused(of_gateway(forged), address)
        await logged(caplog, "the certificate of the other end is refused: ")
        await (await connect(of_gateway(authority.stores("s")), address)).wait_opened()


@on_both_loops
async def test_an_expired_certificate_is_refused(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    expired = authority.stores("old", not_after=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    async with listening(of_gateway(authority.stores("r"))) as address:
        assert "refuses this end's certificate as expired" in await refused(of_gateway(expired), address)
        await logged(caplog, "certificate has expired")
    async with listening(of_gateway(expired)) as address:
        assert "certificate has expired" in await refused(of_gateway(authority.stores("s")), address)


@on_both_loops
async def test_the_host_is_checked_when_that_is_asked_for(authority: Authority) -> None:
    elsewhere = of_gateway(authority.stores("else", hosts=("elsewhere.example",)))
    async with listening(elsewhere) as address:
        checking = of_gateway(authority.stores("s"), endpoint_identification_enabled=True)
        assert "IP address mismatch" in await refused(checking, address)
        await (await connect(of_gateway(authority.stores("s")), address)).wait_opened()
    async with listening(of_gateway(authority.stores("r"))) as address:
        await (await connect(checking, address)).wait_opened()


@on_both_loops
async def test_a_plain_peer_is_told_that_this_port_speaks_tls(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(of_gateway(authority.stores("r"))) as address:
        reason = await refused(TlsProperties(), address)
        assert "this port speaks TLS, and you don't: enable gateway in ssl-enabled-components" in reason
        await logged(caplog, "the other end does not speak TLS, and this port does")


@on_both_loops
async def test_a_peer_with_tls_is_refused_by_a_plain_port(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(TlsProperties()) as address:
        assert "as who does not speak TLS here does" in await refused(of_gateway(authority.stores("s")), address)
        await logged(caplog, "the other end speaks TLS, and this one does not")


@on_both_loops
async def test_who_says_nothing_is_cut_off(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    async with listening(of_gateway(authority.stores("r"))) as address:
        reader, writer = await asyncio.open_connection(address.host, address.port)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
        assert "no TLS handshake within 2 s" in caplog.text


@on_both_loops
async def test_many_who_say_nothing_are_pushed_out_and_a_few_of_them_logged(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    async with listening(of_gateway(authority.stores("r"))) as address:
        silent = [
            await asyncio.open_connection(address.host, address.port) for _ in range(STRANGERS_OF_ADDRESS_MAX + 5)
        ]
        try:
            link = await connect(of_gateway(authority.stores("s")), address)
            assert link.opened
            first, _ = silent[0]
            async with asyncio.timeout(5):
                with suppress(ConnectionError):
                    assert await first.read() == b""
            assert 1 <= caplog.text.count("too many handshakes are under way") <= REFUSALS_LOGGED_OF_ADDRESS
        finally:
            for _, writer in silent:
                writer.close()


@on_both_loops
async def test_the_site_of_a_certificate_is_that_of_the_hello(authority: Authority) -> None:
    three = authority.stores("three", site=3)
    async with listening(of_gateway(authority.stores("r"))) as address:
        reason = await refused(of_gateway(three), address)
        assert "the certificate of sender s of site 1 is of site 3" in reason
        await (await connect(of_gateway(authority.stores("one", site=1)), address)).wait_opened()
    async with listening(of_gateway(three)) as address:
        assert "of receiver r of site 2 is of site 3" in await refused(of_gateway(authority.stores("s")), address)


@on_both_loops
async def test_a_certificate_has_to_name_its_site_when_that_is_asked_for(authority: Authority) -> None:
    async with listening(of_gateway(authority.stores("r"), require_site_identity=True)) as address:
        reason = await refused(of_gateway(authority.stores("s")), address)
        assert "give it the URI urn:heliograph:site:1" in reason
        await (await connect(of_gateway(authority.stores("one", site=1)), address)).wait_opened()


@on_both_loops
async def test_new_files_are_used_and_broken_ones_are_not(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    live = tmp_path / "live.pem"
    shutil.copy(authority.stores("r").keystore, live)
    stores = TlsStores(keystore=str(live), truststore=authority.stores("r").truststore)
    own = of_gateway(authority.stores("s"), endpoint_identification_enabled=True)
    async with listening(of_gateway(stores)) as address:
        first = await connect(own, address)
        live.write_text("nonsense")
        await (await connect(own, address)).wait_opened()
        assert "new certificates not used component=gateway" in caplog.text
        shutil.copy(authority.stores("else", hosts=("elsewhere.example",)).keystore, live)
        assert "IP address mismatch" in await refused(own, address)
        assert not first.closed


@pytest.mark.parametrize(
    ("here", "there", "agreed"),
    [
        ({"protocols": ("TLSv1.2",)}, {}, "TLSv1.2"),
        ({"client_protocols": ("TLSv1.2",)}, {"server_protocols": ("TLSv1.2", "TLSv1.3")}, "TLSv1.2"),
        ({"ciphers": ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",)}, {}, "TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256"),
        ({}, {"ciphers": ("ECDHE-ECDSA-CHACHA20-POLY1305",)}, "TLSv1.2 ECDHE-ECDSA-CHACHA20-POLY1305"),
        ({"ciphers": TLS13_CIPHERS[:1]}, {"ciphers": TLS13_CIPHERS}, "TLSv1.3 TLS_AES_256_GCM_SHA384"),
    ],
)
@on_both_loops
async def test_protocols_and_ciphers_are_kept_to(
    authority: Authority, here: dict[str, Any], there: dict[str, Any], agreed: str
) -> None:
    async with listening(of_gateway(authority.stores("r"), **there)) as address:
        link = await connect(of_gateway(authority.stores("s"), **here), address)
        assert link.tls.startswith(agreed)


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ({"protocols": ("TLSv1.2",)}, {"protocols": ("TLSv1.3",)}),
        ({"protocols": ("TLSv1.3",)}, {"protocols": ("TLSv1.2",)}),
        ({"ciphers": ("ECDHE-ECDSA-AES128-GCM-SHA256",)}, {"ciphers": ("ECDHE-ECDSA-AES256-GCM-SHA384",)}),
    ],
)
@on_both_loops
async def test_without_a_common_one_there_is_no_link(
    authority: Authority, here: dict[str, Any], there: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(of_gateway(authority.stores("r"), **there)) as address:
        assert "that both ends allow" in await refused(of_gateway(authority.stores("s"), **here), address)
        await logged(caplog, "that both ends allow")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"ciphers": ("TLS_NONE_OF_THESE",)}, "ssl-ciphers: there is no cipher suite 'TLS_NONE_OF_THESE'"),
        ({"ciphers": ("HIGH",)}, "there is no cipher suite 'HIGH'"),
        ({"ciphers": TLS13_CIPHERS[1:]}, "only lists with TLS_AES_256_GCM_SHA384 can be kept"),
        ({"ciphers": TLS13_CIPHERS, "protocols": ("TLSv1.2",)}, "none of them is one of ssl-protocols"),
    ],
)
def test_ciphers_that_cannot_be_had_are_refused_at_once(
    authority: Authority, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        RealNetwork(of_gateway(authority.stores("r"), **more))


@pytest.mark.parametrize("file", ["keystore", "truststore"])
def test_files_that_cannot_be_used_are_refused_at_once(authority: Authority, tmp_path: Path, file: str) -> None:
    good = authority.stores("r")
    for text, message in ((None, "does not exist"), ("nonsense", "in PEM form")):
        path = tmp_path / "f.pem"
        if text is not None:
            path.write_text(text)
        named = {"keystore": good.keystore, "truststore": good.truststore, file: str(path)}
        with pytest.raises(UsageError, match=f"ssl-{file}: .*f.pem .*{message}"):
            TlsContexts(of_gateway(TlsStores(**named)))


@on_both_loops
async def test_a_key_may_have_a_password(authority: Authority) -> None:
    secret = authority.stores("secret", password="quiet")
    async with listening(of_gateway(secret)) as address:
        await (await connect(of_gateway(authority.stores("s")), address)).wait_opened()
    for wrong in ("", "loud"):
        stores = TlsStores(keystore=secret.keystore, keystore_password=wrong, truststore=secret.truststore)
        with pytest.raises(UsageError, match="ssl-keystore-password is not that of the key") as caught:
            TlsContexts(of_gateway(stores))
        assert "loud" not in str(caught.value)


@on_both_loops
async def test_one_question_is_answered_over_tls(authority: Authority) -> None:
    async with listening(of_gateway(authority.stores("r"))) as address:
        network = RealNetwork(of_gateway(authority.stores("s"))).to("gateway")
        reply = await call_once(network, address, Hello("operator", "o"), messages.StatusQuery(), timeout_s=5)
        assert isinstance(reply, messages.Status)


@pytest.mark.parametrize(
    ("java", "openssl"),
    [
        ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384"),
        ("TLS_RSA_WITH_AES_128_CBC_SHA", "AES128-SHA"),
        ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"),
        ("ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"),
    ],
)
def test_suites_may_be_written_as_in_java(java: str, openssl: str) -> None:
    assert openssl_name(java) == openssl
