"""The proof of a job on the page: its leaves, the proof of one reference, and how to check it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.api.http.concurrency import ConcurrencyLimit
from app.evidence.proofs import Proofs
from app.evidence.signer import Signer, SigningKeys
from app.ui.jobs.proof import SHOWN
from app.ui.page import put_page
from tests.support.core import Core, opened_core
from tests.support.proofs import build_all, builder
from tests.unit.api.evidence.test_proofs import Replaced
from tests.unit.ui.page_app import PageApp, page_app

SIGNER = Signer("psf/archive", Ed25519PrivateKey.generate())

HOSTILE = "<b>&\"'{{7*7}}"


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Core]:
    async with opened_core(tmp_path) as opened:
        yield opened


@pytest.fixture
async def proven(core: Core, tmp_path: Path) -> AsyncIterator[PageApp]:
    async with page_app(f"sqlite:///{core.database.engine.url.database}", tmp_path) as made:
        with_proofs(made, Proofs(core.database, core.objects, signs=True))
        yield made


def with_proofs(page: PageApp, proofs: Proofs) -> None:
    turns = ConcurrencyLimit("inclusion proofs", 1, waiting=0)
    keys = SigningKeys(SIGNER.verifier)
    put_page(
        page.app,
        replace(page.page, edge=replace(page.page.edge, proofs=proofs, inclusion_turns=turns, signing=keys)),
    )


async def job_of(core: Core, *references: str) -> UUID:
    job_id = await core.submit(*references)
    await core.archive(job_id)
    await build_all(builder(core, SIGNER))
    return job_id


async def test_leaves_are_shown_and_one_reference_is_proven(core: Core, proven: PageApp) -> None:
    job_id = await job_of(core, *(f"r{number}" for number in range(25)), HOSTILE)
    await proven.log_in()
    path = f"/ui/jobs/{job_id}/proof"
    assert path in await proven.seen(f"/ui/jobs/{job_id}")
    html = await proven.seen(path)
    assert "The first leaves" in html
    assert html.count("data-key") == SHOWN < 26
    assert f"pas evidence export --job {job_id}" in html
    assert str(SIGNER.verifier) in html
    one = await proven.seen(f"{path}?id=r3")
    assert "Leaf 4 of 26 is" in one
    file = await proven.get(f"/ui/jobs/{job_id}/proof.json?id=r3")
    assert (file.json()["index"], file.headers["x-content-type-options"]) == (3, "nosniff")
    assert (await proven.get(f"/ui/jobs/{job_id}/leaves.ndjson")).text.count("\n") == 26
    assert (await proven.get(f"/ui/jobs/{job_id}/checkpoint")).text.startswith(f"psf/archive/jobs/{job_id}\n26\n")
    hostile = await proven.client.get(path, params={"id": HOSTILE})
    assert "<b>&amp;" not in hostile.text
    assert "&lt;b&gt;&amp;" in hostile.text


async def test_what_is_not_there_is_said(core: Core, proven: PageApp) -> None:
    job_id = await job_of(core, "a")
    await proven.log_in()
    path = f"/ui/jobs/{job_id}/proof"
    for query, status, said in (
        ("?id=b", 404, "the job has no such reference"),
        ("?id=a&version=0", 400, "is a number from 1"),
        ("?page=1", 400, "page"),
    ):
        answer = await proven.get(path + query)
        assert (answer.status_code, said in answer.text) == (status, True), answer.text
    assert (await proven.get(f"/ui/jobs/{job_id}/proof.json")).status_code == 400
    assert (await proven.get(f"/ui/jobs/{UUID(int=0)}/proof")).status_code == 404
    for content, said in (
        (None, "the leaves are gone from the bucket"),
        (b"no", "the object of the leaves is damaged"),
    ):
        with_proofs(proven, Proofs(core.database, Replaced(content), signs=True))  # type: ignore[arg-type]
        assert said in await proven.seen(path)


async def test_an_auditor_sees_the_proof_and_nobody_else_does(core: Core, proven: PageApp) -> None:
    job_id = await job_of(core, "a")
    await proven.log_in("backfilljob:read")
    for view in ("proof", "proof.json?id=a", "leaves.ndjson", "checkpoint"):
        assert (await proven.get(f"/ui/jobs/{job_id}/{view}")).status_code == 403, view
    assert "/proof" not in await proven.seen(f"/ui/jobs/{job_id}")
    assert "/proof" not in await proven.seen(f"/ui/jobs/{job_id}/references/0")
    await proven.log_in("audit:read")
    html = await proven.seen(f"/ui/jobs/{job_id}/proof?id=a")
    assert "All leaves" in html
    assert 'href="/ui/jobs"' not in html, "the role is missing, so it is not offered"
    await proven.log_in()
    assert f"/ui/jobs/{job_id}/proof?id=a" in await proven.seen(f"/ui/jobs/{job_id}/references/0")
