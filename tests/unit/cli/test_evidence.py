"""`pas evidence export` and `verify`: what holds, and each byte that was changed."""

import json
import random
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.cli import package
from app.cli.evidence_checks import DIFFERS, HOLDS, UNSEEN, CheckedLine, check_package
from app.domain.errors import PermanentFailure
from app.domain.merkle import leaf_hash, root_of
from app.evidence.signer import Signer
from app.jobs.control import JobControl
from app.jobs.retry import Retries
from tests.servers.process import run_sync
from tests.support.core import DORA, HISTORY, opened_core
from tests.support.packages import members_of, packed, unpacked
from tests.support.proofs import build_all, builder
from tests.unit.cli.conftest import JOB, Done, Fake, problem

SIGNER = Signer("psf/archive", Ed25519PrivateKey.generate())
OTHER = Signer("psf/archive", Ed25519PrivateKey.generate())
KEY = str(SIGNER.verifier)


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Of a job of nine references, of which two failed."""

    async def made() -> dict[str, bytes]:
        async with opened_core(tmp_path_factory.mktemp("core")) as core:
            for each in ("bad: 1", "0123"):
                core.source.answers(each, PermanentFailure("Failed reading artifact from source service: HTTP 404"))
            job_id = await core.submit(*(f"doc {number}/ä" for number in range(7)), "bad: 1", "0123")
            await core.archive(job_id)
            await build_all(builder(core, SIGNER))
            return await members_of(core, job_id, SIGNER.verifier, signer=SIGNER)

    return run_sync(made())


@pytest.fixture
def file(members: dict[str, bytes], tmp_path: Path) -> Path:
    return packed(tmp_path / "package.zip", members)


def verdicts(path: Path, *signers: Signer) -> dict[str, CheckedLine]:
    keys = [each.verifier for each in signers or (SIGNER,)]
    return {each.about: each for each in check_package(path, keys)}


def differing(path: Path, *signers: Signer) -> dict[str, str]:
    return {about: each.text for about, each in verdicts(path, *signers).items() if each.kind == DIFFERS}


def test_a_package_holds_and_says_what_was_not_looked_at(file: Path) -> None:
    found = verdicts(file)
    assert {about: each.kind for about, each in found.items()} == {
        "package": HOLDS, "members": HOLDS, "checkpoint": HOLDS, "leaves": HOLDS, "report": HOLDS, "submission": HOLDS,
        "result": HOLDS, "keys": HOLDS, "timestamp": UNSEEN, "audit log": HOLDS,
    }  # fmt: skip
    assert found["leaves"].text.startswith("9 of them have the root")
    assert found["result"].text == "partially-succeeded: 7 succeeded, 2 failed"


def test_each_byte_changed_is_found(file: Path, tmp_path: Path) -> None:
    right = file.read_bytes()
    places = random.Random(1).sample(range(len(right)), 120)
    for place in [*places, 0, len(right) - 1]:
        changed = bytearray(right)
        changed[place] ^= 1 << place % 8
        (tmp_path / "changed.zip").write_bytes(changed)
        assert differing(tmp_path / "changed.zip"), f"byte {place}"


@pytest.mark.parametrize("name", [package.CHECKPOINT, package.LEAVES, package.HOWTO, package.KEYS])
def test_each_byte_of_a_member_is_found_in_a_package_that_was_written_anew(
    members: dict[str, bytes], tmp_path: Path, name: str
) -> None:
    right = members[name]
    for place in random.Random(2).sample(range(len(right)), 60):
        changed = bytearray(right)
        changed[place] ^= 1 << place % 8
        found = verdicts(packed(tmp_path / "changed.zip", {**members, name: bytes(changed)}))
        assert found["package"].kind == HOLDS
        if name == package.HOWTO:
            assert found["members"].kind in (UNSEEN, DIFFERS)
        else:
            assert any(each.kind == DIFFERS for each in found.values()), f"byte {place} of {name}"


def test_each_value_of_the_report_that_is_signed_is_found(members: dict[str, bytes], tmp_path: Path) -> None:
    report = members[package.REPORT].decode()
    for old, new in (
        ("doc 3", "doc 4"),
        ('id: "0123"', 'id: "0124"'),
        ("state: failed", "state: succeeded"),
        ("HTTP 404", "HTTP 403"),
        ("job-result: partially-succeeded", "job-result: succeeded"),
        ("job-state: completed", "job-state: open"),
        ("message: DocCreated", "message: DocChanged"),
        ("topic: docs", "topic: dogs"),
        ("topic: docs", "topic: docs\nconfig-id: x"),
        ("job-id: ", "job-id: 0"),
        ("started-by-name: Dora", "started-by-name: Erik"),
        ("started-by-ext_id", "started-by-other"),
        ("started: 20", "started: 19"),
        ("report-created: 20", "report-created: 19"),
        (line_of(report, "report-created"), ""),
        (line_of(report, "started"), ""),
        (line_of(report, "started-by-name"), ""),
        ("started: ", "approved-by: x\nstarted: "),
        ("state: succeeded\n", "state: succeeded\n    error:\n      traceId: abcd\n"),
        ("state: succeeded\n", "state: succeeded\n    error: {}\n"),
        ("      traceId", "      traceid"),
        (report[report.index("  - id: doc 6") : report.index('  - id: "bad: 1"')], ""),
        ("archiveDataReferences:", "archiveDataReferences: []\nmore:"),
    ):
        assert old in report, old
        changed = report.replace(old, new, 1).encode()
        assert differing(packed(tmp_path / "changed.zip", {**members, package.REPORT: changed})), new


def line_of(report: str, key: str) -> str:
    return next(line for line in report.splitlines(keepends=True) if line.startswith(f"{key}: "))


def unseen(members: dict[str, bytes], path: Path) -> dict[str, str]:
    """What is not looked at, where nothing differs."""
    found = verdicts(packed(path, members))
    assert not [each for each in found.values() if each.kind == DIFFERS]
    return {about: each.text for about, each in found.items() if each.kind == UNSEEN and about != "timestamp"}


def test_what_nothing_signs_is_not_looked_at(members: dict[str, bytes], tmp_path: Path) -> None:
    report = members[package.REPORT].decode()
    place = report.index("traceId: ")
    other = report[:place] + f"traceId: {'f' * 32}" + report[place + 41 :]
    without = "".join(line for line in report.splitlines(keepends=True) if "traceId" not in line)
    for changed, number in ((other, 1), (without, 2)):
        found = unseen({**members, package.REPORT: changed.encode()}, tmp_path / "a.zip")
        assert found.keys() == {"trace ids"}
        assert found["trace ids"].startswith(f"{number} of 2 are not those that job and reference have")


def test_what_the_audit_log_in_the_package_does_not_say_is_not_looked_at(
    members: dict[str, bytes], tmp_path: Path
) -> None:
    report = members[package.REPORT].decode()
    submitted, completed, proven = members[package.AUDIT].splitlines(keepends=True)
    erik = report.replace("started-by-name: Dora", "started-by-name: Erik")
    late = report.replace("report-created: 20", "report-created: 21")
    for changed, lines, about in (
        (erik, completed + proven, {"started"}),
        (late, submitted + proven, {"report-created"}),
        (erik, b"", {"audit log", "started", "report-created"}),
    ):
        some = {**members, package.REPORT: changed.encode(), package.AUDIT: lines}
        assert unseen(some, tmp_path / "a.zip").keys() == about
    none = {name: content for name, content in members.items() if name != package.AUDIT}
    assert unseen(none, tmp_path / "a.zip").keys() == {"audit log", "started", "report-created"}


def test_packages_of_cancelled_jobs_and_of_retries_hold(tmp_path: Path) -> None:
    async def made() -> list[dict[str, bytes]]:
        async with opened_core(tmp_path) as core:
            core.source.answers("bad", PermanentFailure("Failed reading artifact from source service: HTTP 404"))
            failed, cancelled, retried = await core.submit("bad", "a"), await core.submit("b", "c"), uuid4()
            await core.archive(failed)
            await JobControl(core.database, HISTORY, core.on_due).cancel(cancelled, "Erik", None)
            await Retries(core.database, HISTORY, core.catalog, core.on_due).retry(failed, retried, DORA)
            await core.archive(retried)
            await build_all(builder(core, SIGNER))
            jobs = failed, cancelled, retried
            return [await members_of(core, each, SIGNER.verifier, signer=SIGNER) for each in jobs]

    for each in run_sync(made()):
        assert unseen(each, tmp_path / "a.zip") == {}


def test_what_another_key_signed_does_not_hold(file: Path) -> None:
    assert "is not signed by a known key" in differing(file, OTHER)["checkpoint"]
    found = verdicts(file, OTHER)
    assert [found[about].kind for about in ("leaves", "report", "submission", "result", "keys")] == [UNSEEN] * 5
    assert not differing(file, OTHER, SIGNER)


def test_a_checkpoint_over_other_leaves_is_no_proof_of_these(members: dict[str, bytes], tmp_path: Path) -> None:
    lines = members[package.LEAVES].splitlines(keepends=True)
    swapped = b"".join([lines[1], lines[0], *lines[2:]])
    assert "is of position 1" in differing(packed(tmp_path / "a.zip", {**members, package.LEAVES: swapped}))["leaves"]
    root = root_of(leaf_hash(line[:-1]) for line in lines[:8])
    job_id = members[package.REPORT].decode().partition("job-id: ")[2].partition("\n")[0]
    shorter = SIGNER.checkpoint(f"jobs/{job_id}", 8, root).encode()
    found = differing(packed(tmp_path / "b.zip", {**members, package.CHECKPOINT: shorter}))
    assert "there are 9 of them, and 8 were signed" in found["leaves"]
    of_log = SIGNER.checkpoint("audit", 9, root).encode()
    found = differing(packed(tmp_path / "c.zip", {**members, package.CHECKPOINT: of_log}))
    assert "not of a job" in found["checkpoint"]


def test_a_proof_of_another_job_is_found(members: dict[str, bytes], tmp_path: Path) -> None:
    root = root_of(leaf_hash(line) for line in members[package.LEAVES].splitlines())
    other = SIGNER.checkpoint(f"jobs/{JOB}", 9, root, ["result partially-succeeded"]).encode()
    found = differing(packed(tmp_path / "a.zip", {**members, package.CHECKPOINT: other}))
    assert f"the checkpoint of psf/archive/jobs/{JOB}" in found["report"]


@pytest.mark.parametrize(
    ("change", "about"),
    [
        (lambda members: {**members, "more.txt": b"x"}, "members"),
        (lambda members: {name: text for name, text in members.items() if name != package.REPORT}, "members"),
        (lambda members: {name: text for name, text in members.items() if name != package.LEAVES}, "leaves"),
        (lambda members: {**members, package.REPORT: b"- x"}, "report"),
        (lambda members: {**members, package.REPORT: b"\xff"}, "report"),
        (lambda members: {**members, package.LEAVES: members[package.LEAVES][:-1]}, "leaves"),
        (lambda members: {**members, package.KEYS: str(OTHER.verifier).encode()}, "keys"),
        (lambda members: {**members, package.KEYS: b"x"}, "keys"),
    ],
)
def test_members_that_are_wrong_are_named(
    members: dict[str, bytes],
    tmp_path: Path,
    change: Callable[[dict[str, bytes]], dict[str, bytes]],
    about: str,
) -> None:
    assert about in differing(packed(tmp_path / "changed.zip", change(members)))


def test_a_report_that_would_fill_the_memory_is_not_read(members: dict[str, bytes], tmp_path: Path) -> None:
    huge = members[package.REPORT] + b"#" * 30_000_000
    found = differing(packed(tmp_path / "huge.zip", {**members, package.REPORT: huge}))
    assert "one over these leaves has at most" in found["report"]


def test_a_member_twice_is_named(members: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "twice.zip"
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(packed(path, members), "a") as archive:
        archive.writestr(package.CHECKPOINT, b"x")
    assert {"package", "members"} <= differing(path).keys()


def test_further_lines_of_a_checkpoint_are_named_and_live_jobs_have_no_submission(
    members: dict[str, bytes], tmp_path: Path
) -> None:
    root = root_of(leaf_hash(line) for line in members[package.LEAVES].splitlines())
    job_id = members[package.REPORT].decode().partition("job-id: ")[2].partition("\n")[0]
    note = SIGNER.checkpoint(f"jobs/{job_id}", 9, root, ["result partially-succeeded", "kind live", "weather fine"])
    found = [
        each
        for each in check_package(
            packed(tmp_path / "a.zip", {**members, package.CHECKPOINT: note.encode()}), [SIGNER.verifier]
        )
        if each.kind == UNSEEN
    ]
    assert any("a live job was not submitted" in each.text for each in found)
    assert any("further lines of it: weather" in each.text for each in found)


def test_verify_says_it_line_by_line(run: Callable[..., Done], file: Path, tmp_path: Path) -> None:
    done = run("evidence", "verify", str(file), "--key", KEY)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0].startswith("holds          package: no byte was changed")
    assert "not looked at  objects: --objects reads each of them" in done.out
    (tmp_path / "key").write_text(f"{OTHER.verifier}\n{KEY}\n")
    assert run("evidence", "verify", str(file), "--key", str(tmp_path / "key")).code == 0
    wrong = run("evidence", "verify", str(file), "--key", str(OTHER.verifier))
    assert wrong.code == 1
    assert "differs        checkpoint: is not signed by a known key" in wrong.out


def test_what_cannot_be_read_is_said(run: Callable[..., Done], file: Path, tmp_path: Path) -> None:
    none = run("evidence", "verify", str(tmp_path / "none.zip"), "--key", KEY)
    assert (none.code, none.out) == (1, "")
    assert "none.zip cannot be read: No such file" in none.err
    assert "neither a verifier key nor a file" in run("evidence", "verify", str(file), "--key", "none").err
    assert run("evidence", "verify", str(file), "--key", KEY[:-1]).code == 2
    assert run("evidence", "verify", str(file)).code == 2
    (tmp_path / "x.zip").write_bytes(b"x" * 200)
    done = run("evidence", "verify", str(tmp_path / "x.zip"), "--key", KEY)
    assert done.code == 1
    assert "cannot be read as a ZIP file" in done.out


def test_a_long_text_is_no_key(run: Callable[..., Done], file: Path) -> None:
    for text, code in (("x" * 5000, 1), (f"psf/pas+{'x' * 5000}", 2)):
        done = run("evidence", "verify", str(file), "--key", text)
        assert (done.code, "key" in done.err) == (code, True), done.err


def shell(command: str, file: Path, *more: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "app", "evidence", "verify", str(file), "--key", KEY, *more]
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command.replace("verify", shlex.join(words))], capture_output=True, text=True
    )


def test_a_pipe_is_told_to_be_one(file: Path) -> None:
    done = shell("cat $0 | verify".replace("$0", shlex.quote(str(file))), Path("/dev/stdin"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "/dev/stdin is a pipe" in done.stderr


@pytest.mark.parametrize("more", [(), ("--objects", "--embedded")])
def test_output_that_cannot_be_written_says_nothing_of_the_package(
    file: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    (tmp_path / "data" / "objects").mkdir(parents=True)
    where = ("--data-dir", str(tmp_path / "data")) if more else ()
    full = shell("verify > /dev/full", file, *more, *where)
    assert (full.returncode, full.stderr) == (1, "Standard output cannot be written: No space left on device\n")
    closed = shell("verify | true", file, *more, *where)
    assert (closed.returncode, closed.stderr) == (1, "")


def test_objects_in_a_directory_that_is_none_are_not_all_missing(file: Path, tmp_path: Path) -> None:
    done = shell("verify", file, "--objects", "--embedded", "--data-dir", str(tmp_path / "typo"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"pas: {tmp_path}/typo holds no objects: nothing was archived there\n"


def says(fake: Fake, members: dict[str, bytes], **proof: Any) -> None:
    base = f"/api/jobs/{JOB}"
    shown = {"checkpoint": members[package.CHECKPOINT].decode(), "size": 9, "timestamp": None, **proof}
    fake.says("GET", f"{base}/evidence", shown)
    for path, kind, name in (("evidence/leaves", "x-ndjson", package.LEAVES), ("report", "yaml", package.REPORT)):
        headers = {"Content-Type": f"application/{kind}"}
        fake.says("GET", f"{base}/{path}", httpx.Response(200, content=members[name], headers=headers))
    fake.says("GET", "/api/evidence/keys", {"items": [{"key": KEY}], "next": None})
    proofs = [json.loads(line) for line in members[package.AUDIT].splitlines()]

    def log(request: httpx.Request) -> dict[str, Any]:
        """Pages of two, newest first."""
        before = int(request.url.params.get("cursor", len(proofs)))
        items = [{"seq": number} for number in range(before)][:-3:-1]
        return {"items": items, "next": str(items[-1]["seq"]) if before > 2 else None}

    fake.says("GET", "/api/audit", log)
    fake.says("GET", "/api/audit/proof", lambda request: proofs[int(request.url.params["seq"])])


def test_export_writes_what_verify_accepts(fake: Fake, members: dict[str, bytes], tmp_path: Path) -> None:
    says(fake, members, timestamp="dHNy")
    target = tmp_path / "F.zip"
    done = fake.run("evidence", "export", "--job", JOB, "--to", str(target))
    assert done.code == 0, done.err
    assert "the proof of 9 references" in done.err
    written = unpacked(target)
    entries = [json.loads(line) for line in written.pop(package.AUDIT).splitlines()]
    assert entries == [json.loads(line) for line in members[package.AUDIT].splitlines()]
    assert {**written, package.AUDIT: members[package.AUDIT]} == {**members, package.TIMESTAMP: b"tsr"}
    assert {about for about, each in verdicts(target).items() if each.kind == DIFFERS} <= {"timestamp"}


@pytest.mark.parametrize("status", [404, 409])
def test_export_says_that_the_audit_log_could_not_be_had(
    fake: Fake, members: dict[str, bytes], tmp_path: Path, status: int
) -> None:
    says(fake, members)
    fake.says("GET", "/api/audit/proof", problem(status, detail="entry 3 was removed."))
    target = tmp_path / "F.zip"
    done = fake.run("evidence", "export", "--job", JOB, "--to", str(target))
    assert (done.code, "without the audit log: entry 3 was removed." in done.err) == (0, True), done.err
    assert verdicts(target)["audit log"].kind == UNSEEN
    fake.says("GET", "/api/audit/proof", problem(403))
    assert fake.run("evidence", "export", "--job", JOB, "--to", str(target)).code == 1


def test_export_says_that_a_log_without_a_head_shows_no_entries(
    fake: Fake, members: dict[str, bytes], tmp_path: Path
) -> None:
    says(fake, members)
    fake.says("GET", "/api/audit", {"items": [], "next": None})
    target = tmp_path / "F.zip"
    fake.says("GET", "/api/audit/proof", problem(404, detail="The audit log has no entry 0."))
    assert "without the audit log" not in fake.run("evidence", "export", "--job", JOB, "--to", str(target)).err
    fake.says("GET", "/api/audit/proof", problem(409, detail="the head of the log was removed."))
    done = fake.run("evidence", "export", "--job", JOB, "--to", str(target))
    assert (done.code, "without the audit log: the head of the log was removed." in done.err) == (0, True), done.err


def test_export_leaves_no_file_where_there_is_no_proof(fake: Fake, members: dict[str, bytes], tmp_path: Path) -> None:
    target = tmp_path / "F.zip"
    fake.says("GET", f"/api/jobs/{JOB}/evidence", problem(404, detail="the job is open."))
    done = fake.run("evidence", "export", "--job", JOB, "--to", str(target))
    assert (done.code, "the job is open" in done.err) == (1, True)
    says(fake, members)
    fake.says("GET", f"/api/jobs/{JOB}/report", problem(403))
    assert fake.run("evidence", "export", "--job", JOB, "--to", str(target)).code == 1
    assert not list(tmp_path.iterdir())


def test_entries_of_the_audit_log_hold_or_are_named(members: dict[str, bytes], tmp_path: Path) -> None:
    lines = members["audit.ndjson"].splitlines(keepends=True)
    said = verdicts(packed(tmp_path / "right.zip", members))["audit log"].text
    assert said == "3 entries of the job are in the log of 3 entries that was signed"
    first = json.loads(lines[0])
    changed = {
        "leaf": {**first, "leaf": first["leaf"].replace("Dora", "Erik")},
        "index": {**first, "index": 1},
        "hash": {**first, "hashes": first["hashes"][::-1]},
        "no hash": {**first, "hashes": ["x"]},
        "member": {**first, "more": 1},
        "checkpoint": {**first, "checkpoint": members["checkpoint"].decode()},
        "unsigned": {**first, "checkpoint": first["checkpoint"].replace("\n3\n", "\n4\n")},
    }
    for name, line in changed.items():
        some = {**members, "audit.ndjson": json.dumps(line).encode() + b"\n" + b"".join(lines[1:])}
        assert "line 1" in differing(packed(tmp_path / "wrong.zip", some))["audit log"], name
    twice = {**members, "audit.ndjson": lines[0] + lines[0]}
    assert "line 2" in differing(packed(tmp_path / "twice.zip", twice))["audit log"]
    without = {name: content for name, content in members.items() if name != "audit.ndjson"}
    assert verdicts(packed(tmp_path / "without.zip", without))["audit log"].kind == UNSEEN
    empty = {**members, "audit.ndjson": b""}
    assert verdicts(packed(tmp_path / "empty.zip", empty))["audit log"].kind == UNSEEN


@pytest.mark.parametrize("path", ["evidence/leaves", "report"])
def test_export_takes_no_page_of_a_login_for_a_part_of_the_package(
    fake: Fake, members: dict[str, bytes], tmp_path: Path, path: str
) -> None:
    says(fake, members)
    fake.says("GET", f"/api/jobs/{JOB}/{path}", httpx.Response(200, html="<p>Please log in</p>"))
    done = fake.run("evidence", "export", "--job", str(JOB), "--to", str(tmp_path / "p.zip"))
    assert (done.code, (tmp_path / "p.zip").exists()) == (1, False)
    assert "is not the service (200, text/html)" in done.err
