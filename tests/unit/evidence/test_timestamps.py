"""Timestamps of an authority (openssl) beside checkpoints; and what happens while it is away or answers nonsense."""

import asyncio
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx
import pytest

from app.cli import package
from app.cli.evidence_checks import DIFFERS, HOLDS, UNSEEN, CheckedLine, check_package
from app.domain.proofs import checkpoint_key, timestamp_key
from app.domain.timestamps import TimestampError, check_reply, query_for, read_certificates, verify_reply
from app.evidence.signer import Signer
from app.evidence.timestamps import NoTimestamp, TimestampAuthority, Timestamps
from tests.support.authority import Authority
from tests.support.core import BUCKET, Core
from tests.support.packages import members_of, packed
from tests.support.proofs import build_all, builder, proof_of, read
from tests.support.tampered import Died, Life, Tampered

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def stamping(
    core: Core, authority: TimestampAuthority, *, later: timedelta = timedelta(), objects: Any = None
) -> Timestamps:
    def now() -> datetime:
        return datetime.now(UTC) + later

    return Timestamps(core.database, objects or core.objects, core.process().readiness, authority, now)


async def proven(core: Core, signer: Signer) -> UUID:
    job_id = await core.submit("a")
    await core.archive(job_id)
    await build_all(builder(core, signer, timestamps=True))
    return job_id


async def test_a_checkpoint_gets_a_timestamp_that_openssl_verifies(
    core: Core, signer: Signer, authority: Authority, tmp_path: Path
) -> None:
    job_id = await proven(core, signer)
    stamps = stamping(core, authority.over_http())
    assert await stamps.stamp_next()
    assert not await stamps.stamp_next()
    assert authority.asked == 1
    reply = await read(core, timestamp_key(job_id))
    proof = await proof_of(core, job_id)
    assert proof.timestamp == reply
    (version,) = await core.objects.versions(BUCKET, timestamp_key(job_id))
    assert version.retain_until == proof.retain_until
    (tmp_path / "checkpoint").write_bytes(await read(core, checkpoint_key(job_id)))
    (tmp_path / "checkpoint.tsr").write_bytes(reply)
    command = ["openssl", "ts", "-verify", "-data", "checkpoint", "-in", "checkpoint.tsr", "-CAfile",
               str(authority.directory / "root.pem")]  # fmt: skip
    done = await asyncio.to_thread(subprocess.run, command, cwd=tmp_path, capture_output=True, text=True)
    assert "Verification: OK" in done.stdout, done.stderr


async def test_an_authority_that_is_away_holds_no_proof_up_and_is_asked_again(
    core: Core, signer: Signer, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = await proven(core, signer)
    authority.answers += [httpx.ConnectError("refused"), httpx.Response(503), httpx.Response(200, content=b"nonsense")]
    stamps = stamping(core, authority.over_http())
    assert not await stamps.stamp_next()
    assert not await stamps.stamp_next()
    assert authority.asked == 1  # not due again so soon
    assert (await proof_of(core, job_id)).timestamp is None
    for minutes in (2, 4, 6):
        await stamping(core, authority.over_http(), later=timedelta(minutes=minutes)).stamp_next()
    assert (await proof_of(core, job_id)).timestamp is not None
    assert authority.asked == 4
    for said in ("refused", "HTTP 503", "it is no timestamp"):
        assert f"asked again in 0:01:00: {said}" in caplog.text


async def test_a_process_that_dies_behind_the_put_leaves_one_timestamp(
    core: Core, signer: Signer, authority: Authority
) -> None:
    job_id = await proven(core, signer)
    life = Life()
    objects = Tampered(core.objects, life)
    objects.after("put", life.end)
    with pytest.raises(Died):
        await stamping(core, authority.over_http(), objects=objects).stamp_next()
    assert await stamping(core, authority.over_http(), later=timedelta(minutes=2)).stamp_next()
    (version,) = await core.objects.versions(BUCKET, timestamp_key(job_id))
    kept = (await proof_of(core, job_id)).timestamp
    assert kept == await read(core, timestamp_key(job_id), version.version_id)


async def test_it_runs_until_it_is_stopped(core: Core, signer: Signer, authority: Authority) -> None:
    job_id = await proven(core, signer)
    stop = asyncio.Event()
    running = asyncio.create_task(stamping(core, authority.over_http()).run(stop))
    async with asyncio.timeout(20):
        while (await proof_of(core, job_id)).timestamp is None:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.05)
    stop.set()
    await running


async def test_who_looks_for_what_is_owed_opens_no_transaction_while_nothing_is(
    core: Core, signer: Signer, authority: Authority
) -> None:
    await proven(core, signer)
    assert await stamping(core, authority.over_http()).stamp_next()
    database = Tampered(core.database, Life())
    stamps = Timestamps(cast("Any", database), core.objects, core.process().readiness, authority.over_http())
    assert not await stamps.stamp_next()
    assert not await builder(core, signer, database=database).build_next(asyncio.Event())
    assert database.calls["run"] == 0
    await core.archive(await core.submit("b"))
    assert await builder(core, signer, database=database, timestamps=True).build_next(asyncio.Event())
    assert await stamps.stamp_next()
    assert database.calls["run"] == 4


async def test_no_timestamp_is_owed_where_no_authority_is_set(core: Core, signer: Signer, authority: Authority) -> None:
    job_id = await core.submit("a")
    await core.archive(job_id)
    await build_all(builder(core, signer))
    assert not await stamping(core, authority.over_http()).stamp_next()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(404), "HTTP 404"),
        (httpx.Response(200, content=b""), "it is no timestamp"),
        (httpx.Response(200, content=b"x" * 70_000), "more than"),
        (httpx.ReadTimeout("slow"), "slow"),
    ],
)
async def test_an_answer_that_is_none_is_named(
    authority: Authority, answer: httpx.Response | Exception, said: str
) -> None:
    authority.answers.append(answer)
    with pytest.raises(NoTimestamp, match=said):
        await authority.over_http().stamp(b"content")


async def test_an_answer_to_another_request_is_refused(authority: Authority) -> None:
    other = authority.reply(query_for(b"content").content)
    authority.answers.append(httpx.Response(200, content=other))
    with pytest.raises(NoTimestamp, match="answers another request"):
        await authority.over_http().stamp(b"content")


def test_a_timestamp_is_verified_with_its_authority_and_no_other(authority: Authority, tmp_path: Path) -> None:
    reply = authority.reply(query_for(b"content").content)
    trusted = read_certificates(authority.root)
    assert abs(verify_reply(reply, b"content", trusted) - datetime.now(UTC)) < timedelta(minutes=1)
    with pytest.raises(TimestampError):
        verify_reply(reply, b"content", read_certificates(Authority(tmp_path / "other").root))
    for wrong, content in ((reply, b"other"), (reply + b"x", b"content"), (reply[:-1], b"content"), (b"", b"content")):
        with pytest.raises(TimestampError):
            check_reply(wrong, content)
    with pytest.raises(TimestampError, match="no certificate in PEM"):
        read_certificates(b"x")
    refused = bytes.fromhex("300530030201 02".replace(" ", ""))  # a status of 2 and nothing else: rejection
    with pytest.raises(TimestampError, match=r"refuses|no timestamp"):
        check_reply(refused, b"content")


async def test_verify_says_who_says_when_it_was_signed(
    core: Core, signer: Signer, authority: Authority, tmp_path: Path
) -> None:
    job_id = await proven(core, signer)
    await stamping(core, authority.over_http()).stamp_next()
    members = await members_of(core, job_id, signer.verifier)

    def verdict(changed: bytes | None, pem: bytes | None) -> CheckedLine:
        content = members if changed is None else {**members, package.TIMESTAMP: changed}
        found = check_package(packed(tmp_path / "F.zip", content), [signer.verifier], pem)
        return next(each for each in found if each.about == "timestamp")

    assert verdict(None, authority.root).kind == HOLDS
    unseen = verdict(None, None)
    assert unseen.kind == UNSEEN
    assert "without --tsa-certificate" in unseen.text
    assert verdict(None, Authority(tmp_path / "other").root).kind == DIFFERS
    of_other = authority.reply(query_for(b"other").content)
    assert verdict(of_other, authority.root).kind == DIFFERS
    assert verdict(of_other, None).kind == DIFFERS
    assert verdict(b"x", None).kind == DIFFERS
