"""What the peer of one link may ask: looked up once for each region, or key, and remembered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from heliograph.errors import NotAuthorizedError, UsageError
from heliograph.guard.manager import Manager, Principal
from heliograph.link.messages import Request
from heliograph.model.keys import KEY_TYPES
from heliograph.security.permissions import SITE, Permission, key_text
from heliograph.security.requirements import RULES, SIGNED_IN, needed_for

REMEMBERED_MAX = 10_000
"""Permissions of one link, so many keys of those who have keys only."""


class Access:
    """One principal's permissions on one link. base: what it needed to open it.

    Only what is allowed is remembered; `still_allowed` asks for all of it again.
    """

    __slots__ = ("_allowed", "_by_region", "_manager", "base", "principal")

    def __init__(self, manager: Manager, principal: Principal, base: Permission | None) -> None:
        self.principal = principal
        self.base = base
        self._manager = manager
        self._by_region: set[tuple[type, str]] = set()
        """(kind of request, region) of what is allowed whatever its keys are: all that most requests look at."""
        self._allowed: set[Permission] = set()

    def check(self, message: Request) -> None:
        """Raise NotAuthorizedError unless the request is allowed, AuthenticationExpiredError."""
        kind = type(message)
        region = getattr(message, "region", "")
        if (kind, region) in self._by_region:
            return
        rule = RULES.get(kind)
        if rule is None:
            raise NotAuthorizedError(f"user {self.principal} may not ask {kind.__name__}")
        if rule is SIGNED_IN:
            return
        needed = needed_for(message)
        if needed is None or self._may(needed):
            if rule.resource != SITE and len(self._by_region) < REMEMBERED_MAX:
                self._by_region.add((kind, region))
            return
        if not rule.keys:
            raise self._refused(needed)
        keys = getattr(message, rule.keys)
        self._check_keys(needed, keys if rule.keys == "keys" else [keys])

    def demand(self, needed: Permission) -> None:
        """Raise NotAuthorizedError unless that is allowed."""
        if not self._may(needed):
            raise self._refused(needed)

    def still_allowed(self) -> bool:
        """Say whether what was allowed still is. Raises AuthenticationExpiredError."""
        needed = self._allowed if self.base is None else {self.base, *self._allowed}
        return self._manager.holds(self.principal) and all(
            self._manager.authorize(self.principal, permission) for permission in needed
        )

    def _check_keys(self, needed: Permission, keys: Sequence[Any]) -> None:
        if not keys:
            raise self._refused(needed)
        for key in keys:
            if type(key) not in KEY_TYPES:
                raise UsageError(f"a {type(key).__name__} can't be a key: keys are str, int or bytes")
            of_key = Permission(needed.resource, needed.operation, needed.target, key_text(key))
            if not of_key.key or not self._may(of_key):
                raise self._refused(of_key)

    def _may(self, permission: Permission) -> bool:
        if permission in self._allowed:
            return True
        if not self._manager.authorize(self.principal, permission):
            return False
        if len(self._allowed) < REMEMBERED_MAX:
            self._allowed.add(permission)
        return True

    def _refused(self, needed: Permission) -> NotAuthorizedError:
        return NotAuthorizedError(f"user {self.principal} is not authorized for {needed}")
