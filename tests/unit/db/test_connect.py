"""What the driver is told: everything, so that it looks nowhere else."""

import os
import pwd
import ssl
from typing import Any

import asyncpg
import pytest

from app.db.connect import tls_context
from app.db.database import Database
from app.domain.database_url import database_options
from app.domain.errors import Unavailable


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of each connection that was tried."""
    tried: list[dict[str, Any]] = []

    async def connect(**arguments: Any) -> None:
        tried.append(arguments)
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr(asyncpg, "connect", connect)
    return tried


async def tell(url: str) -> None:
    database = Database(url)
    with pytest.raises(Unavailable):
        await database.ping()
    await database.close()


async def test_what_the_url_leaves_out_has_a_default_of_ours(
    told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGPORT": "1", "PGUSER": "nobody", "PGPASSWORD": "hunter2", "LOGNAME": "nobody"}.items():
        monkeypatch.setenv(name, value)
    await tell("postgresql://db/pas")
    (arguments,) = told  # refused is refused: no second try without TLS
    assert (arguments["host"], arguments["port"], arguments["database"]) == ("db", 5432, "pas")
    assert (arguments["user"], arguments["password"]) == (pwd.getpwuid(os.geteuid()).pw_name, "")
    assert isinstance(arguments["ssl"], ssl.SSLContext)


async def test_several_servers_and_escaped_letters_are_told_as_they_are(told: list[dict[str, Any]]) -> None:
    await tell(
        "postgresql://us%40er:p%3Fw%2F@/pas?host=a:6000&host=b:6001&target_session_attrs=primary&sslmode=disable"
    )
    (arguments,) = told
    assert (arguments["host"], arguments["port"]) == (["a", "b"], [6000, 6001])
    assert (arguments["user"], arguments["password"]) == ("us@er", "p?w/")
    assert (arguments["target_session_attrs"], arguments["ssl"]) == ("primary", False)


async def test_no_parameter_is_sent_at_the_start_that_a_pooler_does_not_know(told: list[dict[str, Any]]) -> None:
    await tell("postgresql://pas@db/pas?application_name=pas-7")
    await tell("postgresql://pas@db/pas?pooler=transaction&options=-csearch_path=archive")
    assert [arguments["server_settings"] for arguments in told] == [{"application_name": "pas-7"}, {}]


async def test_nothing_is_prepared_for_later_where_the_next_transaction_may_have_another_session(
    told: list[dict[str, Any]],
) -> None:
    await tell("postgresql://pas@db/pas?pooler=transaction")
    assert told[0]["statement_cache_size"] == 0
    await tell("postgresql://pas@db/pas")
    assert "statement_cache_size" not in told[1]


@pytest.mark.parametrize(
    ("query", "checked", "name_checked"),
    [
        ("sslmode=allow", False, False),
        ("sslmode=prefer", False, False),
        ("sslmode=require", False, False),
        ("sslmode=verify-ca", True, False),
        ("sslmode=verify-full", True, True),
    ],
)
def test_a_context_checks_as_much_as_the_mode_says(query: str, checked: bool, name_checked: bool) -> None:
    context = tls_context(database_options(query))
    assert context.verify_mode is (ssl.CERT_REQUIRED if checked else ssl.CERT_NONE)
    assert context.check_hostname is name_checked
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
