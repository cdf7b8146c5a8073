"""A timestamp authority: `openssl ts` with a certificate of its own, as an HTTP service in this process."""

import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from app.domain.timestamps import REPLY
from app.evidence.timestamps import TimestampAuthority

URL = "http://tsa.example.org/"

CONFIG = """
[tsa]
default_tsa = one
[one]
serial = {directory}/serial
default_policy = 1.2.3.4.1
digests = sha256
signer_digest = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
ess_cert_id_chain = no
tsa_name = yes
ordering = yes
"""


@dataclass
class Authority:
    """`root` is the PEM of who certified it. `answers` are given before its own: responses, or exceptions."""

    directory: Path
    answers: list[httpx.Response | Exception] = field(default_factory=list)
    asked: int = 0

    def __post_init__(self) -> None:
        self.directory.mkdir()
        root_key, key = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
        root = _certificate("root", root_key, "root", root_key, authority=True)
        signer = _certificate("tsa", key, "root", root_key, authority=False)
        self.root = root.public_bytes(Encoding.PEM)
        (self.directory / "signer.pem").write_bytes(signer.public_bytes(Encoding.PEM))
        (self.directory / "root.pem").write_bytes(self.root)
        (self.directory / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (self.directory / "tsa.conf").write_text(CONFIG.format(directory=self.directory))
        (self.directory / "serial").write_text("01\n")

    def reply(self, query: bytes) -> bytes:
        """The response of openssl."""
        (self.directory / "query").write_bytes(query)
        command = ["openssl", "ts", "-reply", "-config", "tsa.conf", "-queryfile", "query", "-signer", "signer.pem",
                   "-inkey", "key.pem", "-out", "reply"]  # fmt: skip
        subprocess.run(command, cwd=self.directory, check=True, capture_output=True)
        return (self.directory / "reply").read_bytes()

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        return httpx.Response(200, content=self.reply(request.content), headers={"Content-Type": REPLY})

    def over_http(self) -> TimestampAuthority:
        return TimestampAuthority(URL, lambda: httpx.AsyncClient(transport=httpx.MockTransport(self.handle)))


def _certificate(
    name: str, key: EllipticCurvePrivateKey, issuer: str, issuer_key: EllipticCurvePrivateKey, *, authority: bool
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=10))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(issuer_key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
