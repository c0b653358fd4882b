"""TLS towards an engine: certificates and host names are always checked."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable
from typing import TypeAlias

from heliograph.errors import UsageError
from heliograph.model.engine_tls import EngineTls

Contexts: TypeAlias = Callable[[], ssl.SSLContext]
"""Asked for every connection that is made: certificates may have been renewed."""


def client_context(tls: EngineTls) -> ssl.SSLContext:
    """Return what connections are made with. Raises UsageError for texts that are no certificates or keys."""
    try:
        context = ssl.create_default_context(cadata=tls.ca or None)
    except (ssl.SSLError, ValueError) as exc:
        raise UsageError(f"engine-ca-file holds no certificates in PEM form: {exc}") from exc
    if tls.certificate:
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:  # mode 0600; ssl reads files only
            file.write(f"{tls.certificate}\n{tls.key}\n")
            file.flush()
            try:
                context.load_cert_chain(file.name)
            except (ssl.SSLError, OSError) as exc:
                message = "engine-certificate-file and engine-key-file are no certificate with its key in PEM form"
                raise UsageError(f"{message}: {exc}") from exc
    return context


def why_not_trusted(server: object, error: ssl.SSLCertVerificationError) -> UsageError:
    """Return what to do about an engine whose certificate is not accepted."""
    return UsageError(
        f"the certificate of the engine at {server} is not trusted: {error.verify_message}. Give --engine-ca-file the "
        "certificate of who signed it, and in --engine the host that it was made for"
    )
