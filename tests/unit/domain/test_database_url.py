"""The options of a database URL: what is known is read, what is not is named, nothing has no effect."""

import re

import pytest

from app.domain.database_url import DatabaseOptions, database_options


def test_without_options_tls_is_used_where_the_server_has_it() -> None:
    assert database_options("") == DatabaseOptions("prefer", None, None, None, None, "session", None, "any")


def test_all_options_are_read() -> None:
    query = (
        "sslmode=verify-full&sslrootcert=/etc/ca.pem&sslcert=/c.pem&sslkey=/k.pem&application_name=pas-7"
        "&pooler=transaction&options=-c%20search_path%3DArchive&target_session_attrs=read-write&host=a&host=b&port=1"
    )
    assert database_options(query) == DatabaseOptions(
        "verify-full", "/etc/ca.pem", "/c.pem", "/k.pem", "pas-7", "transaction", "archive", "read-write"
    )


def test_ssl_is_another_name_of_sslmode_and_system_is_what_is_trusted_anyway() -> None:
    assert database_options("ssl=require").sslmode == "require"
    assert database_options("sslmode=verify-full&sslrootcert=system").sslrootcert is None


@pytest.mark.parametrize("options", ["-csearch_path=pas", "-c search_path=pas", "--search_path=pas"])
def test_the_schema_is_named_as_libpq_has_it(options: str) -> None:
    assert database_options(f"options={options.replace(' ', '%20')}").schema == "pas"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("connect_timeout=3", "has an option connect_timeout that is not known; there are sslmode, ssl, "),
        ("sslcrl=/x", "has an option sslcrl that is not known"),
        ("sslmode=zz", "sslmode must be one of disable, allow, prefer, require, verify-ca, verify-full"),
        ("sslmode=", "sslmode must be one of"),
        ("ssl=true", "ssl must be one of"),
        ("ssl=require&sslmode=disable", "another name"),
        ("sslmode=require&sslmode=disable", "has the option sslmode twice"),
        ("sslrootcert=/ca.pem", "sslrootcert has no effect with sslmode=prefer"),
        ("sslmode=disable&sslrootcert=/ca.pem", "sslrootcert has no effect with sslmode=disable"),
        ("sslmode=verify-ca&sslrootcert=system", "needs sslmode=verify-full"),
        ("sslkey=/k.pem", "no sslcert"),
        ("sslmode=disable&sslcert=/c.pem", "sslmode is disable"),
        ("pooler=statement", "pooler must be one of session, transaction"),
        ("target_session_attrs=standby", "target_session_attrs must be one of"),
        ("options=-cwork_mem=1GB", "options must be -csearch_path=NAME"),
        ("options=-csearch_path=a,b", "the name of one schema"),
        ("options=-csearch_path=a%27;DROP", "the name of one schema"),
    ],
)
def test_a_mistake_is_named_with_what_would_be_right(query: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        database_options(query)


def test_a_part_of_a_password_that_looks_like_an_option_is_not_said() -> None:
    with pytest.raises(ValueError, match="is not known") as caught:
        database_options("hunter2@db/pas")
    assert "hunter2" not in str(caught.value)
