"""`sslmode` and its files as libpq has them, on a PostgreSQL with TLS; nothing but the URL decides."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from typing_extensions import override

from app.db.connect import Unusable
from app.db.database import Database
from app.domain.errors import Unavailable
from tests.conftest import running
from tests.servers import Postgres
from tests.support.certificates import Authority

ALLOWED = """
host      both      pas 127.0.0.1/32 scram-sha-256
host      postgres  pas 127.0.0.1/32 scram-sha-256
hostssl   encrypted pas 127.0.0.1/32 scram-sha-256
hostnossl plain     pas 127.0.0.1/32 scram-sha-256
hostssl   certified pas 127.0.0.1/32 scram-sha-256 clientcert=verify-ca
"""
"""Which databases are reached with TLS, without, or with a certificate of the client."""


class SecuredPostgres(Postgres):
    """Its certificate is for `localhost`, not for 127.0.0.1."""

    name = "postgres-secured"
    authority: Authority
    client: tuple[Path, Path]

    @override
    def prepare(self, data: Path) -> None:
        super().prepare(data)
        self.authority = Authority(data)
        certificate, key = self.authority.sign("server", ("localhost",))
        self.client = self.authority.sign("client")
        if self.user:
            for path in (certificate, key):
                shutil.chown(path, self.user)
        (data / "cluster" / "pg_hba.conf").write_text(ALLOWED)

    @override
    def command(self) -> list[str]:
        files = {"ssl_cert_file": "server.crt", "ssl_key_file": "server.key", "ssl_ca_file": "authority.pem"}
        options = [option for name, file in files.items() for option in ("-c", f"{name}={self.data}/{file}")]
        return [*super().command(), "-c", "ssl=on", *options]


@pytest.fixture(scope="module")
def secured() -> Iterator[SecuredPostgres]:
    with running(SecuredPostgres()) as server:
        for name in ("both", "encrypted", "plain", "certified"):
            server.create_database(name)
        yield server


async def encrypted(url: str) -> bool:
    """Whether a connection to this URL has TLS. Raises Unavailable."""
    database = Database(url)
    try:
        async with database.reading() as connection:
            asked = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            return bool((await connection.execute(asked)).scalar_one())
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("mode", "both", "only_encrypted", "only_plain"),
    [
        ("disable", False, None, False),
        ("allow", False, True, False),
        ("prefer", True, True, False),
        (None, True, True, False),
        ("require", True, True, None),
    ],
)
async def test_tls_is_used_as_the_mode_says(
    secured: SecuredPostgres, mode: str | None, both: bool, only_encrypted: bool | None, only_plain: bool | None
) -> None:
    for name, wanted in (("both", both), ("encrypted", only_encrypted), ("plain", only_plain)):
        url = secured.url(name) + ("" if mode is None else f"?sslmode={mode}")
        if wanted is None:
            with pytest.raises(Unavailable, match="no pg_hba"):
                await encrypted(url)
        else:
            assert await encrypted(url) is wanted, name


def by_name(secured: SecuredPostgres, query: str) -> str:
    return f"{secured.url('both').replace('127.0.0.1', 'localhost')}?{query}"


async def test_the_certificate_is_checked_against_the_given_authority_and_its_name_where_asked(
    secured: SecuredPostgres, tmp_path: Path
) -> None:
    ours, other = secured.authority.certificate, Authority(tmp_path).certificate
    for mode in ("require", "verify-ca", "verify-full"):
        assert await encrypted(by_name(secured, f"sslmode={mode}&sslrootcert={ours}"))
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await encrypted(by_name(secured, f"sslmode={mode}&sslrootcert={other}"))
    assert await encrypted(f"{secured.url('both')}?sslmode=verify-ca&sslrootcert={ours}")
    with pytest.raises(Unavailable, match="IP address mismatch"):
        await encrypted(f"{secured.url('both')}?sslmode=verify-full&sslrootcert={ours}")


async def test_without_an_authority_what_the_system_trusts_is_trusted(
    secured: SecuredPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    for query in ("sslmode=verify-ca", "sslmode=verify-full", "sslmode=verify-full&sslrootcert=system"):
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await encrypted(by_name(secured, query))
        with monkeypatch.context() as environment:
            environment.setenv("SSL_CERT_FILE", str(secured.authority.certificate))
            assert await encrypted(by_name(secured, query))


async def test_a_client_certificate_is_shown(secured: SecuredPostgres, tmp_path: Path) -> None:
    certificate, key = secured.client
    together = tmp_path / "together.pem"
    together.write_bytes(certificate.read_bytes() + key.read_bytes())
    with pytest.raises(Unavailable, match="client certificate"):
        await encrypted(f"{secured.url('certified')}?sslmode=require")
    for files in (f"sslcert={certificate}&sslkey={key}", f"sslcert={together}"):
        assert await encrypted(f"{secured.url('certified')}?sslmode=require&{files}")


@pytest.mark.parametrize("option", ["sslrootcert", "sslcert"])
async def test_a_file_that_cannot_be_used_is_named(secured: SecuredPostgres, tmp_path: Path, option: str) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    for file, said in ((wrong, "is not a PEM file"), (tmp_path / "none.pem", "No such file")):
        with pytest.raises(Unusable, match=f"{option} of jeap.datasource.url, .*{said}"):
            await encrypted(by_name(secured, f"sslmode=verify-full&{option}={file}"))


async def test_no_variable_and_no_file_in_the_home_directory_decides(
    secured: SecuredPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / ".postgresql"
    home.mkdir()
    other = Authority(home, "root")
    other.certificate.rename(home / "root.crt")
    (home / "postgresql.crt").write_text("no certificate")
    (home / "postgresql.key").write_text("no key")
    (tmp_path / ".pgpass").write_text(f"*:*:*:*:{secured.password}\n")
    (tmp_path / ".pgpass").chmod(0o600)
    for name, value in {
        "HOME": str(tmp_path),
        "PGHOST": "nowhere.invalid",
        "PGPORT": "1",
        "PGUSER": "nobody",
        "PGPASSWORD": secured.password,
        "PGDATABASE": "nothing",
        "PGSERVICE": "none",
        "PGSSLMODE": "disable",
        "PGSSLROOTCERT": "/none",
        "PGSSLCERT": "/none",
        "PGSSLKEY": "/none",
        "PGSSLNEGOTIATION": "direct",
        "PGTARGETSESSIONATTRS": "standby",
        "PGKRBSRVNAME": "x",
        "PGGSSLIB": "none",
        "PGOPTIONS": "-c search_path=none",
    }.items():
        monkeypatch.setenv(name, value)
    assert await encrypted(secured.url("both"))
    assert await encrypted(f"{secured.url('both')}?sslmode=require")
    with pytest.raises(Unavailable):  # its password is in PGPASSWORD and in .pgpass, and not in the URL
        await encrypted(secured.url("both").replace(f":{secured.password}@", "@"))
