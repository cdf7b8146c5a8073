"""Makes connections to PostgreSQL: TLS, session settings, an encoding that holds every text."""

import os
import pwd
import re
import ssl
from typing import Any

import asyncpg

from app.domain.database_url import CHECKED_MODES, DatabaseOptions
from app.domain.errors import Unavailable
from app.domain.readiness import DATABASE

PORT = 5432
"""The port when the URL names none; the variable PGPORT does not decide it."""

SESSION = {
    "client_encoding": "UTF8",  # what we send and read
    "standard_conforming_strings": "on",
    "jit": "off",  # our statements are short
    "plan_cache_mode": "force_custom_plan",  # a kept plan, made while a table was small, reads all of the large one
    "default_transaction_isolation": "read committed",  # who waited for a lock must see what its holder wrote
    "row_security": "off",  # rows that a policy hides are an error, not tasks that nobody knows
    "statement_timeout": "0",  # the driver has one; the server's may be too short for a large job or a migration
    "lock_timeout": "0",
    "idle_session_timeout": "0",  # connections wait in the pool
}
"""Settings that a role or a database may have changed. All are known to PostgreSQL 15."""

DURABLE = "SELECT set_config('synchronous_commit', 'on', {local}) WHERE current_setting('synchronous_commit') = 'off'"
"""A job that was answered with 200 must survive a power cut. Other values (`local`, `remote_apply`) were chosen on
purpose and stay."""


class Unusable(Unavailable):
    """The database answers, and the service cannot use it; the reason says what to do.

    At the start it refuses the start; later, work waits.
    """

    public_reason = "cannot be used as it is"

    def __init__(self, reason: str) -> None:
        super().__init__(DATABASE, reason)


class _PooledConnection(asyncpg.Connection):  # type: ignore[misc] # asyncpg is not typed
    """A connection through a pooler in transaction mode: each transaction may have another session, and sets its
    settings."""

    preamble = ""

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> Any:
        if query.startswith("BEGIN"):  # only the driver's own statement does; one round trip for all of it
            query += self.preamble
        return await super().execute(query, *args, timeout=timeout)


def arguments(options: DatabaseOptions, *, patient: bool) -> dict[str, Any]:
    """Arguments for `create_async_engine(connect_args=…)`.

    Each one is given, so that no PG… variable and no file in the home directory decides anything.
    """
    given: dict[str, Any] = {
        "async_creator_fn": _Connector(options),
        "timeout": 5,
        "command_timeout": None if patient else 60,
        "target_session_attrs": options.target_session_attrs,
        "direct_tls": False,
        "krbsrvname": "postgres",
        "gsslib": "gssapi",
        "server_settings": {"application_name": options.application_name} if options.application_name else {},
    }
    if options.pooler == "transaction":  # what is prepared stays with a server connection, and the next has another
        given |= {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
    return given


class _Connector:
    """Makes connections for one URL; called with the arguments of `asyncpg.connect`."""

    def __init__(self, options: DatabaseOptions) -> None:
        self._options = options
        self._pooled = options.pooler == "transaction"
        self._class = type("_Connection", (_PooledConnection,), {"preamble": self._preamble()})

    async def __call__(self, **address: Any) -> Any:
        """Raises Unusable, and what asyncpg raises."""
        address = {"port": PORT, "password": "", **address}
        if "user" not in address:
            address["user"] = _account()
        try:
            connection = await self._encrypted(address)
        except asyncpg.FeatureNotSupportedError as error:  # no way between UTF8, which we ask for, and its encoding
            names = [name for name in re.findall(r"\b[A-Z][A-Z0-9_]+\b", str(error)) if name != "UTF8"]
            raise Unusable(wrong_encoding(names[-1]) if names else str(error)) from error
        try:
            await self._begin(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _encrypted(self, address: dict[str, Any]) -> Any:
        """Connects with TLS or without, as `sslmode` says. asyncpg's own choice reads files of the home directory."""
        options = self._options
        if self._pooled:
            address = {**address, "connection_class": self._class}
        plain = {**address, "ssl": False}
        if options.sslmode == "disable":
            return await asyncpg.connect(**plain)
        encrypted = {**address, "ssl": tls_context(options)}
        if options.sslmode == "allow":
            try:
                return await asyncpg.connect(**plain)
            except asyncpg.InvalidAuthorizationSpecificationError as error:
                if isinstance(error, asyncpg.InvalidPasswordError):
                    raise
                return await asyncpg.connect(**encrypted)
        if options.sslmode == "prefer":
            try:
                return await asyncpg.connect(**encrypted)
            except (ConnectionError, ssl.SSLError, asyncpg.InvalidAuthorizationSpecificationError) as error:
                if isinstance(error, (ConnectionRefusedError, asyncpg.InvalidPasswordError)):
                    raise
                return await asyncpg.connect(**plain)
        return await asyncpg.connect(**encrypted)

    def _settings(self) -> dict[str, str]:
        schema = self._options.schema
        return SESSION if schema is None else {**SESSION, "search_path": schema}

    def _preamble(self) -> str:
        """What follows BEGIN in each transaction; its isolation level first, as it was begun with the default one."""
        sets = "".join(f" SET LOCAL {name} = '{value}';" for name, value in self._settings().items())
        return f" SET TRANSACTION ISOLATION LEVEL READ COMMITTED;{sets} {DURABLE.format(local='true')};"

    async def _begin(self, connection: Any) -> None:
        reported = getattr(connection.get_settings(), "server_encoding", None)  # at login, as every server does
        encoding = reported or await connection.fetchval("SHOW server_encoding")
        if encoding.upper() not in ("UTF8", "UTF-8"):
            raise Unusable(wrong_encoding(encoding))
        if not self._pooled:
            sets = "".join(f"SET {name} = '{value}'; " for name, value in self._settings().items())
            await connection.execute(sets + DURABLE.format(local="false"))


def _account() -> str:
    """The user when the URL names none: the account of the process, as in libpq."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise Unusable("jeap.datasource.url names no user, and the process runs as none that has a name") from None


def tls_context(options: DatabaseOptions) -> ssl.SSLContext:
    """Checks certificates as strictly as `sslmode` says.

    Without `sslrootcert` it trusts the authorities of the system, or SSL_CERT_FILE and SSL_CERT_DIR. Raises Unusable
    when a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["postgresql"])
    context.check_hostname = options.sslmode == "verify-full"
    checked = options.sslmode in CHECKED_MODES and (options.sslmode != "require" or options.sslrootcert is not None)
    context.verify_mode = ssl.CERT_REQUIRED if checked else ssl.CERT_NONE
    if options.sslrootcert is not None:
        _use(lambda: context.load_verify_locations(cafile=options.sslrootcert), "sslrootcert", options.sslrootcert)
    elif checked:
        context.load_default_certs()
    if options.sslcert is not None:
        certificate, key = options.sslcert, options.sslkey
        _use(lambda: context.load_cert_chain(certificate, key, password=""), "sslcert", certificate)
    return context


def _use(load: Any, name: str, file: str) -> None:
    try:
        load()
    except (OSError, ValueError) as error:
        reason = "is not a PEM file that can be read" if isinstance(error, ssl.SSLError) else str(error)
        raise Unusable(f"{name} of jeap.datasource.url, {file}: {reason}") from error


def wrong_encoding(found: str) -> str:
    return (
        f"the encoding of the database is {found} and must be UTF8, or it cannot hold every text: make another with "
        "`createdb -E UTF8 -T template0 --locale=C NAME`, move what is there with pg_dump and pg_restore, "
        "and name it in jeap.datasource.url"
    )
