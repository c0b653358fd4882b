"""What TLS connections to a site's engine rest on: texts, because members on other machines are told them."""

from __future__ import annotations

import msgspec


class EngineTls(msgspec.Struct, frozen=True, array_like=True):
    """PEM texts. ca: whom to trust; empty: what the system trusts. certificate, key: of the client, or both empty."""

    ca: str = ""
    certificate: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return f"EngineTls(ca={bool(self.ca)}, certificate={bool(self.certificate)})"
