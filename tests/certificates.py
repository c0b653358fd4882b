"""Certificates for tests: an authority that hands out PEM files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from heliograph.gfsh.bench import certificates
from heliograph.model.tls import TlsStores

HOSTS = ("127.0.0.1", "localhost")


class Authority:
    """An authority whose files are in a directory; one name has one certificate."""

    def __init__(self, directory: Path) -> None:
        self._authority = certificates.Authority(directory)
        self._made: dict[str, TlsStores] = {}

    def stores(self, name: str, *, hosts: tuple[str, ...] = HOSTS, **more: Any) -> TlsStores:
        """Return the files of somebody; more: see `certificates.Authority.stores`."""
        if name not in self._made:
            self._made[name] = self._authority.stores(name, hosts, **more)
        return self._made[name]
