"""The rules of the `ssl-*` properties."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from heliograph.errors import UsageError
from heliograph.model.tls import COMPONENTS, NO_TLS, PORTS, TlsProperties, TlsStores

FILES = TlsStores(keystore="k.pem", truststore="t.pem")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"enabled_components": ("jmx",)}, "ssl-enabled-components: there is no jmx here.*enable web"),
        ({"enabled_components": ("gatway",)}, "'gatway' is no component, there are cluster, gateway"),
        ({"stores": FILES}, "ssl-keystore, ssl-truststore: no effect without ssl-enabled-components"),
        ({"require_site_identity": True}, "ssl-require-site-identity: no effect without"),
        ({"enabled_components": ("gateway",)}, r"ssl-keystore: .*gateway asks .* \(ssl-require-authentication=true\)"),
        (
            {"enabled_components": ("gateway",), "require_authentication": False},
            "ssl-truststore: name a PEM file with the certificates of the authorities that gateway trusts",
        ),
        (
            {"enabled_components": ("all",), "stores": FILES, "overrides": {"jmx": FILES}},
            "ssl-jmx-keystore: there is no jmx here",
        ),
        (
            {"enabled_components": ("web",), "stores": FILES, "overrides": {"gateway": FILES}},
            "ssl-gateway-keystore: no effect, for gateway is not one of",
        ),
        (
            {"enabled_components": ("web",), "stores": TlsStores(keystore_password="p")},
            "ssl-keystore-password: no effect without ssl-keystore",
        ),
        ({"enabled_components": ("web",), "stores": FILES, "protocols": ("TLSv1.1",)}, "TLSv1.1 is not safe any more"),
        ({"enabled_components": ("web",), "stores": FILES, "protocols": ("TLS9",)}, "there is no 'TLS9'"),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TlsProperties(**fields)


def test_a_port_speaks_tls_as_soon_as_one_of_its_components_does() -> None:
    for component in COMPONENTS:
        tls = TlsProperties(enabled_components=(component,), stores=FILES, web_require_authentication=True)
        for port, components in PORTS.items():
            assert (tls.component_of(port) is not None) == (component in components)
            assert NO_TLS.component_of(port) is None
    everything = TlsProperties(enabled_components=("all",), stores=FILES)
    assert {everything.component_of(port) for port in PORTS} == set(COMPONENTS)


def test_a_component_has_its_own_files_and_else_the_general_ones() -> None:
    own = TlsStores(keystore="g.pem", keystore_password="p")
    tls = TlsProperties(enabled_components=("all",), stores=FILES, overrides={"gateway": own})
    assert tls.stores_of("gateway") == TlsStores(keystore="g.pem", keystore_password="p", truststore="t.pem")
    assert tls.stores_of("locator") == FILES
    trust = TlsStores(truststore="g.pem")
    tls = TlsProperties(enabled_components=("all",), stores=FILES, overrides={"gateway": trust})
    assert tls.stores_of("gateway") == TlsStores(keystore="k.pem", truststore="g.pem")


def test_who_listens_needs_a_certificate() -> None:
    tls = TlsProperties(
        enabled_components=("gateway",), require_authentication=False, stores=TlsStores(truststore="t.pem")
    )
    tls.check_listening("locator", "member")
    with pytest.raises(UsageError, match="ssl-keystore: gateway is enabled"):
        tls.check_listening("member", "gateway")


def test_nothing_shows_a_password_and_everything_survives_the_way_to_a_daemon() -> None:
    stores = TlsStores(keystore="k.pem", keystore_password="open-sesame", truststore="t.pem")
    tls = TlsProperties(enabled_components=("all",), stores=stores, overrides={"web": stores})
    assert "sesame" not in f"{tls!r} {tls} {stores!r}"
    assert msgspec.convert(msgspec.to_builtins(tls), TlsProperties) == tls
