"""How the `ssl-*` properties are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.config.reading import read_settings
from heliograph.errors import UsageError
from heliograph.model.tls import TlsProperties, TlsStores


def test_every_property_is_read(tmp_path: Path) -> None:
    file = tmp_path / "ssl.properties"
    file.write_text(
        "ssl-enabled-components=gateway, web\nssl-keystore=k.pem\nssl-keystore-type=PEM\nssl-keystore-password=p\n"
        "ssl-truststore=/t.pem\nssl-truststore-type=pem\nssl-protocols=TLSv1.2 TLSv1.3\nssl-client-protocols=any\n"
        "ssl-server-protocols=TLSv1.3\nssl-ciphers=any\nssl-require-authentication=false\n"
        "ssl-web-require-authentication=true\nssl-endpoint-identification-enabled=true\n"
        "ssl-require-site-identity=true\nssl-gateway-keystore=g.pem\nssl-gateway-truststore=gt.pem\n"
    )
    settings = read_settings("server", file)
    assert settings.options == {}
    assert settings.tls == TlsProperties(
        enabled_components=("gateway", "web"),
        stores=TlsStores(keystore=str(tmp_path / "k.pem"), keystore_password="p", truststore="/t.pem"),
        overrides={"gateway": TlsStores(keystore=str(tmp_path / "g.pem"), truststore=str(tmp_path / "gt.pem"))},
        protocols=("TLSv1.2", "TLSv1.3"),
        server_protocols=("TLSv1.3",),
        require_authentication=False,
        web_require_authentication=True,
        endpoint_identification_enabled=True,
        require_site_identity=True,
    )
    assert read_settings("server", settings.passed_on).tls == settings.tls


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ssl-keystore-type=JKS", r"p:1: ssl-keystore-type: files are PEM here, not JKS: keytool -importkeystore"),
        ("ssl-truststore-type=PKCS12", "files are PEM here, not PKCS12: openssl pkcs12"),
        ("ssl-truststore-password=x", r"p:1: ssl-truststore-password is not offered: a PEM file of"),
        ("ssl-use-default-context=true", "it is the JVM's: name the files"),
        ("ssl-parameter-extension=a.B", "names a class for the JVM"),
        ("ssl-gateway-alias=x", "ssl-gateway-alias is not offered: .* as with ssl-gateway-keystore"),
        ("gateway-ssl-enabled=true", "gateway-ssl-enabled is not offered: it is an old name"),
        ("ssl-keystor=x", "there is no property ssl-keystor: do you mean ssl-keystore"),
        ("ssl-require-authentication=1", r"p:1: ssl-require-authentication: write true or false"),
        ("\n\nssl-enabled-components=jmx", r"p:3: ssl-enabled-components: there is no jmx here"),
        ("ssl-enabled-components=gateway", r"s\.p: ssl-keystore: name a PEM file"),
    ],
)  # fmt: skip
def test_what_is_not_meant_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "s.p"
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_settings("locator", file)


def test_no_error_tells_a_password() -> None:
    with pytest.raises(UsageError) as caught:
        read_settings("locator", {"ssl-keystore-password": "open-sesame"})
    assert "sesame" not in str(caught.value)
