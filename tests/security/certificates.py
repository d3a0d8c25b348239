"""An authority of a test's own, and a server's certificate, good or bad."""

from __future__ import annotations

import datetime as dt
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Made:
    """What a server speaks with, and the file of who signed the good ones."""

    context: ssl.SSLContext
    authority: Path


def make(
    directory: Path, *, name: str = "localhost", days: tuple[int, int] = (-1, 30), is_trusted: bool = True
) -> Made:
    known, unknown = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = directory / "authority.pem"
    authority.write_bytes(_signed("authority", known, known, (-1, 30), is_authority=True))
    own = ec.generate_private_key(ec.SECP256R1())
    file = directory / "server.pem"
    key = own.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(_signed(name, own, known if is_trusted else unknown, days) + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return Made(context, authority)


def _signed(name: str, own: Key, by: Key, days: tuple[int, int], *, is_authority: bool = False) -> bytes:
    now = dt.datetime.now(dt.UTC)
    since, until = (now + dt.timedelta(days=n) for n in days)
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateBuilder(
        issuer, subject, own.public_key(), x509.random_serial_number(), since, until
    )
    made = made.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return made.sign(by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
