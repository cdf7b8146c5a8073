"""`pas evidence verify --objects` reads the objects of a package from S3, with `AWS_…` of the environment."""

import asyncio
import hashlib
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.__main__ import main
from app.api.jobs.yaml_report import report_head, report_tasks
from app.cli import howto, package
from app.domain.identity import content_hash
from app.domain.jobs import JobState, Reference, ReportedTask, TaskState
from app.domain.leaves import leaf_line
from app.domain.merkle import leaf_hash, root_of
from app.domain.proofs import lines_of, origin_of
from app.evidence.signer import Signer
from app.objectstore.s3 import S3Options, open_s3
from tests.servers import SeaweedFS
from tests.support.packages import packed
from tests.support.rows import NOW, keys_of, new_job
from tests.unit.objectstore.uploads import upload_to

SIGNER = Signer("psf/archive", Ed25519PrivateKey.generate())
REFERENCES = [Reference("a"), Reference("b")]


async def stored(s3: SeaweedFS, bucket: str, until: datetime) -> list[dict[str, object]]:
    """An object for each reference, as leaves name it."""
    options = S3Options(access_url=s3.url, region=s3.region, access_key=s3.access_key, secret_key=s3.secret_key)
    found: list[dict[str, object]] = []
    async with open_s3(options) as store:
        for reference in REFERENCES:
            content = reference.id.encode() * 100
            upload = upload_to(bucket, f"PSF/Doc/{reference.id}/v0", content, tag=None, retain_until=until)
            version = await store.put(upload)
            sha256 = hashlib.sha256(content).hexdigest()
            found.append({"bucket": bucket, "key": upload.key, "version_id": version.version_id, "sha256": sha256,
                          "size": len(content), "retain_until": until.isoformat()})  # fmt: skip
    return found


def package_of(path: Path, objects: list[dict[str, object]]) -> Path:
    digest = content_hash("M", "t", None, keys_of(REFERENCES))
    job = replace(
        new_job(REFERENCES), state=JobState.COMPLETED, completed=NOW, open=0, succeeded=2, content_hash=digest
    )
    lines = [
        leaf_line(place, *reference, "succeeded", None, objects[place]) for place, reference in enumerate(REFERENCES)
    ]
    root = root_of(leaf_hash(line) for line in lines)
    tasks = [ReportedTask(place, each, TaskState.SUCCEEDED, None, None) for place, each in enumerate(REFERENCES)]
    return packed(
        path,
        {
            package.HOWTO: howto.TEXT.encode(),
            package.KEYS: f"{SIGNER.verifier}\n".encode(),
            package.CHECKPOINT: SIGNER.checkpoint(origin_of(job.id), 2, root, lines_of(job)).encode(),
            package.LEAVES: b"".join(line + b"\n" for line in lines),
            package.REPORT: report_head(job) + report_tasks(tasks),
        },
    )


async def verified(file: Path) -> int:
    words = ["evidence", "verify", str(file), "--key", str(SIGNER.verifier), "--objects"]
    return await asyncio.to_thread(main, words)


async def test_objects_are_read_by_their_versions_and_what_differs_is_named(
    s3: SeaweedFS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (
        ("AWS_ENDPOINT_URL", s3.url),
        ("AWS_ACCESS_KEY_ID", s3.access_key),
        ("AWS_SECRET_ACCESS_KEY", s3.secret_key),
        ("AWS_DEFAULT_REGION", s3.region),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    objects = await stored(s3, s3.create_bucket(f"b-{uuid.uuid4().hex[:12]}"), until)
    code = await verified(package_of(tmp_path / "right.zip", objects))
    out = capsys.readouterr().out
    assert code == 0, out
    assert "objects: 2 were read by their versions" in out

    later = {**objects[0], "retain_until": (until + timedelta(days=1)).isoformat()}
    gone = {**objects[1], "key": "PSF/Doc/none/v0"}
    assert await verified(package_of(tmp_path / "wrong.zip", [later, gone])) == 1
    out = capsys.readouterr().out
    assert f"a: {objects[0]['bucket']}/{objects[0]['key']} is locked until" in out
    assert "PSF/Doc/none/v0, version" in out
    assert " is missing" in out
