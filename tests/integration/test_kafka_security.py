"""KafkaBroker over SASL and TLS, and what people read when a credential is wrong."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from typing_extensions import override

from app.broker import Message
from app.broker.kafka import KafkaBroker, KafkaOptions
from app.domain.errors import Unavailable
from tests.conftest import running
from tests.servers import Kafka
from tests.servers.kafka import properties
from tests.servers.ports import free_ports

LOGIN = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_pas="geheim";'


class SecuredKafka(Kafka):
    """With two listeners more: SASL_PLAINTEXT on port + 2, SSL on port + 3."""

    name = "kafka-secured"
    certificate: Path

    @override
    def _configure(self, data: Path) -> None:
        self.port = free_ports(4)
        self.certificate = data / "certificate.pem"
        keys = data / "keys.pem"
        write_certificate(self.certificate, keys)
        names = {"SASL_PLAINTEXT": self.port + 2, "SSL": self.port + 3}
        more = "".join(f",{name}://127.0.0.1:{port}" for name, port in names.items())
        kept = []
        for line in properties(self.port, data / "log").splitlines():
            key = line.partition("=")[0]
            if key in ("listeners", "advertised.listeners"):
                line += more
            elif key == "listener.security.protocol.map":
                line += "".join(f",{name}:{name}" for name in names)
            kept.append(line)
        kept += [
            "sasl.enabled.mechanisms=PLAIN",
            f"listener.name.sasl_plaintext.plain.sasl.jaas.config={LOGIN}",
            "ssl.keystore.type=PEM",
            f"ssl.keystore.location={keys}",
        ]
        (data / "server.properties").write_text("\n".join(kept) + "\n")


def write_certificate(certificate: Path, keys: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kafka")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    keys.write_bytes(private + certificate.read_bytes())


@pytest.fixture(scope="module")
def secured() -> Iterator[SecuredKafka]:
    with running(SecuredKafka()) as server:
        yield server


@pytest.fixture
def sasl(secured: SecuredKafka) -> KafkaOptions:
    return KafkaOptions(
        f"127.0.0.1:{secured.port + 2}",
        security_protocol="SASL_PLAINTEXT",
        sasl_username="pas",
        sasl_password="geheim",
    )


@pytest.fixture
def tls(secured: SecuredKafka) -> KafkaOptions:
    return KafkaOptions(f"127.0.0.1:{secured.port + 3}", security_protocol="SSL", ssl_ca_file=str(secured.certificate))


async def send_one(secured: SecuredKafka, options: KafkaOptions) -> None:
    topic = f"t-{uuid4()}"
    secured.create_topic(topic)
    broker = KafkaBroker(options)
    await broker.start()
    try:
        await broker.send(Message(topic, b"k", b"v"))
        assert await broker.missing_topics([topic]) == []
    finally:
        await broker.close()


async def test_sasl(secured: SecuredKafka, sasl: KafkaOptions) -> None:
    await send_one(secured, sasl)


async def test_tls(secured: SecuredKafka, tls: KafkaOptions) -> None:
    await send_one(secured, tls)


async def test_a_wrong_password_is_said_and_not_shown(secured: SecuredKafka, sasl: KafkaOptions) -> None:
    wrong = replace(sasl, sasl_password="hush-hush")
    with pytest.raises(Unavailable, match="Authentication failed: Invalid username or password") as raised:
        await send_one(secured, wrong)
    assert "hush-hush" not in str(raised.value)
    assert "hush-hush" not in repr(wrong)


async def test_another_mechanism_is_said(secured: SecuredKafka, sasl: KafkaOptions) -> None:
    with pytest.raises(Unavailable, match=r"(?i)mechanism"):
        await send_one(secured, replace(sasl, sasl_mechanism="SCRAM-SHA-512"))


async def test_an_unknown_certificate_is_said(secured: SecuredKafka, tls: KafkaOptions) -> None:
    with pytest.raises(Unavailable, match="certificate verify failed"):
        await send_one(secured, replace(tls, ssl_ca_file=None))
