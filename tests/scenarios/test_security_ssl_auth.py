"""Scenarios of area security-ssl-auth about TLS: real sockets and certificates between a sender and a receiver.

The engine is the simulated one, on the machine's own time; both directions of a WAN are two worlds.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import heliograph
from heliograph.errors import UsageError
from heliograph.member.receiver import GatewayReceiver
from heliograph.member.sender import GatewaySender
from heliograph.model.tls import NO_TLS, TlsProperties, TlsStores
from heliograph.net.connection import Link
from heliograph.net.real import RealNetwork
from heliograph.net.seam import Network
from heliograph.net.tls import TLS13_CIPHERS
from tests.certificates import Authority
from tests.member.wan import BUCKETS, World

HOST = "127.0.0.1"
MOST_S = 60.0


class TlsWorld(World):
    """Two sites over loopback, each with TLS of its own."""

    def __init__(self, here: TlsProperties, there: TlsProperties) -> None:
        self.here, self.there = here, there
        super().__init__(random.Random(1))

    def network_of(self, name: str) -> Network:
        return RealNetwork(self.there if name == "far" else self.here).to("gateway")

    def hostname_of(self, name: str) -> str:
        return HOST

    async def sending(self) -> GatewaySender:
        """Start the sender of this site, which ships every bucket."""
        sender = await self.sender()
        for bucket in range(BUCKETS):
            sender.activate("r", bucket, 1)
        return sender

    async def listening(self) -> GatewayReceiver:
        """Start the receiver of the other site."""
        return await self.receiver(bind_address=HOST, start_port=20_000, end_port=24_000)

    async def listening_anew(self, there: TlsProperties) -> None:
        """Restart the receiver with other properties."""
        await self.receivers.pop().stop()
        self.there = there
        await self.listening()

    async def refused(self, sender: GatewaySender, *words: str) -> None:
        """Wait until a sender says why it has no connection; it runs, and nothing has arrived."""
        await self.until(lambda: any(word in sender.status().error for word in words))
        assert sender.status().status == "Running, not Connected"
        assert not self.links()
        assert self.arrived("r", 0) == []

    def links(self) -> list[Link]:
        """The open links of the receivers."""
        servers = [receiver._server for receiver in self.receivers]
        return [link for server in servers if server is not None for link in server.links if link.opened]


def play(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(MOST_S):
            await scenario()

    asyncio.run(whole())


def gateway(stores: TlsStores, **more: Any) -> TlsProperties:
    return TlsProperties(enabled_components=("gateway",), stores=stores, **more)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def test_sec_ssl_both(authority: Authority) -> None:
    async def scenario() -> None:
        async with TlsWorld(gateway(authority.stores("ln")), gateway(authority.stores("ny"))) as world:
            await world.listening()
            await world.sending()
            keys = [f"k{number}" for number in range(1000)]
            for at in range(0, 1000, 100):
                await world.append("r", at // 100 % 4, *keys[at : at + 100])
            await world.until(lambda: len(world.order) == 1000)
            assert all(link.tls.startswith("TLSv1") for link in world.links())
            assert world.links()

    play(scenario)


def test_sec_ssl_receiver_only(authority: Authority) -> None:
    async def scenario() -> None:
        async with TlsWorld(NO_TLS, gateway(authority.stores("ny"))) as world:
            await world.listening()
            sender = await world.sending()
            keys = [f"k{number}" for number in range(10)]
            await world.append("r", 0, *keys)
            await world.refused(sender, "this port speaks TLS, and you don't: enable gateway")
            await world.until(lambda: sender.status().queued == 10)
            await world.listening_anew(NO_TLS)
            await world.until(lambda: world.first_arrived("r", 0) == keys)

    play(scenario)


def test_sec_ssl_sender_only(authority: Authority) -> None:
    async def scenario() -> None:
        async with TlsWorld(gateway(authority.stores("ln")), NO_TLS) as world:
            await world.listening()
            sender = await world.sending()
            await world.append("r", 0, "k")
            await world.refused(sender, "as who does not speak TLS here does")

    play(scenario)


@pytest.mark.parametrize(
    ("here", "there", "agreed"),
    [
        (
            {"protocols": ("TLSv1.2",), "ciphers": ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",)},
            {
                "protocols": ("TLSv1.2",),
                "ciphers": ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"),
            },
            "TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256",
        ),
        (
            {"protocols": ("TLSv1.3",), "ciphers": TLS13_CIPHERS[:1]},
            {"protocols": ("TLSv1.2", "TLSv1.3"), "ciphers": TLS13_CIPHERS},
            "TLSv1.3 TLS_AES_256_GCM_SHA384",
        ),
        ({"protocols": ("TLSv1.2", "TLSv1.3")}, {"protocols": ("TLSv1.2",)}, "TLSv1.2 "),
    ],
)
def test_sec_ssl_protocols_ciphers_valid(
    authority: Authority, here: dict[str, Any], there: dict[str, Any], agreed: str
) -> None:
    one, other = gateway(authority.stores("ln"), **here), gateway(authority.stores("ny"), **there)

    async def scenario() -> None:
        for near, far in ((one, other), (other, one)):
            async with TlsWorld(near, far) as world:
                await world.listening()
                await world.sending()
                await world.append("r", 0, "k")
                await world.until(lambda world=world: world.arrived("r", 0) == ["k"])  # type: ignore[misc]
                assert {link.tls.startswith(agreed) for link in world.links()} == {True}

    play(scenario)


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ({"ciphers": ("ECDHE-ECDSA-AES128-GCM-SHA256",)}, {"ciphers": ("ECDHE-ECDSA-AES256-GCM-SHA384",)}),
        ({"protocols": ("TLSv1.3",), "ciphers": TLS13_CIPHERS}, {"ciphers": ("ECDHE-ECDSA-AES256-GCM-SHA384",)}),
        ({"protocols": ("TLSv1.2",)}, {"protocols": ("TLSv1.3",)}),
    ],
)
def test_sec_ssl_protocols_ciphers_mismatch(authority: Authority, here: dict[str, Any], there: dict[str, Any]) -> None:
    one, other = gateway(authority.stores("ln"), **here), gateway(authority.stores("ny"), **there)

    async def scenario() -> None:
        for near, far in ((one, other), (other, one)):
            async with TlsWorld(near, far) as world:
                await world.listening()
                sender = await world.sending()
                await world.append("r", 0, "k")
                await world.refused(sender, "that both ends allow")

    play(scenario)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ssl-ciphers", "TLS_NO_SUCH_SUITE", "there is no cipher suite 'TLS_NO_SUCH_SUITE'"),
        ("ssl-protocols", "TLSv9", "there is no 'TLSv9'"),
    ],
)
def test_sec_ssl_nonexistent_cipher(authority: Authority, tmp_path: Path, name: str, value: str, message: str) -> None:
    stores = authority.stores("ln")
    given = {"ssl-enabled-components": "gateway", "ssl-keystore": stores.keystore, "ssl-truststore": stores.truststore}

    async def scenario() -> None:
        with pytest.raises(UsageError, match=message):  # whoever would send or receive does not even start
            await heliograph.aio.Cache(
                "s1", locators="127.0.0.1[1]", directory=str(tmp_path), security_properties_file={**given, name: value}
            ).open()

    play(scenario)


def test_sec_hostname_validation_fails(authority: Authority) -> None:
    checking = gateway(authority.stores("ln"), endpoint_identification_enabled=True)
    nameless = gateway(authority.stores("nameless", hosts=("elsewhere.example",)))

    async def scenario() -> None:
        async with TlsWorld(checking, nameless) as world:
            await world.listening()
            sender = await world.sending()
            await world.append("r", 0, "k")
            await world.refused(sender, "the certificate of the other end is refused: IP address mismatch")
            await world.listening_anew(gateway(authority.stores("ny")))
            await world.until(lambda: world.arrived("r", 0) == ["k"])

    play(scenario)
