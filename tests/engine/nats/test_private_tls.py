"""A private engine that speaks TLS: who is let in, keys with passwords, certificates that are renewed."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from pathlib import Path

import pytest

from heliograph.engine.nats.conf import EngineOptions
from heliograph.engine.nats.engine import connect_engine
from heliograph.engine.nats.server import PrivateEngine
from heliograph.engine.nats.server_tls import KEYSTORE, EngineServerTls
from heliograph.errors import HeliographError, UsageError
from heliograph.model.engine_tls import EngineTls
from heliograph.model.tls import TlsProperties, TlsStores
from heliograph.net.tls import TlsContext, TlsContexts
from tests.certificates import Authority

PASSWORD = "open-sesame"


def contexts_of(stores: TlsStores) -> TlsContexts:
    return TlsContexts(TlsProperties(enabled_components=("cluster",), stores=stores))


def connecting(contexts: TlsContexts) -> TlsContext:
    context = contexts.connecting("engine")
    assert context is not None
    return context


def test_only_who_has_a_certificate_is_let_in_and_new_ones_are_used(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    stores = authority.stores("engine", password=PASSWORD)
    own = contexts_of(stores)
    tls = EngineServerTls(stores.keystore, stores.keystore_password, stores.truststore)
    engine = PrivateEngine(tmp_path / "engine", EngineOptions(tls=tls), lambda: connecting(own))
    keystore, copy = Path(stores.keystore), tmp_path / "engine" / KEYSTORE
    half = tmp_path / "half.pem"
    half.write_text("half written")
    nobody = EngineTls(ca=Path(stores.truststore).read_text())

    async def main() -> None:
        await engine.start()
        try:
            assert engine.url.startswith("tls://")
            assert PASSWORD not in repr(tls)
            assert copy.stat().st_mode & 0o777 == 0o600
            await (await connect_engine(engine.url, contexts=lambda: connecting(own))).close()
            with pytest.raises(HeliographError):
                await connect_engine(engine.url, nobody)
            with pytest.raises(UsageError, match="is not trusted"):
                await connect_engine(engine.url)

            before = copy.read_bytes()
            shutil.copy(half, keystore)
            with pytest.raises(UsageError, match=r"the engine can't use .*engine\.pem"):
                await engine.tend()
            assert copy.read_bytes() == before
            await engine.tend()  # which was told once
            shutil.copy(authority.stores("renewed", password=PASSWORD).keystore, stores.keystore)
            await engine.tend()
            assert copy.read_bytes() != before
            async with asyncio.timeout(10):
                while await shown(engine) != certificate_in(copy):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            await (await connect_engine(engine.url, contexts=lambda: connecting(own))).close()
        finally:
            await engine.stop()

    async def shown(engine: PrivateEngine) -> bytes:
        """Return the certificate that the engine shows."""
        reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
        try:
            await reader.readline()
            await writer.start_tls(connecting(own))
            return bytes(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        finally:
            writer.close()

    asyncio.run(main())


def certificate_in(file: Path) -> bytes:
    text = file.read_text()
    return ssl.PEM_cert_to_DER_cert(text[: text.index("-----END CERTIFICATE-----") + 26])
