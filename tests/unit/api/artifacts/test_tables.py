"""Artifacts as CSV and NDJSON: all pages, exact values, nothing that a spreadsheet executes."""

import csv
import io
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from app.domain.jobs import Reference
from tests.unit.api.artifact_app import ArtifactApp, artifact_app

LINE_ENDS = ["\x85", "\u2028", "\u2029"]


@pytest.fixture
async def api(url: str, tmp_path: Path) -> AsyncIterator[ArtifactApp]:
    async with artifact_app(tmp_path, url) as app:
        await app.archived.define("text", "amount", inactive=["list"])
        await app.archived.define("text", "other", message="OtherEvent")
        yield app


async def test_csv_has_a_header_a_column_for_each_key_and_a_row_for_each_artifact(api: ArtifactApp) -> None:
    await api.archived.add({"text": 'say "x", y\r\nz', "amount": -1.5, "list": ["a", 1]}, reference=Reference("ä"))
    await api.archived.add({"text": None, "amount": 2**70})
    answer = await api.get("", Accept="text/csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["content-disposition"] == 'attachment; filename="artifacts.csv"'
    second, first = csv.DictReader(io.StringIO(answer.content.decode(), newline=""), strict=True)
    assert list(first)[:3] == ["id", "messageType", "configId"]
    assert list(first)[16:] == ["jobId", "metadata.text", "metadata.amount", "metadata.list", "metadata.other"]
    assert (first["id"], first["configId"], first["referenceId"], first["version"]) == ("1", "", "ä", "")
    assert (first["metadata.text"], first["metadata.amount"]) == ('say "x", y\r\nz', "-1.5")
    assert first["metadata.list"] == '["a",1]'
    assert (second["metadata.text"], second["metadata.amount"]) == ("", str(2**70))


async def test_csv_has_only_the_keys_of_the_message_type_asked_for(api: ArtifactApp) -> None:
    answer = await api.get("?messageType=OtherEvent&format=csv")
    assert answer.text.endswith(",jobId,metadata.text,metadata.other\r\n")


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", " =1", "\xa0-1", "\u200b@A", "\ufeff \x01＋1"],
)
async def test_no_text_is_a_formula(api: ArtifactApp, text: str) -> None:
    await api.archived.add({"text": text}, reference=Reference(text.strip()))
    answer = await api.get("?format=csv")
    [row] = csv.DictReader(io.StringIO(answer.content.decode(), newline=""), strict=True)
    assert row["metadata.text"] == f"'{text}"
    assert row["referenceId"] == f"'{text.strip()}"


@pytest.mark.parametrize("text", ["a=1", " a", "", " ", "1-2", "\u200b", "é@a.example"])
async def test_no_other_text_is_changed(api: ArtifactApp, text: str) -> None:
    await api.archived.add({"text": text})
    answer = await api.get("?format=csv")
    [row] = csv.DictReader(io.StringIO(answer.content.decode(), newline=""), strict=True)
    assert row["metadata.text"] == text


@pytest.mark.parametrize("end", LINE_ENDS)
async def test_a_line_stays_a_line_whatever_its_texts_hold(api: ArtifactApp, end: str) -> None:
    await api.archived.add({"text": f"a{end}b", "amount": Decimal("1.000000000000000000001"), "list": [f"\\{end}"]})
    await api.archived.define(f"k{end}", "text")
    await api.archived.add({f"k{end}": end}, reference=Reference(f"r{end}"))
    found = (await api.get("?format=ndjson")).content.decode()
    second, first = [json.loads(line) for line in found.splitlines()]
    assert (first["metadata"]["text"], first["metadata"]["list"]) == (f"a{end}b", [f"\\{end}"])
    assert '"amount":1.000000000000000000001' in found
    assert (second["metadata"], second["referenceId"]) == ({f"k{end}": end}, f"r{end}")
    assert len((await api.get("?format=json")).text.splitlines()) == 1
    rows = (await api.get("?format=csv")).content.decode().splitlines(keepends=True)
    assert [row["metadata.text"] for row in csv.DictReader(rows, strict=True)] == ["", f"a{end}b"]


async def test_a_semicolon_does_not_begin_a_cell_with_a_formula(api: ArtifactApp) -> None:
    await api.archived.add({"text": "a;=1+1"})
    assert '"a;=1+1"' in (await api.get("?format=csv")).text


async def test_ndjson_has_a_line_for_each_artifact_with_exact_values(api: ArtifactApp) -> None:
    await api.archived.add({"amount": Decimal("1.000000000000000000001"), "text": "a\nb"})
    await api.archived.add({})
    answer = await api.get("", Accept="application/json;q=0.5, application/x-ndjson")
    assert answer.headers["content-type"] == "application/x-ndjson"
    second, first = answer.text.splitlines()
    assert '"amount":1.000000000000000000001' in first
    assert json.loads(second) == (await api.get("/2")).json()


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_a_stream_has_all_pages(api: ArtifactApp, form: str) -> None:
    for place in range(7):
        await api.archived.add({"amount": place})
    answer = await api.get(f"?format={form}&limit=2&metadata.amount[gte]=2")
    assert len(answer.text.splitlines()) == 5 + (form == "csv")


@pytest.mark.parametrize("form", ["csv", "ndjson"])
async def test_nothing_found_is_an_empty_table(api: ArtifactApp, form: str) -> None:
    answer = await api.get(f"?format={form}")
    assert answer.status_code == 200
    assert len(answer.text.splitlines()) == (form == "csv")


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("*/*", "json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "json"),
        ("text/csv, */*;q=0.1", "csv"),
        ("text/csv;q=0.1, application/json", "json"),
        ("text/csv;q=0", "json"),
        ("application/x-ndjson;q=nonsense", "x-ndjson"),
        ("image/png", "json"),
    ],
)
async def test_the_format_is_what_is_accepted_most_gladly(api: ArtifactApp, accept: str, form: str) -> None:
    answer = await api.get("", Accept=accept)
    assert form in answer.headers["content-type"]
    assert "application/json" in (await api.get("?format=json", Accept=accept)).headers["content-type"]
