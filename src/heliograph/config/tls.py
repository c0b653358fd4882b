"""The `ssl-*` properties as they are written, read into `model.tls.TlsProperties` (spec: configuration.md §6.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heliograph.config.known import boolean, names
from heliograph.errors import UsageError
from heliograph.model.tls import COMPONENTS, TlsProperties, TlsStores

PREFIX = "ssl-"
_LISTS = {
    "ssl-enabled-components": "enabled_components",
    "ssl-protocols": "protocols",
    "ssl-client-protocols": "client_protocols",
    "ssl-server-protocols": "server_protocols",
    "ssl-ciphers": "ciphers",
}
_SWITCHES = {
    "ssl-require-authentication": "require_authentication",
    "ssl-web-require-authentication": "web_require_authentication",
    "ssl-endpoint-identification-enabled": "endpoint_identification_enabled",
    "ssl-require-site-identity": "require_site_identity",
}
_STORES = {
    f"ssl-{f'{component}-' if component else ''}{field.replace('_', '-')}": (component, field)
    for component in ("", *COMPONENTS)
    for field in TlsStores.__struct_fields__
}
_TYPES = ("ssl-keystore-type", "ssl-truststore-type")
KNOWN = frozenset({*_LISTS, *_SWITCHES, *_STORES, *_TYPES})
FILES = frozenset(name for name, (_, field) in _STORES.items() if not field.endswith("password"))

_CONVERT = {
    "JKS": "keytool -importkeystore -srckeystore store.jks -destkeystore store.p12 -deststoretype PKCS12, and then "
    "openssl pkcs12 -in store.p12 -out store.pem",
    "PKCS12": "openssl pkcs12 -in store.p12 -out store.pem",
}
_NO_ALIAS = "a PEM file holds one certificate with its key: name a file of its own, as with ssl-gateway-keystore"
REFUSED: Mapping[str, str] = {
    "ssl-truststore-password": "a PEM file of certificates has no password: remove it",
    "ssl-use-default-context": "it is the JVM's: name the files, with ssl-keystore and ssl-truststore",
    "ssl-parameter-extension": "it names a class for the JVM: use ssl-protocols and ssl-ciphers",
    **{f"ssl-{name}-alias": _NO_ALIAS for name in ("default", "jmx", *COMPONENTS)},
}


def refusal(name: str) -> str | None:
    """Return why a property about TLS is not meant here; None when it is, or is about something else."""
    if name in REFUSED:
        return REFUSED[name]
    component, found, _ = name.partition("-ssl-")
    if found and component in (*COMPONENTS, "jmx", "http-service"):
        return "it is an old name: use ssl-enabled-components and the ssl-... properties"
    return None


def read_tls(given: Mapping[str, str]) -> TlsProperties:
    """Make the struct of properties that are `KNOWN`. Raises UsageError that begins with the property's name."""
    fields: dict[str, Any] = {}
    stores: dict[str, dict[str, str]] = {}
    for name, value in given.items():
        if name in _LISTS:
            fields[_LISTS[name]] = () if value.lower() == "any" else names(value)
        elif name in _SWITCHES:
            try:
                fields[_SWITCHES[name]] = boolean(value)
            except ValueError as exc:
                raise UsageError(f"{name}: {exc}") from exc
        elif name in _STORES:
            component, field = _STORES[name]
            stores.setdefault(component, {})[field] = value
        elif value.upper() not in ("PEM", ""):
            how = _CONVERT.get(value.upper(), "convert it")
            raise UsageError(f"{name}: files are PEM here, not {value}: {how}")
    general = TlsStores(**stores.pop("", {}))
    overrides = {component: TlsStores(**own) for component, own in stores.items() if any(own.values())}
    return TlsProperties(**fields, stores=general, overrides=overrides)
