"""The commands of `pas` that are the service, or work beside it: serve, migrate, check-config, verify and others."""

# ruff: noqa: E402 - what libraries cannot use of the environment is taken out before they are loaded

import os

from app.telemetry.environment import pass_over

PASSED_OVER = pass_over(os.environ)

import argparse
import asyncio
import gc
import logging
import sys
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import uvloop

from app.api.auth.dev_issuer import ALL_ROLES, DEFAULT_TTL, DevIssuerError, mint
from app.catalog.archive_types import CatalogError
from app.cli.streams import Unwritable
from app.domain.errors import StartRefused, Unavailable
from app.process.data_dir import DataDirInUse, DataDirUnusable, own
from app.process.member import OPTION, Member
from app.settings.load import SettingsError, load_settings
from app.settings.model import Settings
from app.settings.values import size
from app.telemetry.logs import LogSettingError, configure_logging

if TYPE_CHECKING:
    from app.domain.notes import VerifierKey

# What only one command needs is imported when it runs: to load all of the service takes a second.

DATA_DIR = Path(".pas")

MOST_PROCESSES = 64
"""Processes of one `pas serve`: more than the cores of most machines, and each takes 150 MB."""

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 well, 1 refused (the reason on stderr), 2 wrong usage.

    Unexpected errors are raised: a bug ends the process with its traceback and the exit code 1.
    """
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()  # the help too, which ends with SystemExit
    except Unwritable as unwritable:
        _refuse(*unwritable.lines)
        return unwritable.code


def _run(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    options.words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return int(options.run(options) or 0)
    except (SettingsError, CatalogError) as error:
        return _refuse(*error.mistakes)
    except (StartRefused, DataDirInUse, DataDirUnusable, DevIssuerError, LogSettingError, Unavailable) as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        return 130


def _refuse(*lines: str) -> int:
    """Says the lines; the exit code: 1, or 0 where there are none."""
    for line in lines:
        print(f"pas: {line}", file=sys.stderr)
    return 1 if lines else 0


def _load(path: Path | None, environment: Mapping[str, str], *, embedded: Path | None = None) -> Settings:
    """The settings. One warning names the variables that are ignored. Raises SettingsError."""
    settings = load_settings(path, environment, embedded=embedded)
    if passed_over := [*map(str, PASSED_OVER), *settings.passed_over]:
        log.warning("%s: %s", _PASSED_OVER, "; ".join(passed_over))
    return settings


_PASSED_OVER = "variables of the environment that cannot be used are passed over"


def _serve(options: argparse.Namespace) -> int:
    if options.processes > 1 and options.member is None:
        return _serve_many(options)
    gc.disable()  # what is loaded stays: to look for garbage in it takes an eighth of the time
    try:
        from app.main import serve
    finally:
        gc.enable()
    member = options.member
    configure_logging(process=None if member is None else member.number)
    settings = _load_to_serve(options)
    if settings.data_dir is None:
        uvloop.run(serve(settings, migrate=options.migrate, member=member))
        return 0
    with own(settings):
        uvloop.run(serve(settings, migrate=True))
    return 0


def _serve_many(options: argparse.Namespace) -> int:
    from app.process.starter import serve_many

    if options.embedded:
        _refuse("--embedded is one process: broker and database live in it; leave out --processes")
        return 2
    configure_logging()
    server = _load_to_serve(options).server
    return asyncio.run(serve_many(options.words, options.processes, server.address, server.port))


def _load_to_serve(options: argparse.Namespace) -> Settings:
    environment = dict(os.environ)
    for name, value in (("SERVER_ADDRESS", options.host), ("SERVER_PORT", options.port)):
        if value is not None:
            environment[name] = str(value)
    data_dir = options.data_dir if options.embedded else None
    if options.member is not None:  # its parent has named what is passed over
        return load_settings(options.config, environment, embedded=data_dir)
    return _load(options.config, environment, embedded=data_dir)


def _migrate(options: argparse.Namespace) -> None:
    from app.db import migrations
    from app.db.database import Database

    configure_logging()
    settings = _load(options.config, os.environ)

    async def migrate() -> None:
        database = Database(settings.datasource.url.get_secret_value())
        try:
            await migrations.migrate(database)
        finally:
            await database.close()

    asyncio.run(migrate())
    print("the database is at the newest migration")


def _check_config(options: argparse.Namespace) -> int:
    from app.process.check_config import check

    found = check(options.config, os.environ, embedded=options.data_dir if options.embedded else None)
    passed_over = [*map(str, PASSED_OVER), *(found.settings.passed_over if found.settings else ())]
    if passed_over:
        _refuse(f"{_PASSED_OVER}: {'; '.join(passed_over)}")
    if found.mistakes:
        return _refuse(*found.mistakes)
    print("the settings are valid", *found.checked, sep="\n", flush=True)
    if not options.connect or found.settings is None or not found.settings.backfill.enabled:
        return 0
    from app.process.connect_check import connect

    logging.getLogger().addHandler(logging.NullHandler())  # each reason is printed once, as a line
    tried = asyncio.run(connect(found.settings))
    for each in tried:
        if each.problem is None:
            print(each, flush=True)
    return _refuse(*(str(each) for each in tried if each.problem is not None))


def _dev_token(options: argparse.Namespace) -> None:
    roles = options.role or list(ALL_ROLES)
    print(mint(options.data_dir, roles, options.name, options.ext_id, options.ttl))


def _verify(options: argparse.Namespace) -> int:
    from app.verify.command import VerifyExit
    from app.verify.progress import StateError

    try:
        configure_logging()
        data_dir = options.data_dir if options.embedded else None
        settings = _load(options.config, os.environ, embedded=data_dir)
        code = asyncio.run(_read_back(settings, options))
        sys.stdout.flush()
        return code
    except (SettingsError, CatalogError) as error:
        _refuse(*error.mistakes)
        return VerifyExit.USAGE
    except (StateError, LogSettingError) as error:
        _refuse(str(error))
        return VerifyExit.USAGE
    except Unwritable as unwritable:
        _refuse(*unwritable.lines)
        return VerifyExit.UNAVAILABLE  # 1 stands for findings only
    except (StartRefused, Unavailable) as error:
        _refuse(str(error))
        return VerifyExit.UNAVAILABLE
    except Exception:
        traceback.print_exc()
        return VerifyExit.UNAVAILABLE


async def _read_back(settings: Settings, options: argparse.Namespace) -> int:
    from app.process.wiring import open_stored
    from app.verify.command import verify
    from app.verify.findings import Report
    from app.verify.progress import StateFile, fingerprint
    from app.verify.run import Options

    store = settings.object_storage
    async with open_stored(settings) as archive:
        what = Options(
            buckets=archive.buckets,
            systems=archive.systems,
            lock_mode=store.object_lock_mode if store.object_lock_enabled else None,
            job_id=options.job,
            since=options.since,
            max_bytes_per_second=options.max_bytes_per_second,
            stored=options.only != "unknown",
            unknown=options.only != "stored",
            resume=options.resume,
        )
        about = fingerprint([archive.name, *what.buckets, what.job_id, what.since, options.only])
        return await verify(
            archive.database,
            archive.objects,
            what,
            StateFile(options.state or Path(f".pas-verify-{about}.json"), about),
            Report(sys.stdout, as_json=options.json),
            sys.stderr,
        )


def _verify_evidence(options: argparse.Namespace) -> int:
    from app.cli.evidence import verify_package
    from app.cli.exits import Ended

    if options.embedded and not (options.data_dir / "objects").is_dir():
        raise StartRefused(f"{options.data_dir} holds no objects: nothing was archived there")
    try:
        code, leaves_hold = verify_package(options.file, options.key, options.tsa_certificate, with_objects=True)
        return max(code, asyncio.run(_read_objects(options, leaves_hold=leaves_hold)))
    except Ended as ended:
        for line in ended.lines:
            print(line, file=sys.stderr)
        return ended.code


async def _read_objects(options: argparse.Namespace, *, leaves_hold: bool) -> int:
    from app.cli.evidence import tell_verdict
    from app.cli.evidence_checks import DIFFERS, HOLDS, UNSEEN, CheckedLine, leaves_of
    from app.evidence.stored_objects import differences
    from app.process import adapters

    if not leaves_hold:
        tell_verdict(CheckedLine(UNSEEN, "objects", "the leaves that name them are not those that were signed"))
        return 0
    if options.config is None and not options.embedded:
        opened = adapters.open_ambient_store(os.environ)
    else:
        data_dir = options.data_dir if options.embedded else None
        opened = adapters.open_object_store(_load(options.config, os.environ, embedded=data_dir))
    seen, wrong = 0, 0
    async with opened as objects:
        async for found in differences(objects, leaves_of(options.file)):
            seen += 1
            if found is not None:
                wrong += 1
                tell_verdict(CheckedLine(DIFFERS, "object", found))
    if not wrong:
        tell_verdict(CheckedLine(HOLDS, "objects", f"{seen} were read by their versions: content, size and locks"))
    return 1 if wrong else 0


def _verify_audit(options: argparse.Namespace) -> int:
    from app.domain.notes import NoteError, read_verifier_key
    from app.process import adapters

    configure_logging()
    settings = _load(options.config, os.environ, embedded=options.data_dir if options.embedded else None)
    try:
        given = [Path(text).read_text() if Path(text).is_file() else text for text in options.key]
        keys = [read_verifier_key(text) for text in given] or adapters.verifier_keys(settings)
    except (NoteError, OSError, UnicodeDecodeError) as error:
        _refuse(f"--key: {error}")
        return 2
    return asyncio.run(_compare_log(settings, keys, given=bool(given)))


async def _compare_log(settings: Settings, keys: "Sequence[VerifierKey]", *, given: bool) -> int:
    """Compares the audit log with the checkpoints in the bucket, and says what holds. `given`: who calls knows the
    keys, so there must be one."""
    from app.evidence.audit_keeper import compare
    from app.process.wiring import open_stored

    async with open_stored(settings) as archive:
        bucket = settings.object_storage.storage.bucket
        found = await compare(archive.database, archive.objects, bucket, keys, with_all=True)
    for finding in found.findings:
        print(f"differs        audit log: {finding}")
    if not found.findings:
        print(f"holds          audit log: {found.entries} entries have their hashes, and the head is theirs")
    unsigned = given and not found.compared
    if not found.compared:
        kind = "differs      " if unsigned else "not looked at"
        print(f"{kind}  checkpoint: there is none in the bucket that one of the keys signed")
    elif not found.findings:
        print(f"holds          checkpoint: all in the bucket are of this log, the newest of {found.compared} entries")
    return 1 if found.findings or unsigned else 0


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port from 0 to 65535")
    return int(text)


def _processes(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_PROCESSES:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {MOST_PROCESSES}")
    return int(text)


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time like 2026-05-08T07:26:37Z") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pas",
        description="Process Archive Service: archives the data of business processes, and backfills what was missed.",
        epilog="Settings: docs/configuration.md. Try it: `pas serve --embedded`, then `pas dev-token`.",
    )
    parser.add_argument("--version", action="version", version=f"pas {version('process-archive-service')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the service: REST and command loop in one process, or in several")
    _config(serve)
    serve.add_argument(
        "--host", help="address to listen on (overrides server.address; embedded listens on 127.0.0.1 only)"
    )
    serve.add_argument("--port", type=_port, help="port to listen on, 0 takes a free one (overrides server.port)")
    serve.add_argument("--embedded", action="store_true", help="no server beside it: everything in the data directory")
    _data_dir(serve)
    serve.add_argument("--migrate", action="store_true", help="bring an older database to this release first")
    serve.add_argument(
        "--processes",
        type=_processes,
        default=1,
        metavar="N",
        help="run N equal processes on one address, for the cores of one machine: restarted when they die, stopped "
        "together, /metrics of all of them (default: 1, at most 64)",
    )
    serve.add_argument(OPTION, type=Member.of, help=argparse.SUPPRESS)
    serve.set_defaults(run=_serve)

    migrate = commands.add_parser("migrate", help="bring the database to the newest migration")
    _config(migrate)
    migrate.set_defaults(run=_migrate)

    check_config = commands.add_parser(
        "check-config", help="check settings, archive types and schemas, by default without connecting to anything"
    )
    _config(check_config)
    how = check_config.add_mutually_exclusive_group()
    how.add_argument("--embedded", action="store_true", help="what `pas serve --embedded` needs, and no more")
    how.add_argument(
        "--connect", action="store_true", help="then try once everything that the settings name; nothing is written"
    )
    _data_dir(check_config)
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

    verify = commands.add_parser("verify", help="read back what is stored and compare it with the database")
    _verify_arguments(verify)
    verify.set_defaults(run=_verify)

    evidence = commands.add_parser("evidence")  # `app.cli` shows it
    evidence_verify = evidence.add_subparsers(required=True).add_parser("verify", help="with --objects")
    evidence_verify.add_argument("file", type=Path, metavar="F.zip", help="the package")
    evidence_verify.add_argument("--key", action="append", required=True, metavar="K", help="verifier key, or a file")
    evidence_verify.add_argument("--tsa-certificate", type=Path, metavar="FILE", help="of the timestamp authority")
    evidence_verify.add_argument("--objects", action="store_true", required=True, help="read every object too")
    _config(evidence_verify)
    evidence_verify.add_argument("--embedded", action="store_true", help="the objects in the data directory")
    _data_dir(evidence_verify)
    evidence_verify.set_defaults(run=_verify_evidence)
    audit = commands.add_parser("audit")  # `app.cli` shows it
    audit_verify = audit.add_subparsers(required=True).add_parser(
        "verify", help="compare the audit log with the newest checkpoint in the bucket"
    )
    audit_verify.epilog = "Exit code: 0 all holds, 1 something differs. See docs/audit.md."
    _config(audit_verify)
    audit_verify.add_argument("--embedded", action="store_true", help="the archive in the data directory")
    _data_dir(audit_verify)
    audit_verify.add_argument(
        "--key", action="append", default=[], metavar="K", help="verifier key, or its file, instead of the settings'"
    )
    audit_verify.set_defaults(run=_verify_audit)
    return parser


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Exit code: 0 all is well, 1 findings, 2 wrong usage, 3 not to be reached. See docs/verify.md."
    _config(parser)
    parser.add_argument("--embedded", action="store_true", help="the archive in the data directory; it may be running")
    _data_dir(parser)
    parser.add_argument("--job", type=UUID, metavar="ID", help="only what this job archived")
    parser.add_argument("--since", type=_time, metavar="T", help="only what was archived since, ISO 8601, else UTC")
    parser.add_argument("--only", choices=("stored", "unknown"), help="one of the two ways; by default both are gone")
    parser.add_argument(
        "--max-bytes-per-second", type=size, metavar="N", help="read no faster, for example 20MiB (default: unlimited)"
    )
    parser.add_argument("--resume", action="store_true", help="go on where the same command was interrupted")
    parser.add_argument(
        "--state", type=Path, metavar="FILE", help="keeps the progress (default: ./.pas-verify-<options>.json)"
    )
    parser.add_argument("--json", action="store_true", help="JSON lines instead of text")


def _config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings file (default: $PAS_CONFIG, else ./application.yml)"
    )


def _data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir", type=Path, default=DATA_DIR, metavar="DIR", help="data of the embedded service (default: .pas)"
    )
