"""`pas artifacts`: conditions, and content whose hash is checked."""

from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.unit.cli.conftest import Fake, problem

CONTENT = b'{"a": "\xc3\xa4"}\n'
ARTIFACT: dict[str, Any] = {
    "id": 1234,
    "messageType": "Osv",
    "configId": None,
    "referenceId": "PSF-1",
    "version": None,
    "system": "PSF",
    "schema": "OsvRecord",
    "schemaVersion": 1,
    "contentType": "application/json",
    "size": 3000,
    "hash": "ab" * 32,
    "bucket": "archive",
    "key": "PSF/x",
    "versionId": "v1",
    "archivedAt": "2026-05-08T07:26:37Z",
    "retainUntil": "2026-08-06T07:26:37Z",
    "jobId": "88db",
    "metadata": {"customer_id": "4711", "amount": 12},
}


def content(body: bytes = CONTENT, digest: str | None = None, media_type: str = "application/json") -> httpx.Response:
    said = f"sha-256=:{b64encode(sha256(CONTENT).digest()).decode()}:" if digest is None else digest
    return httpx.Response(200, content=body, headers={"Content-Type": media_type, "Repr-Digest": said})


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("customer_id=4711", "customer_id[eq]", "4711"),
        ("amount != 5", "amount[ne]", "5"),
        ("amount>100", "amount[gt]", "100"),
        ("amount>=100", "amount[gte]", "100"),
        ("amount<-1.50", "amount[lt]", "-1.50"),
        ("amount<=0", "amount[lte]", "0"),
        ("name~a=b", "name[contains]", "a=b"),
        ("name=", "name[eq]", ""),
        ("a[0]=x", "a[0][eq]", "x"),
    ],
)
def test_conditions_are_those_of_the_service(text: str, name: str, value: str, fake: Fake) -> None:
    fake.says("GET", "/api/artifacts", {"items": [ARTIFACT], "next": None})
    done = fake.run("artifacts", "search", "--message", "Osv", "--where", text, "--where", "x=1")
    params = dict(fake.requests[0].url.params)
    assert params == {"messageType": "Osv", f"metadata.{name}": value, "metadata.x[eq]": "1", "limit": "50"}
    assert "customer_id=4711, amount=12" in done.out


def test_the_operators_are_all_but_isnull() -> None:
    from app.cli.artifacts import OPERATORS
    from app.domain.search import Comparison

    assert set(OPERATORS.values()) == set(Comparison) - {Comparison.ISNULL}


@pytest.mark.parametrize("text", ["customer_id", "=4711", ""])
def test_what_is_no_condition_is_wrong_usage(text: str, fake: Fake) -> None:
    done = fake.run("artifacts", "search", f"--where={text}")
    assert (done.code, fake.requests) == (2, [])
    assert "customer_id=4711" in done.err


def test_an_unknown_key_is_said_by_the_service(fake: Fake) -> None:
    errors = [{"path": "metadata.x[eq]", "message": "is a key of no archive type; there are y"}]
    fake.says("GET", "/api/artifacts", problem(400, detail="The search has mistakes.", errors=errors))
    done = fake.run("artifacts", "search", "--where", "x=1")
    assert done.code == 1
    assert "there are y" in done.err


def test_an_artifact_is_shown(fake: Fake) -> None:
    fake.says("GET", "/api/artifacts/1234", ARTIFACT)
    out = fake.run("artifacts", "show", "1234").out
    for said in ("artifact      1234", "PSF OsvRecord version 1", "2.9 KiB", "archive/PSF/x", "customer_id = 4711"):
        assert said in out


def test_content_is_written_where_its_hash_is_right(fake: Fake, tmp_path: Path) -> None:
    fake.says("GET", "/api/artifacts/1/content", content())
    target = tmp_path / "a.json"
    done = fake.run("artifacts", "get", "1", "--output", str(target))
    assert (done.code, done.out) == (0, "")
    assert target.read_bytes() == CONTENT
    assert sha256(CONTENT).hexdigest() in done.err
    assert fake.requests[-1].headers["accept-encoding"] == "identity"
    assert fake.run("artifacts", "get", "1").out.encode() == CONTENT


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (content(CONTENT + b" "), "does not have the hash"),
        (content(CONTENT[:-1]), "does not have the hash"),
        (content(digest=""), "names no hash"),
        (content(digest="sha-512=:YQ==:"), "names no hash"),
        (content(digest="sha-256=:Y:"), "names no hash"),
        (problem(410, detail="The object is no longer in the store."), "no longer in the store"),
    ],
)
def test_content_that_is_not_what_was_announced_is_not_written(
    answer: httpx.Response, said: str, fake: Fake, tmp_path: Path
) -> None:
    fake.says("GET", "/api/artifacts/1/content", answer)
    target = tmp_path / "a.json"
    done = fake.run("artifacts", "get", "1", "--output", str(target))
    assert done.code == 1
    assert said in done.err
    assert list(tmp_path.glob("*a.json*")) == []


def test_binary_content_is_nothing_for_a_terminal(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.says("GET", "/api/artifacts/1/content", content(media_type="avro/binary"))
    assert fake.run("artifacts", "get", "1").code == 0
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    done = fake.run("artifacts", "get", "1")
    assert (done.code, done.out) == (1, "")
    assert "--output" in done.err


def test_a_device_that_is_full_is_said(fake: Fake) -> None:
    fake.says("GET", "/api/artifacts/1/content", content())
    done = fake.run("artifacts", "get", "1", "--output", "/dev/full")
    assert (done.code, done.out, done.err) == (1, "", "/dev/full cannot be written: No space left on device\n")
