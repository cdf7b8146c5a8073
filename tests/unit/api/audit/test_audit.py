"""The audit log over HTTP: who may look, filters and formats, the signed head, proofs of entries."""

import csv
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from sqlalchemy import insert, update

from app.api.audit import endpoints
from app.api.auth.callers import Authenticator, IssuerOptions, KeySets, ResourceServerOptions
from app.api.http import problems
from app.api.shapes.cursors import ListOf, cursor_at
from app.db import audit
from app.db.database import Database
from app.db.tables import audit_entry
from app.domain.audit import Act, Actor, AuditEntry
from app.domain.merkle import includes, leaf_hash
from app.domain.notes import read_checkpoint, verified
from app.evidence.audit_log import AuditLog, Findings
from app.evidence.signer import Signer
from tests.support.audit import nothing_found
from tests.support.edge import edge_with
from tests.unit.api.issuer import AUDIENCE, ISSUER, NOW, Clock, FakeJwks, token

AUDITOR = {"Authorization": f"Bearer {token(scope='audit:read')}"}
SIGNER = Signer("psf/pas", Ed25519PrivateKey.generate())
THEN = datetime(2026, 5, 8, 7, 26, 37, tzinfo=UTC)
DORA = Actor("dora", "=Dora", None, "pas-cli")


@asynccontextmanager
async def service(
    url: str, signer: Signer | None = SIGNER, findings: Findings = nothing_found
) -> AsyncIterator[httpx.AsyncClient]:
    """A log of seven entries."""
    app = FastAPI()
    problems.install(app)
    app.include_router(endpoints.router)
    sets = KeySets.fetched([IssuerOptions(ISSUER, "https://issuer.example/jwks")], FakeJwks().client, None, Clock())
    database = Database(url)
    entries = [
        AuditEntry(Act.JOB_PAUSED, f"job/{n % 2}", THEN + timedelta(minutes=n), DORA if n < 3 else None, {"n": n})
        for n in range(7)
    ]
    await database.run(lambda c: audit.append(c, entries))
    edge_with(
        app,
        authenticator=Authenticator(ResourceServerOptions("psf", AUDIENCE), sets, lambda: NOW),
        audit_log=AuditLog(database, signer, findings),
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://pas", headers=AUDITOR) as client:
        yield client
    await database.close()


async def shown(client: httpx.AsyncClient, query: str = "") -> Any:
    answer = await client.get(f"/api/audit{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_entries_newest_first_in_pages(url: str) -> None:
    async with service(url) as client:
        first = await shown(client, "?limit=5")
        assert [each["seq"] for each in first["items"]] == [6, 5, 4, 3, 2]
        second = await shown(client, f"?limit=5&cursor={first['next']}")
        assert [each["seq"] for each in second["items"]] == [1, 0]
        assert second["next"] is None
        last = dict(second["items"][-1])
        assert len(b64decode(last.pop("hash"))) == 32
        assert last == {
            "seq": 0,
            "at": "2026-05-08T07:26:37.000Z",
            "who": {"subject": "dora", "name": "=Dora", "extId": None, "client": "pas-cli"},
            "what": "job.paused",
            "subject": "job/0",
            "details": {"n": 0},
        }
        assert first["items"][0]["who"] is None


async def test_rows_outside_the_log_are_not_shown(url: str) -> None:
    async with service(url) as client:
        database = Database(url)
        row = {"at": THEN, "what": "job.paused", "subject": "job/1", "hash": b"\0" * 32}
        rows = [{"seq": seq, **row} for seq in (-1, 7, 2**62)]
        await database.run(lambda c: c.execute(insert(audit_entry), rows))
        await database.close()
        assert [each["seq"] for each in (await shown(client))["items"]] == [6, 5, 4, 3, 2, 1, 0]
        assert [each["seq"] for each in (await shown(client, "?subject=job/1"))["items"]] == [5, 3, 1]


async def test_filters(url: str) -> None:
    async with service(url) as client:
        for query, seqs in (
            ("subject=job/1", [5, 3, 1]),
            ("who=pas-cli", [2, 1, 0]),
            ("who=dora&subject=job/0", [2, 0]),
            ("what=job.completed", []),
            ("since=2026-05-08T09:31:37%2B02:00", [6, 5]),
            ("since=2026-05-08", [6, 5, 4, 3, 2, 1, 0]),
            ("since=20260509", []),
        ):
            assert [each["seq"] for each in (await shown(client, f"?{query}"))["items"]] == seqs, query
        for wrong in (
            "what=job.eaten",
            "since=2026",
            "since=1778225497",
            "since=-1",
            "since=yesterday",
            "cursor=x",
            "who=",
            "limit=0",
            "x=1",
        ):
            assert (await client.get(f"/api/audit?{wrong}")).status_code == 400, wrong


async def test_all_of_it_as_csv_and_ndjson(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "PAGE", 3)
    async with service(url) as client:
        answer = await client.get("/api/audit", headers={"Accept": "application/x-ndjson"})
        assert [json.loads(line)["seq"] for line in answer.text.splitlines()] == [6, 5, 4, 3, 2, 1, 0]
        answer = await client.get(
            f"/api/audit?subject=job/0&cursor={cursor_at(ListOf.AUDIT, 4)}", headers={"Accept": "text/csv"}
        )
        rows = list(csv.DictReader(answer.text.splitlines()))
        assert [row["seq"] for row in rows] == ["2", "0"]
        assert (rows[0]["whoName"], rows[0]["whoExtId"], rows[0]["details"]) == ("'=Dora", "", '{"n":2}')


async def test_every_entry_is_proven_by_the_signed_head(url: str) -> None:
    async with service(url) as client:
        note = (await client.get("/api/audit/checkpoint")).text
        text, key = verified(note, [SIGNER.verifier])
        head = read_checkpoint(text)
        assert (head.origin, head.size, key) == ("psf/pas/audit", 7, SIGNER.verifier)
        for entry in (await shown(client))["items"]:
            proof = await shown(client, f"/proof?seq={entry['seq']}")
            assert proof["checkpoint"] == note
            leaf = leaf_hash(proof["leaf"].encode())
            assert leaf == b64decode(entry["hash"])
            hashes = [b64decode(each) for each in proof["hashes"]]
            assert includes(head.root, head.size, proof["index"], leaf, hashes)


async def test_what_cannot_be_proven_is_404(url: str) -> None:
    async with service(url) as client:
        assert (await client.get("/api/audit/proof?seq=7")).status_code == 404
        assert (await client.get("/api/audit/proof?seq=-1")).status_code == 400
        assert (await client.get("/api/audit/proof")).status_code == 400


async def test_an_entry_that_was_changed_has_no_proof(url: str) -> None:
    async with service(url) as client:
        database = Database(url)
        await database.run(lambda c: c.execute(update(audit_entry).where(audit_entry.c.seq == 2).values(who_name="E")))
        await database.close()
        answer = await client.get("/api/audit/proof?seq=2")
        assert (answer.status_code, "was changed" in answer.text) == (404, True), answer.text
        assert (await client.get("/api/audit/proof?seq=3")).status_code == 200


async def test_nothing_is_signed_of_a_log_that_is_not_what_it_was(url: str) -> None:
    async def rewritten() -> list[str]:
        return ["the log was rewritten", "entry 3 was removed"]

    async with service(url, SIGNER, rewritten) as client:
        assert len((await shown(client))["items"]) == 7
        for path in ("checkpoint", "proof?seq=3"):
            answer = await client.get(f"/api/audit/{path}")
            assert answer.status_code == 409, answer.text
            assert "nothing of it is signed: the log was rewritten; entry 3 was removed." in answer.json()["detail"]


async def test_without_a_key_nothing_is_signed(url: str) -> None:
    async with service(url, None) as client:
        assert len((await shown(client))["items"]) == 7
        for path in ("checkpoint", "proof?seq=0"):
            answer = await client.get(f"/api/audit/{path}")
            assert (answer.status_code, "signing-key" in answer.text) == (404, True)


async def test_only_auditors_may_look(url: str) -> None:
    async with service(url) as client:
        other = {"Authorization": f"Bearer {token(scope='backfilljob:read backfilljob:write artifact:read')}"}
        for path in ("", "/checkpoint", "/proof?seq=0"):
            assert (await client.get(f"/api/audit{path}", headers=other)).status_code == 403
