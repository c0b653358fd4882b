"""The users of a file: what `security-manager=file` knows (docs/security.md).

    {"roles": {"watch": ["CLUSTER:READ"]},
     "users": {"ada": {"password": "scrypt:...", "roles": ["watch"], "permissions": ["DATA:READ"], "sites": [2],
                       "expires": "2030-01-01T00:00:00Z"}}}

JSON, or TOML with the same names.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from heliograph.errors import UsageError
from heliograph.model.decoding import MALFORMED
from heliograph.security.passwords import PasswordHash, parse_hash
from heliograph.security.permissions import (
    Grant,
    Permission,
    implied,
    parse_grants,
    site_permission,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
USERNAME, PASSWORD, TOKEN = "security-username", "security-password", "security-token"
"""Names of credentials."""


class _User(msgspec.Struct, forbid_unknown_fields=True):
    password: str
    roles: list[str] = []
    permissions: list[str] = []
    sites: list[int] = []
    expires: datetime | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    users: dict[str, _User]
    roles: dict[str, list[str]] = {}


class User(msgspec.Struct, frozen=True):
    """One user. expires_ms: from when on it is unknown; None for never."""

    name: str
    password: PasswordHash
    grants: tuple[Grant, ...]
    expires_ms: int | None = None

    def __str__(self) -> str:
        return self.name

    def may(self, permission: Permission) -> bool:
        """Say whether the user was granted that."""
        return implied(self.grants, permission)

    def expired(self, now_ms: int) -> bool:
        """Say whether the user's time is over."""
        return self.expires_ms is not None and now_ms >= self.expires_ms


def read_users(data: bytes, *, toml: bool) -> Mapping[str, User]:
    """Read a file's users, by name. Raises UsageError naming what is wrong with it, and no secret."""
    try:
        file = msgspec.toml.decode(data, type=_File) if toml else msgspec.json.decode(data, type=_File)
    except MALFORMED as exc:
        raise UsageError(str(exc) or "nested too deeply") from None
    roles = {role: _grants(f"role {role}", permissions) for role, permissions in file.roles.items()}
    return {name: _user(name, user, roles) for name, user in file.users.items()}


def _user(name: str, user: _User, roles: Mapping[str, tuple[Grant, ...]]) -> User:
    if not name or len(name) > 255:
        raise UsageError(f"user {name[:20]!r}: a name has 1 to 255 characters")
    unknown = sorted(set(user.roles) - roles.keys())
    if unknown:
        raise UsageError(f"user {name}: there is no role {', '.join(unknown)}")
    if user.expires is not None and user.expires.tzinfo is None:
        raise UsageError(f"user {name}: expires {user.expires} needs a time zone, as in 2030-01-01T00:00:00Z")
    try:
        password = parse_hash(user.password)
    except UsageError as exc:
        raise UsageError(f"password of user {name}: {exc}") from None
    sites = _grants(f"user {name}", [str(site_permission(dsid)) for dsid in user.sites])
    own = _grants(f"user {name}", user.permissions)
    grants = (*own, *sites, *(grant for role in user.roles for grant in roles[role]))
    expires_ms = None if user.expires is None else (user.expires - EPOCH) // timedelta(milliseconds=1)
    return User(name, password, grants, expires_ms)


def _grants(of: str, texts: list[str]) -> tuple[Grant, ...]:
    try:
        return parse_grants(texts)
    except UsageError as exc:
        raise UsageError(f"{of}: {exc}") from None
