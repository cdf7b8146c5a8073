"""`pas verify` on PostgreSQL and S3: what was damaged with other clients is found and named."""

import asyncio
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from app.db.database import Database
from app.domain.jobs import Reference, TaskId
from app.objectstore.s3 import S3Options, open_s3
from tests.servers import Postgres, SeaweedFS
from tests.unit.verify.archived import Archived, documents, rewrite_row


@pytest.fixture
async def archived(postgres: Postgres, s3: SeaweedFS, tmp_path: Path) -> AsyncIterator[Archived]:
    """Locks are in GOVERNANCE, so that a test can remove what it stored."""
    name = f"v{uuid.uuid4().hex[:10]}"
    s3.create_bucket(name)
    database = Database(postgres.create_database(name))
    options = S3Options(
        access_url=s3.url,
        region=s3.region,
        access_key=s3.access_key,
        secret_key=s3.secret_key,
        object_lock_mode="GOVERNANCE",
    )
    async with open_s3(options) as objects:
        archive = Archived(database, objects, name, tmp_path / "state.json")
        await archive.prepare()
        yield archive
    await database.close()
    postgres.drop_database(name)


async def test_an_archive_as_it_should_be_has_no_findings(archived: Archived) -> None:
    await archived.job(*documents(20), ("large", bytes(3_000_000)))
    await archived.job(*documents(3))
    result = await archived.verify(lock_mode="GOVERNANCE")
    assert (result.code, result.findings) == (0, [])
    counts = result.counts
    assert (counts["ok"], counts["known"], counts["schema"], counts["versions"]) == (24, 21, 1, 22)


async def test_each_kind_of_damage_is_found_and_named(archived: Archived, s3: SeaweedFS) -> None:
    stored = await archived.job(*documents(6))
    client = s3.client()

    def place(number: int) -> dict[str, str]:
        return {"Bucket": archived.bucket, "Key": stored[number].key, "VersionId": stored[number].version_id}

    client.delete_object(**place(1), BypassGovernanceRetention=True)
    await rewrite_row(archived.database, stored[2], replace(stored[2], sha256="0" * 64))
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    client.put_object_retention(
        **place(3), Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until}, BypassGovernanceRetention=True
    )
    # Without lock: the same object again in a bucket that has none.
    other = f"{archived.bucket}-open"
    s3.create_bucket(other, lock=False)
    client.put_bucket_versioning(Bucket=other, VersioningConfiguration={"Status": "Enabled"})
    whole = client.get_object(**place(4))
    copy = client.put_object(
        Bucket=other,
        Key=stored[4].key,
        Body=whole["Body"].read(),
        Metadata=whole["Metadata"],
        ContentType=whole["ContentType"],
    )
    await rewrite_row(archived.database, stored[4], replace(stored[4], bucket=other, version_id=copy["VersionId"]))
    client.delete_object(**place(4), BypassGovernanceRetention=True)
    await archived.put(TaskId(uuid.uuid4(), 0), Reference("ORPHAN"), b"nobody", datetime.now(UTC), 30)

    result = await archived.verify(lock_mode="GOVERNANCE")
    assert result.code == 1
    assert result.kinds == [
        ("missing", "DOC/1"),
        ("different", "DOC/2"),
        ("unlocked", "DOC/3"),
        ("different", "DOC/4"),
        ("unlocked", "DOC/4"),
        ("different", None),
        ("unknown", "ORPHAN"),
    ]
    assert {each["what"] for each in result.findings[1]["differences"]} == {
        "sha256",
        "metadata hash",
        "row of the artifact: sha256",
    }
    assert {each["what"] for each in result.findings[3]["differences"]} == {"row of the artifact"}
    schema = result.findings[5]  # the other bucket has none
    assert (schema["bucket"], schema["objects"], schema["differences"][0]["what"]) == (other, 1, "schema file")
    assert result.findings[2]["differences"][0]["found"] == f"until {until.isoformat().replace('+00:00', 'Z')}"
    assert (result.findings[4]["bucket"], result.findings[4]["versionId"]) == (other, copy["VersionId"])
    assert (result.counts["ok"], result.counts["known"], result.counts["findings"]) == (2, 5, 7)


async def test_a_weaker_mode_than_the_settings_ask_for_is_unlocked(archived: Archived) -> None:
    await archived.job(*documents(1))
    result = await archived.verify(lock_mode="COMPLIANCE")
    assert result.findings[0]["differences"] == [{"what": "lock mode", "expected": "COMPLIANCE", "found": "GOVERNANCE"}]


async def test_a_delete_marker_takes_nothing_away(archived: Archived, s3: SeaweedFS) -> None:
    (stored,) = await archived.job(*documents(1))
    s3.client().delete_object(Bucket=archived.bucket, Key=stored.key)
    result = await archived.verify(lock_mode="GOVERNANCE")
    assert (result.code, result.counts["known"]) == (0, 1)


async def test_the_command_needs_neither_kafka_nor_issuers_and_goes_on_after_sigterm(
    archived: Archived, postgres: Postgres, s3: SeaweedFS, tmp_path: Path
) -> None:
    await archived.job(*((f"DOC/{number}", bytes([number]) * 20_000) for number in range(60)))
    config = tmp_path / "application.yml"
    config.write_text(yaml.safe_dump(_settings(archived, postgres, s3)))
    state = tmp_path / "cursor.json"
    command = [sys.executable, "-m", "app", "verify", "--config", str(config), "--state", str(state)]
    # 1.2 MB at 100 KB/s: there is time to interrupt it.
    code, out, err = await asyncio.to_thread(_interrupted, [*command, "--max-bytes-per-second", "100KB"], state)
    assert (code, out) == (128 + signal.SIGTERM, ""), err
    assert state.exists()
    rest = await asyncio.to_thread(_run, [*command, "--resume"])
    assert rest.returncode == 0, rest.stderr
    assert rest.stdout.splitlines()[0].startswith("stored: 60 tasks, 1200000 bytes read: 60 ok, 0 missing")
    assert not state.exists()

    s3_away = _settings(archived, postgres, s3)
    s3_away["jeap.processarchive.objectstorage.connection.access-url"] = "http://127.0.0.1:9"
    config.write_text(yaml.safe_dump(s3_away))
    broken = await asyncio.to_thread(_run, command)
    assert broken.returncode == 3
    assert "objectstore: bucket" in broken.stderr


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _interrupted(command: list[str], state: Path) -> tuple[int, str, str]:
    """Exit code and output of a run that got SIGTERM once its first progress was kept."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until and not (state.exists() and '"tasks": ' in state.read_text()):
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    return process.returncode, out, err


def _settings(archived: Archived, postgres: Postgres, s3: SeaweedFS) -> dict[str, object]:
    storage = "jeap.processarchive.objectstorage"
    return {
        "jeap.processarchive.backfill.enabled": True,
        "jeap.processarchive.backfill.topic": "commands",
        "jeap.processarchive.archivedartifact.enabled": False,
        "jeap.messaging.kafka.bootstrap-servers": "127.0.0.1:9",
        "jeap.messaging.kafka.system-name": "PSF",
        "jeap.messaging.kafka.service-name": "pas",
        "jeap.security.oauth2.resourceserver.system-name": "psf",
        "jeap.security.oauth2.resourceserver.authorization-server.issuer": "http://127.0.0.1:9/issuer",
        "jeap.security.oauth2.resourceserver.authorization-server.jwk-set-uri": "http://127.0.0.1:9/keys",
        "jeap.datasource.url": postgres.url(archived.bucket),
        f"{storage}.connection.access-url": s3.url,
        f"{storage}.connection.region": s3.region,
        f"{storage}.connection.access-key": s3.access_key,
        f"{storage}.connection.secret-key": s3.secret_key,
        f"{storage}.storage.bucket": archived.bucket,
        f"{storage}.object-lock-mode": "GOVERNANCE",
    }
