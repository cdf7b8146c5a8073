"""PgBouncer as Debian installs it, before a PostgreSQL: the installed one, else from Debian (as root)."""

import os
import shutil
import signal
from pathlib import Path

import asyncpg
from typing_extensions import override

from tests.servers.fetch import apt_install, need
from tests.servers.ports import free_ports
from tests.servers.postgres import Postgres, unprivileged
from tests.servers.process import NotReady, ServerProcess, run_sync

INSTALLED = Path("/usr/sbin/pgbouncer")
"""Where Debian has it; the path of users who are not root does not go there."""


class PgBouncer(ServerProcess):
    """All databases of a PostgreSQL, with its superuser and what `users` names, and the settings of the package."""

    name = "pgbouncer"
    stop_signal = signal.SIGTERM  # at once; SIGINT waits for clients

    def __init__(
        self,
        postgres: Postgres,
        *,
        pool_mode: str | None = None,
        pool_size: int | None = None,
        users: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.postgres = postgres
        self.port = 0
        self._settings = {"pool_mode": pool_mode, "default_pool_size": pool_size}
        self._users = {postgres.username: postgres.password, **(users or {})}
        self._program = Path()
        if os.geteuid() == 0:
            self.user = unprivileged()

    def url(self, database: str) -> str:
        return f"postgresql://{self.postgres.username}:{self.postgres.password}@127.0.0.1:{self.port}/{database}"

    @override
    def prepare(self, data: Path) -> None:
        self._program = fetch()
        self.port = free_ports(1)
        users, config = data / "userlist.txt", data / "pgbouncer.ini"
        users.write_text("".join(f'"{name}" "{password}"\n' for name, password in self._users.items()))
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "md5",  # from here on as in the package
            "auth_file": users,
            **{name: value for name, value in self._settings.items() if value is not None},
        }
        lines = [f"{name} = {value}" for name, value in settings.items()]
        server = f"* = host=127.0.0.1 port={self.postgres.port}"
        config.write_text("\n".join(["[databases]", server, "[pgbouncer]", *lines, ""]))
        if self.user:
            for path in (data, users, config):
                shutil.chown(path, self.user)

    @override
    def command(self) -> list[str]:
        return [str(self._program), f"{self.data}/pgbouncer.ini"]

    @override
    def check(self) -> None:
        async def ask() -> None:
            connection = await asyncpg.connect(self.url("postgres"), timeout=10, statement_cache_size=0)
            await connection.close()

        try:
            run_sync(ask())
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise NotReady(str(error)) from error


def fetch() -> Path:
    """The program. Raises ServerUnavailable where it is not installed and cannot be."""
    if not INSTALLED.exists() and shutil.which("pgbouncer") is None:
        apt_install("PgBouncer", "pgbouncer")
    return INSTALLED if INSTALLED.exists() else Path(need("pgbouncer"))
