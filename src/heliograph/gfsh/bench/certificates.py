"""Certificates of an authority of our own, made on the spot: for the benchmark with TLS, and for tests.

Keys are of the curve P-256, what an authority hands out by default today.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from heliograph.model.tls import TlsStores
from heliograph.net.site_identity import PREFIX

DAYS = 30
_BACKDATED = dt.timedelta(hours=1)


class Authority:
    """An authority whose files stand in a directory: `authority.pem`, and `<name>.pem` for each whom it vouches for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority {os.urandom(4).hex()}")])
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
            decipher_only=False,
        )  # fmt: skip
        certificate = (
            self._begun(self._name, self._key.public_key(), None)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.truststore = directory / "authority.pem"
        self.truststore.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def stores(
        self,
        name: str,
        hosts: Iterable[str],
        *,
        site: int | None = None,
        not_after: dt.datetime | None = None,
        password: str = "",
    ) -> TlsStores:
        """Make a certificate with its key, and return the files to use it with.

        hosts: names and addresses that it is for. site: that it names. not_after: its end. password: of the key.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        names = [_general_name(host) for host in hosts]
        if site is not None:
            names.append(x509.UniformResourceIdentifier(f"{PREFIX}{site}"))
        both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        certificate = (
            self._begun(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key.public_key(), not_after)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(both, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password:
            protection = serialization.BestAvailableEncryption(password.encode())
        text = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection
        )
        keystore = self._directory / f"{name}.pem"
        keystore.touch(mode=0o600)
        keystore.write_bytes(text)
        return TlsStores(keystore=str(keystore), keystore_password=password, truststore=str(self.truststore))

    def _begun(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, not_after: dt.datetime | None
    ) -> x509.CertificateBuilder:
        ends = not_after or dt.datetime.now(dt.UTC) + dt.timedelta(days=DAYS)
        begins = min(dt.datetime.now(dt.UTC), ends) - _BACKDATED
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
        return (
            builder.serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
