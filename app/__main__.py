"""`pas`: serve, migrate, check-config, dev-token."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from app.api.dev_issuer import ALL_ROLES, DEFAULT_TTL, mint
from app.catalog.archive_types import CatalogError
from app.check_config import check
from app.db import migrations
from app.db.database import Database
from app.domain.errors import Unavailable
from app.embedded import DataDirInUse, own
from app.main import serve
from app.settings import SettingsError, load_settings
from app.telemetry.logs import configure_logging
from app.wiring import StartRefused

DATA_DIR = Path(".pas")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 well, 1 refused or broken (the reason on stderr), 2 wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except (SettingsError, CatalogError) as error:
        return _refuse(*error.mistakes)
    except (StartRefused, DataDirInUse, Unavailable, ValueError, OSError) as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        return 130


def _refuse(*lines: str) -> int:
    for line in lines:
        print(f"pas: {line}", file=sys.stderr)
    return 1


def _serve(options: argparse.Namespace) -> None:
    configure_logging()
    data_dir = options.data_dir if options.embedded else None
    environment = dict(os.environ)
    for name, value in (("SERVER_ADDRESS", options.host), ("SERVER_PORT", options.port)):
        if value is not None:
            environment[name] = str(value)
    settings = load_settings(options.config, environment, embedded=data_dir)
    if data_dir is None:
        uvloop.run(serve(settings, migrate=options.migrate))
        return
    with own(settings):
        uvloop.run(serve(settings, migrate=True))


def _migrate(options: argparse.Namespace) -> None:
    configure_logging()
    settings = load_settings(options.config, os.environ)

    async def migrate() -> None:
        database = Database(settings.datasource.url.get_secret_value())
        try:
            await migrations.migrate(database)
        finally:
            await database.close()

    asyncio.run(migrate())
    print("the database is at the newest migration")


def _check_config(options: argparse.Namespace) -> int:
    mistakes = check(options.config, os.environ)
    if mistakes:
        return _refuse(*mistakes)
    print("settings, archive types and schemas are valid")
    return 0


def _dev_token(options: argparse.Namespace) -> None:
    roles = options.role or list(ALL_ROLES)
    print(mint(options.data_dir, roles, options.name, options.ext_id, options.ttl))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pas",
        description="Process Archive Service: archives the data of business processes, and backfills what was missed.",
        epilog="Settings: docs/configuration.md. Try it: `pas serve --embedded`, then `pas dev-token`.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the service: REST and command loop in one process")
    _config(serve)
    serve.add_argument("--host", help="address to listen on (overrides server.address)")
    serve.add_argument("--port", type=int, help="port to listen on, 0 takes a free one (overrides server.port)")
    serve.add_argument("--embedded", action="store_true", help="no server beside it: everything in the data directory")
    _data_dir(serve)
    serve.add_argument("--migrate", action="store_true", help="bring an older database to this release first")
    serve.set_defaults(run=_serve)

    migrate = commands.add_parser("migrate", help="bring the database to the newest migration")
    _config(migrate)
    migrate.set_defaults(run=_migrate)

    check_config = commands.add_parser(
        "check-config", help="check settings, archive types and schemas without connecting to anything"
    )
    _config(check_config)
    check_config.set_defaults(run=_check_config)

    token = commands.add_parser("dev-token", help="print a bearer token for the embedded service")
    _data_dir(token)
    token.add_argument(
        "--role", action="append", metavar="R", help=f"a role, may be repeated; by default all: {', '.join(ALL_ROLES)}"
    )
    token.add_argument("--name", default="Developer", metavar="N", help="claim `name` (default: Developer)")
    token.add_argument("--ext-id", metavar="X", help="claim `ext_id`")
    token.add_argument(
        "--ttl", type=int, default=DEFAULT_TTL, metavar="S", help=f"seconds until it expires (default: {DEFAULT_TTL})"
    )
    token.set_defaults(run=_dev_token)
    return parser


def _config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings file (default: $PAS_CONFIG, else ./application.yml)"
    )


def _data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir", type=Path, default=DATA_DIR, metavar="DIR", help="data of the embedded service (default: .pas)"
    )


if __name__ == "__main__":
    sys.exit(main())
