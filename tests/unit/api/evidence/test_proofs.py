"""`GET /api/jobs/{id}/evidence`, its leaves and inclusion proofs; and why there is none."""

import gzip
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI

from app.api.auth.callers import Authenticator, IssuerOptions, KeySets, ResourceServerOptions
from app.api.edge import Edge
from app.api.evidence import endpoints as evidence
from app.api.http import problems
from app.api.http.concurrency import ConcurrencyLimit
from app.domain.jobs import Reference
from app.domain.merkle import includes, leaf_hash
from app.domain.proofs import leaves_key
from app.evidence.proofs import Proofs
from app.evidence.signer import Signer
from tests.support.core import BUCKET, Core, opened_core
from tests.support.edge import edge_with
from tests.support.proofs import build_all, builder, read
from tests.support.second_tree import SecondTree
from tests.unit.api.issuer import AUDIENCE, ISSUER, NOW, Clock, FakeJwks, token

AUDITOR = {"Authorization": f"Bearer {token(scope='audit:read')}"}
SIGNER = Signer("psf/archive", Ed25519PrivateKey.generate())


@dataclass
class Replaced:
    """A store whose objects have this content; None: none is there."""

    content: bytes | None

    async def read(self, bucket: str, key: str, version_id: str | None) -> AsyncIterator[bytes]:
        if self.content is None:
            raise FileNotFoundError(key)
        yield self.content


@dataclass
class World:
    core: Core
    app: FastAPI
    client: httpx.AsyncClient

    async def get(self, path: str, status: int = 200) -> httpx.Response:
        answer = await self.client.get(f"/api/jobs/{path}", headers=AUDITOR)
        assert answer.status_code == status, answer.text
        return answer

    async def proven(self, *references: str | Reference) -> UUID:
        job_id = await self.core.submit(*references)
        await self.core.archive(job_id)
        await build_all(builder(self.core, SIGNER))
        return job_id

    def signs(self, signs: bool, objects: Any = None) -> None:
        sets = KeySets.fetched([IssuerOptions(ISSUER, "https://issuer.example/jwks")], FakeJwks().client, None, Clock())
        edge_with(
            self.app,
            authenticator=Authenticator(ResourceServerOptions("psf", AUDIENCE), sets, lambda: NOW),
            inclusion_turns=ConcurrencyLimit("inclusion proofs", 1, waiting=0),
            proofs=Proofs(self.core.database, objects or self.core.objects, signs=signs),
        )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    app = FastAPI()
    problems.install(app)
    app.include_router(evidence.router)
    async with (
        opened_core(tmp_path) as core,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pas") as client,
    ):
        world = World(core, app, client)
        world.signs(True)
        yield world


async def test_a_proof_is_shown_with_where_it_lies(world: World) -> None:
    job_id = await world.proven("a", "b", "c")
    shown = (await world.get(f"{job_id}/evidence")).json()
    lines = (await world.get(f"{job_id}/evidence/leaves")).content.split(b"\n")[:-1]
    assert shown["root"] == b64encode(SecondTree(lines).mth(0, 3)).decode()
    assert shown["checkpoint"].splitlines()[:3] == [f"psf/archive/jobs/{job_id}", "3", shown["root"]]
    assert (shown["size"], shown["bucket"]) == (3, BUCKET)
    assert shown["checkpointKey"] == f"evidence/jobs/{job_id}/checkpoint"
    assert shown["leavesKey"] == f"evidence/jobs/{job_id}/leaves.ndjson.gz"
    assert (shown["timestamp"], shown["timestampKey"]) == (None, None)
    assert shown["createdAt"].endswith("Z")
    assert shown["retainUntil"].endswith("Z")


async def test_each_reference_is_proven_to_be_in_the_job(world: World) -> None:
    ids = [f"r {number}/ä" for number in range(9)]
    job_id = await world.proven(*ids)
    root = b64decode((await world.get(f"{job_id}/evidence")).json()["root"])
    for place, id_ in enumerate(ids):
        answer = await world.client.get(f"/api/jobs/{job_id}/evidence/proof", params={"id": id_}, headers=AUDITOR)
        found = answer.json()
        assert found["index"] == place
        hashes = [b64decode(each) for each in found["hashes"]]
        assert includes(root, 9, place, leaf_hash(found["leaf"].encode()), hashes)
        assert found["checkpoint"] == (await world.get(f"{job_id}/evidence")).json()["checkpoint"]


async def test_the_version_of_a_reference_counts(world: World) -> None:
    job_id = await world.proven("a", "b")
    assert (await world.get(f"{job_id}/evidence/proof?id=b")).json()["index"] == 1
    for query in ("id=c", "id=a&version=1"):
        said = (await world.get(f"{job_id}/evidence/proof?{query}", 404)).json()["detail"]
        assert said == "the job has no such reference."


async def test_the_reason_is_said_where_there_is_none(world: World) -> None:
    open_one = await world.core.submit("a")
    assert "is open" in (await world.get(f"{open_one}/evidence", 404)).json()["detail"]
    await world.core.archive(open_one)
    assert "is being made" in (await world.get(f"{open_one}/evidence", 404)).json()["detail"]
    world.signs(False)
    assert "signing-key is not set" in (await world.get(f"{open_one}/evidence", 404)).json()["detail"]
    assert "There is no job" in (await world.get(f"{uuid4()}/evidence", 404)).json()["detail"]
    for path in ("leaves", "proof?id=a"):
        await world.get(f"{open_one}/evidence/{path}", 404)


async def test_too_many_inclusion_proofs_at_once_are_sent_away(world: World) -> None:
    job_id = await world.proven("a")
    edge: Edge = world.app.state.edge
    async with edge.inclusion_turns.one():
        refused = await world.get(f"{job_id}/evidence/proof?id=a", 503)
    assert refused.headers["retry-after"]
    await world.get(f"{job_id}/evidence/proof?id=a")


async def test_proofs_are_shown_where_nothing_is_signed_any_more(world: World) -> None:
    job_id = await world.proven("a")
    world.signs(False)
    await world.get(f"{job_id}/evidence")
    await world.get(f"{job_id}/evidence/proof?id=a")


async def test_leaves_that_were_changed_or_removed_are_named(world: World) -> None:
    job_id = await world.proven("a", "b")
    text = gzip.decompress(await read(world.core, leaves_key(job_id)))
    for changed, said in (
        (gzip.compress(text.replace(b'"succeeded"', b'"failed"', 1)), "do not have the root that was signed"),
        (gzip.compress(text.splitlines(keepends=True)[0]), "1 leaves are in the bucket, 2 were signed"),
        (gzip.compress(text)[:-1], "damaged"),
        (gzip.compress(text.replace(b",", b", ", 1)), "is not canonical"),
    ):
        world.signs(True, Replaced(changed))
        assert said in (await world.get(f"{job_id}/evidence/proof?id=a", 404)).json()["detail"]
    world.signs(True, Replaced(None))
    for path in ("leaves", "proof?id=a"):
        assert "gone from the bucket" in (await world.get(f"{job_id}/evidence/{path}", 404)).json()["detail"]


async def test_it_needs_the_role_of_auditors_and_right_parameters(world: World) -> None:
    job_id = await world.proven("a")
    for path in ("", "/leaves", "/proof?id=a"):
        assert (await world.client.get(f"/api/jobs/{job_id}/evidence{path}")).status_code == 401
        headers = {"Authorization": f"Bearer {token(scope='backfilljob:read artifact:read')}"}
        assert (await world.client.get(f"/api/jobs/{job_id}/evidence{path}", headers=headers)).status_code == 403
    for query in ("", "?id=", "?id=a&version=0", "?id=a&x=1", "?id=a&id=b"):
        await world.get(f"{job_id}/evidence/proof{query}", 400)
    await world.get("x/evidence", 400)
