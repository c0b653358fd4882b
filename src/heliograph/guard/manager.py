"""Security managers, as the gatekeeper sees them: a plug-in of the user's, and what loads it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

from heliograph.errors import AuthenticationError, AuthenticationExpiredError
from heliograph.model.plugins import load_plugin
from heliograph.security.permissions import Permission

LOOKS_BETWEEN = 5
"""A plug-in is asked anew about every open link at each so-manieth look."""

_log = logging.getLogger(__name__)

Principal = Any
"""Whoever a manager says it is; its text is its name."""


class Manager(Protocol):
    """Knows users. What is slow is called in a thread."""

    def known(self, credentials: Mapping[str, str]) -> Principal | None:
        """Return whose credentials these are when that was found out before. Quick."""
        ...

    def authenticate(self, credentials: Mapping[str, str]) -> Principal:
        """Find out whose credentials these are. Raises AuthenticationError. Slow."""
        ...

    def authorize(self, principal: Principal, permission: Permission) -> bool:
        """Say whether somebody may do something. Raises AuthenticationExpiredError. Quick."""
        ...

    def holds(self, principal: Principal) -> bool:
        """Say whether somebody is still who it was found to be. Quick."""
        ...

    def look(self) -> bool:
        """Called every second: say whether what was answered before may be wrong now. Slow."""
        ...


class PluginManager:
    """A user's own manager: `authenticate(credentials) -> principal`, `authorize(principal, permission) -> bool`.

    What it raises is told by its class alone, for its text may hold a secret; AuthenticationError is taken at its word.
    """

    def __init__(self, name: str) -> None:
        self._name = name.partition("{")[0]
        self._plugin = load_plugin("security manager", name, ("authenticate", "authorize"))
        self._looks = 0

    def known(self, credentials: Mapping[str, str]) -> Principal | None:  # noqa: ARG002  (it may have changed its mind)
        """Return None: it is asked each time."""
        return None

    def authenticate(self, credentials: Mapping[str, str]) -> Principal:
        """Ask the plug-in."""
        try:
            principal = self._plugin.authenticate(dict(credentials))
        except AuthenticationError:
            raise
        except Exception as exc:
            raise AuthenticationError(f"the security manager {self._name} failed: {type(exc).__name__}") from None
        if principal is None:
            raise AuthenticationError("the security manager does not know these credentials")
        return principal

    def authorize(self, principal: Principal, permission: Permission) -> bool:
        """Ask the plug-in; where it fails, nothing is allowed."""
        try:
            return self._plugin.authorize(principal, permission) is True
        except AuthenticationExpiredError:
            raise
        except Exception as exc:
            _log.warning("security manager failed manager=%s error=%s", self._name, type(exc).__name__)
            return False

    def holds(self, principal: Principal) -> bool:  # noqa: ARG002
        """Return True: it says so by what it raises when it is asked for a permission."""
        return True

    def look(self) -> bool:
        """Say so from time to time: nobody tells when a plug-in changes its mind."""
        self._looks += 1
        return self._looks % LOOKS_BETWEEN == 0
