"""The security manager `file`: users, roles and password hashes of a JSON or TOML file, read again when it changes."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path

from heliograph.errors import AuthenticationError, AuthenticationExpiredError, UsageError
from heliograph.net.seam import Clock
from heliograph.security.passwords import PasswordHash, hash_password
from heliograph.security.permissions import Permission
from heliograph.security.users import PASSWORD, USERNAME, User, read_users

REMEMBERED_MAX = 4096
"""Credentials that were right, by their digests."""

NAME_SHOWN = 64
"""Of what a stranger calls itself."""

_log = logging.getLogger(__name__)


class FileManager:
    """See the module. Raises UsageError when the file can't be read at first; later the old users stay.

    What was right before is known again by a digest under a key that this process alone has.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._users: Mapping[str, User] = {}
        self._seen: object = None
        self._next_expiry_ms: int | None = None
        self._key = secrets.token_bytes(32)
        self._right: dict[bytes, PasswordHash] = {}
        self._remembering = threading.Lock()
        self._nobody: PasswordHash | None = None
        try:
            self._read()
        except (OSError, UsageError) as exc:
            raise UsageError(f"security-users-file {path}: {_reason(exc)}") from None

    # --- who it is

    def known(self, credentials: Mapping[str, str]) -> User | None:
        """Return whose credentials these are, by the digest."""
        user = self._users.get(credentials.get(USERNAME, ""))
        if user is None or user.expired(self._clock.now_ms()):
            return None
        return user if self._right.get(self._digest(credentials)) == user.password else None

    def authenticate(self, credentials: Mapping[str, str]) -> User:
        """Compare a password with the hash; as slow for a user that there is not."""
        name, password = credentials.get(USERNAME, ""), credentials.get(PASSWORD, "")
        if not name:
            raise AuthenticationError(f"give {USERNAME} and {PASSWORD}: the users' file knows nobody by anything else")
        user = self._users.get(name)
        if user is None:
            self._anybody.fits(password)
        if user is None or not user.password.fits(password):
            raise AuthenticationError(f"user {name[:NAME_SHOWN]!r}: wrong name or password")
        if user.expired(self._clock.now_ms()):
            raise AuthenticationExpiredError(f"user {name!r} has expired")
        with self._remembering:
            while len(self._right) >= REMEMBERED_MAX:
                self._right.pop(next(iter(self._right)))
            self._right[self._digest(credentials)] = user.password
        return user

    @property
    def _anybody(self) -> PasswordHash:
        """The hash of somebody, to compare with where there is nobody: that must not take less time."""
        first = next(iter(self._users.values()), None)
        if first is not None:
            return first.password
        if self._nobody is None:
            self._nobody = hash_password("", bytes(16))
        return self._nobody

    def _digest(self, credentials: Mapping[str, str]) -> bytes:
        name, password = credentials.get(USERNAME, "").encode(), credentials.get(PASSWORD, "").encode()
        return hmac.digest(self._key, len(name).to_bytes(4, "big") + name + password, hashlib.sha256)

    # --- what it may

    def authorize(self, principal: User, permission: Permission) -> bool:
        """Look into the file's newest users."""
        return self.holds(principal) and self._users[principal.name].may(permission)

    def holds(self, principal: User) -> bool:
        """Say whether the user is still there, with that password."""
        user = self._users.get(principal.name)
        if user is None or user.password != principal.password:
            return False
        return not user.expired(self._clock.now_ms())

    # --- the file

    def look(self) -> bool:
        """Read the file if it is another one than before; say whether that, or the time, changes anything."""
        changed = False
        try:
            changed = self._stamp() != self._seen and self._read()
        except (OSError, UsageError) as exc:
            _log.warning("users not read anew, the old ones stay file=%s error=%s", self._path, _reason(exc))
        if self._next_expiry_ms is not None and self._clock.now_ms() >= self._next_expiry_ms:
            self._set_next_expiry()
            changed = True
        return changed

    def _stamp(self) -> object:
        try:
            status = self._path.stat()
        except OSError:
            return ""
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _read(self) -> bool:
        self._seen = self._stamp()  # first: what changes meanwhile is noticed, and what is broken is told once
        users = read_users(self._path.read_bytes(), toml=self._path.suffix == ".toml")
        self._users = users
        self._set_next_expiry()
        _log.info("users read file=%s users=%d", self._path, len(users))
        return True

    def _set_next_expiry(self) -> None:
        now_ms = self._clock.now_ms()
        coming = [user.expires_ms for user in self._users.values() if user.expires_ms is not None]
        self._next_expiry_ms = min((each for each in coming if each > now_ms), default=None)


def _reason(exc: Exception) -> str:
    return exc.strerror or str(exc) if isinstance(exc, OSError) else str(exc)
