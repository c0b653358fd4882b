"""What a process has of security: who others are to it, and who it is to others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from heliograph.errors import AuthenticationError, UsageError
from heliograph.guard.gatekeeper import Gate, Gatekeeper
from heliograph.guard.manager import Manager, PluginManager
from heliograph.guard.users_file import FileManager
from heliograph.model.plugins import load_plugin
from heliograph.net.identity import Introduction, ServerIdentity
from heliograph.net.real import SystemClock
from heliograph.net.seam import Clock
from heliograph.security.properties import FILE, NO_SECURITY_PROPERTIES, SecurityProperties


class Security:
    """Made from the properties, in the process's event loop.

    gatekeeper: None where there is no security manager, and everybody may do everything.
    to_peers: introduces this process to its own site; to_others: to other sites', or of a client to the site.
    Raises UsageError for what can't be loaded here.
    """

    def __init__(self, properties: SecurityProperties = NO_SECURITY_PROPERTIES, clock: Clock | None = None) -> None:
        self.gatekeeper = None
        if properties.manager:
            self.gatekeeper = Gatekeeper(_manager(properties, clock or SystemClock()))
        self.to_peers = Introduction(_source(properties, properties.peer_auth_init, "peer"), peer=True)
        self.to_others = Introduction(_source(properties, properties.client_auth_init, "client"))

    def gate(self, dsid: Callable[[], int]) -> Gate | None:
        """Return the gate of a port of a process of that site."""
        return None if self.gatekeeper is None else self.gatekeeper.at(dsid)

    async def run(self) -> None:
        """Keep up with what the security manager says, until cancelled."""
        if self.gatekeeper is not None:
            await self.gatekeeper.run()


def signed_in(properties: SecurityProperties, user: str, password: str) -> SecurityProperties:
    """Return properties with another user, where one is given. Raises UsageError."""
    if not user:
        if password:
            raise UsageError("password is given without user")
        return properties
    return msgspec.structs.replace(properties, username=user, password=password, token="", client_auth_init="")


class FixedCredentials:
    """Always the same ones."""

    def __init__(self, credentials: dict[str, str]) -> None:
        self._credentials = credentials

    async def credentials_for(self, server: ServerIdentity) -> dict[str, str]:  # noqa: ARG002
        """Return them."""
        return self._credentials


class ProvidedCredentials:
    """Those that a plug-in gives: `get_credentials(properties, server) -> dict`, asked in a thread for every link."""

    def __init__(self, kind: str, name: str, given: dict[str, str]) -> None:
        self._name = name.partition("{")[0]
        self._given = given
        self._plugin = load_plugin(f"security-{kind}-auth-init", name, ("get_credentials",))

    async def credentials_for(self, server: ServerIdentity) -> dict[str, str]:
        """Ask the plug-in. Raises AuthenticationError, without the words of the plug-in: they may hold a secret."""
        return await asyncio.to_thread(self._ask, server)

    def _ask(self, server: ServerIdentity) -> dict[str, str]:
        try:
            found: Any = self._plugin.get_credentials(dict(self._given), server)
        except Exception as exc:
            raise AuthenticationError(f"the credential provider {self._name} failed: {type(exc).__name__}") from None
        if not isinstance(found, dict) or not all(isinstance(each, str) for item in found.items() for each in item):
            raise AuthenticationError(f"the credential provider {self._name} gave no dict of texts")
        return found


def _manager(properties: SecurityProperties, clock: Clock) -> Manager:
    if properties.manager == FILE:
        return FileManager(Path(properties.users_file), clock)
    return PluginManager(properties.manager)


def _source(properties: SecurityProperties, provider: str, kind: str) -> FixedCredentials | ProvidedCredentials | None:
    given = dict(properties.given)
    if provider:
        return ProvidedCredentials(kind, provider, given)
    return FixedCredentials(given) if properties.username or properties.token else None
