"""What unit tests have in common: a database of their own on SQLite, no servers, and nothing that only costs time."""

import gc
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import NoReturn

import botocore.session
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, settings

from tests.support.compiled import compiled_once
from tests.support.metadata import sqlite_url
from tests.support.migrated import migrated

gc.disable()

settings.register_profile("unmeasured", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unmeasured")  # on a busy machine one pause of a process is longer than any limit


def pytest_collection_finish() -> None:
    """From here on the garbage collector runs, and is spared what was loaded: a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated and empty SQLite database to be copied: a migration takes 80 ms, a copy none."""
    file = tmp_path_factory.mktemp("migrated") / "pas.sqlite"
    file.write_bytes(migrated())
    return file


@pytest.fixture
def url(tmp_path: Path, migrated_file: Path) -> str:
    """Of a migrated and empty SQLite database; `tests/integration/on_postgres` runs the same tests on PostgreSQL."""
    url = sqlite_url(tmp_path)
    shutil.copy(migrated_file, url.removeprefix("sqlite:///"))
    return url


@pytest.fixture
def empty_url(tmp_path: Path) -> str:
    """Of a SQLite database that was not migrated yet."""
    return sqlite_url(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def one_trusted_certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """In the place of the 150 of the system, which take 20 ms for each client; no test talks to the internet."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "nobody")])
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("trusted") / "nobody.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("SSL_CERT_FILE", "AWS_CA_BUNDLE"):
            patch.setenv(variable, str(file))
        patch.setenv("SSL_CERT_DIR", str(file.parent))
        yield


@pytest.fixture(scope="session", autouse=True)
def descriptions_of_aws_are_read_once() -> Iterator[None]:
    """botocore looks for them in 400 directories and parses 2 MB of JSON for each session: 0.2 s."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", cache(botocore.session.create_loader))
        yield


@pytest.fixture(scope="session", autouse=True)
def statements_are_compiled_once() -> Iterator[None]:
    with compiled_once():
        yield


def _needs(server: str) -> NoReturn:
    pytest.fail(f"a unit test needs no server: what talks to {server} belongs to tests/integration")


@pytest.fixture(scope="session")
def postgres() -> None:
    _needs("PostgreSQL")


@pytest.fixture(scope="session")
def kafka() -> None:
    _needs("Kafka")


@pytest.fixture(scope="session")
def s3() -> None:
    _needs("S3")


@pytest.fixture(scope="session")
def oidc() -> None:
    _needs("an OAuth server")
