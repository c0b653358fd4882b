"""The TLS of a process: the `ssl-*` properties as one value, and their rules (spec: configuration.md §6.4).

A process listens on ports of several kinds. A port speaks TLS, and nothing else, as soon as one of the components that
use it is enabled, and whoever connects to it goes by the same table:

    port      components        who connects
    locator   locator, cluster  everyone: members (who are told the engine's password), clients, other sites, operators
    member    server, cluster   clients, operators; the site's other members and its locators
    gateway   gateway           gateway senders of other sites
    web       web               operators, to the admin API
    engine    cluster           the site's members and locators, and its engines among themselves
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import msgspec

from heliograph.errors import UsageError

Component: TypeAlias = Literal["cluster", "gateway", "locator", "server", "web"]
Port: TypeAlias = Literal["locator", "member", "gateway", "web", "engine"]

COMPONENTS: tuple[Component, ...] = get_args(Component)
ALL = "all"
PORTS: dict[Port, tuple[Component, ...]] = {
    "locator": ("locator", "cluster"),
    "member": ("server", "cluster"),
    "gateway": ("gateway",),
    "web": ("web",),
    "engine": ("cluster",),
}
"""The components that use a port; the first one that is enabled decides which certificate is shown there."""
PROTOCOLS = ("TLSv1.2", "TLSv1.3")
_OLD_PROTOCOLS = frozenset({"SSL", "SSLv2", "SSLv2Hello", "SSLv3", "TLSv1", "TLSv1.1"})


class TlsStores(msgspec.Struct, frozen=True, kw_only=True):
    """PEM files. keystore: the certificate to show, those between it and its authority, and the key.
    truststore: certificates of the authorities to trust. Of a component's own ones, "" stands for the general one.
    """

    keystore: str = ""
    keystore_password: str = ""
    truststore: str = ""

    def __repr__(self) -> str:
        return f"<keystore {self.keystore or 'none'}, truststore {self.truststore or 'none'}>"


class TlsProperties(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `ssl-*` properties. Raises UsageError, naming the property, when they break a rule.

    enabled_components: those that speak TLS, or "all". stores: for every component; overrides: of some only.
    protocols, client_protocols, server_protocols: versions of TLS, none for any; the last two win where they are given.
    ciphers: cipher suites, none for any.
    require_authentication: who connects has to show a certificate, too (operators to the admin API:
    web_require_authentication). endpoint_identification_enabled: the certificate of whom one connects to has to be for
    the host that was connected to. require_site_identity: certificates between sites have to name the site.
    """

    enabled_components: tuple[str, ...] = ()
    stores: TlsStores = TlsStores()
    overrides: dict[str, TlsStores] = {}
    protocols: tuple[str, ...] = ()
    client_protocols: tuple[str, ...] = ()
    server_protocols: tuple[str, ...] = ()
    ciphers: tuple[str, ...] = ()
    require_authentication: bool = True
    web_require_authentication: bool = False
    endpoint_identification_enabled: bool = False
    require_site_identity: bool = False

    def __post_init__(self) -> None:
        for component in self.enabled_components:
            _check_component("ssl-enabled-components", component)
        given = [name for name in self.__struct_fields__ if getattr(self, name) != _DEFAULTS.get(name)]
        if given and not self.enabled_components:
            raise UsageError(
                f"{', '.join(map(_property_of, given))}: no effect without ssl-enabled-components, which says "
                f"what speaks TLS: {', '.join(COMPONENTS)}, or {ALL}"
            )
        self._check_protocols()
        self._check_stores()

    def __repr__(self) -> str:
        return f"<TLS of {', '.join(self.enabled_components) or 'nothing'}>"

    def shown(self) -> str:
        """Return the components that speak TLS as an operator reads them, "" for none."""
        return ", ".join(component for component in COMPONENTS if self.enables(component))

    def enables(self, component: Component) -> bool:
        """Say whether a component speaks TLS."""
        return component in self.enabled_components or ALL in self.enabled_components

    def component_of(self, port: Port) -> Component | None:
        """Return the component whose certificate is shown at ports of a kind, None where they are plain."""
        return next(filter(self.enables, PORTS[port]), None)

    def stores_of(self, component: Component) -> TlsStores:
        """Return the files of a component: its own, and the general ones where it has none."""
        own = self.overrides.get(component, TlsStores())
        keystore = own if own.keystore else self.stores
        return TlsStores(
            keystore=keystore.keystore,
            keystore_password=keystore.keystore_password,
            truststore=own.truststore or self.stores.truststore,
        )

    def asks_certificates(self, component: Component) -> bool:
        """Say whether who connects has to show a certificate."""
        return self.web_require_authentication if component == "web" else self.require_authentication

    def versions(self, *, listening: bool) -> tuple[str, ...]:
        """Return the versions of TLS to speak, at the end that listens or that connects; none for any."""
        return (self.server_protocols if listening else self.client_protocols) or self.protocols

    def check_listening(self, *ports: Port) -> None:
        """Raise UsageError when a process that listens on such ports has no certificate for one."""
        for port in ports:
            component = self.component_of(port)
            if component is not None and not self.stores_of(component).keystore:
                raise UsageError(
                    f"ssl-keystore: {component} is enabled, so name a PEM file with the certificate that this process "
                    "shows, and its key"
                )

    def _check_protocols(self) -> None:
        for version in (*self.protocols, *self.client_protocols, *self.server_protocols):
            if version in _OLD_PROTOCOLS:
                raise UsageError(f"ssl-protocols: {version} is not safe any more, use {' or '.join(PROTOCOLS)}")
            if version not in PROTOCOLS:
                raise UsageError(f"ssl-protocols: there is no {version!r}, use {', '.join(PROTOCOLS)} or any")

    def _check_stores(self) -> None:
        for name, own in {"": self.stores, **self.overrides}.items():
            option = f"ssl-{name}-keystore" if name else "ssl-keystore"
            if name:
                _check_component(option, name)
                if not self.enables(name):  # type: ignore[arg-type]  # checked just now
                    raise UsageError(f"{option}: no effect, for {name} is not one of ssl-enabled-components")
            if own.keystore_password and not own.keystore:
                raise UsageError(f"{option}-password: no effect without {option}")
        for component in filter(self.enables, COMPONENTS):
            stores = self.stores_of(component)
            if self.asks_certificates(component) and not stores.keystore:
                option = "ssl-web-require-authentication" if component == "web" else "ssl-require-authentication"
                raise UsageError(
                    f"ssl-keystore: name a PEM file with a certificate and its key, for {component} asks whoever "
                    f"connects for one ({option}=true)"
                )
            if not stores.truststore and (component != "web" or self.web_require_authentication):
                raise UsageError(
                    f"ssl-truststore: name a PEM file with the certificates of the authorities that {component} trusts"
                )


def _check_component(option: str, name: str) -> None:
    if name == "jmx":
        raise UsageError(f"{option}: there is no jmx here, operators use the admin API: enable web")
    if name not in COMPONENTS and not (name == ALL and option == "ssl-enabled-components"):
        raise UsageError(f"{option}: {name!r} is no component, there are {', '.join(COMPONENTS)} and {ALL}")


def _property_of(field: str) -> str:
    return "ssl-keystore, ssl-truststore" if field == "stores" else f"ssl-{field.replace('_', '-')}"


_DEFAULTS: dict[str, Any] = {
    each.name: {} if each.name == "overrides" else each.default for each in msgspec.structs.fields(TlsProperties)
}
NO_TLS = TlsProperties()
"""Everything plain."""
