"""Passwords as a file may hold them: salted scrypt hashes.

    scrypt:32768:8:1:<salt>:<hash>      n, r, p (RFC 7914), then salt and hash in base64

What costs `n * r * 128` bytes of memory and some 0.1 s of a processor is for a thread, not for an event loop.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode

import msgspec

from heliograph.errors import UsageError

NAME = "scrypt"
N, R, P = 2**15, 8, 1
N_MIN, N_MAX, R_MAX, P_MAX = 2**10, 2**20, 16, 4
MEMORY_MAX = 256 * 1024 * 1024
SALT_BYTES, HASH_BYTES = 16, 32


class PasswordHash(msgspec.Struct, frozen=True):
    """A password's hash. Raises UsageError for parameters that are too weak, or that cost too much."""

    n: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    def __post_init__(self) -> None:
        fits = N_MIN <= self.n <= N_MAX and not self.n & (self.n - 1) and 1 <= self.r <= R_MAX and 1 <= self.p <= P_MAX
        if not fits or 128 * self.n * self.r > MEMORY_MAX or len(self.salt) < SALT_BYTES or len(self.digest) < 16:
            raise UsageError("it has parameters of scrypt that are too weak or cost too much")

    def __repr__(self) -> str:
        return "<password hash>"

    def text(self) -> str:
        """Return it as a file holds it."""
        return ":".join(map(str, (NAME, self.n, self.r, self.p, *map(_base64, (self.salt, self.digest)))))

    def fits(self, password: str) -> bool:
        """Say whether it is that password's. Slow."""
        return hmac.compare_digest(self.digest, _scrypt(password, self.n, self.r, self.p, self.salt, len(self.digest)))


def hash_password(password: str, salt: bytes, *, n: int = N) -> PasswordHash:
    """Return the hash of a password, with a salt of `SALT_BYTES` that nobody can foretell. Slow."""
    return PasswordHash(n, R, P, salt, _scrypt(password, n, R, P, salt, HASH_BYTES))


def parse_hash(text: str) -> PasswordHash:
    """Read what `text` wrote. Raises UsageError, which does not repeat it."""
    parts = text.split(":")
    try:
        if len(parts) != 6 or parts[0] != NAME:
            raise ValueError
        n, r, p = map(int, parts[1:4])
        salt, digest = (b64decode(part, validate=True) for part in parts[4:])
    except ValueError:
        raise UsageError("it is no password hash: make one with `hash password`") from None
    return PasswordHash(n, r, p, salt, digest)


def _scrypt(password: str, n: int, r: int, p: int, salt: bytes, size: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=2 * MEMORY_MAX, dklen=size)


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
