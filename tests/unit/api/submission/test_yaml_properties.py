"""Whatever body is accepted: its report, read by anybody, names the same references in the same order."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from app.api.jobs.yaml_report import report_tasks
from app.api.submission.body import Parsed, parse_submission
from app.domain.jobs import Reference, ReportedTask, TaskState
from tests.support.yaml_core import read_core

many = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))

READERS: dict[str, Callable[[bytes], Any]] = {
    "ruamel": lambda text: YAML(typ="safe", pure=True).load(text),
    "PyYAML": yaml.safe_load,
    "YAML 1.2": read_core,
}

WORDS = [
    "no",
    "Yes",
    "null",
    "~",
    "0x1F",
    "0o17",
    "017",
    "1e3",
    "1_000",
    "12:30:45",
    ".inf",
    "2024-01-01",
    "=",
    "<<",
    "-",
]
PARTS = [*"{}[],\"'#|>&*!\t?\\é\na1", "id", "version", ": ", "- ", "  "]
characters = st.characters(codec="utf-8", exclude_categories=["Cs"])
ids = st.one_of(
    st.text(characters, min_size=1, max_size=40),
    st.text("0123456789+-_.:eExXobBaf ", min_size=1, max_size=12),
    st.text(" \t#:-?,[]{}&*!|>'\"%@`\\~=a1\u00a0\u2028\ufeff", min_size=1, max_size=12),
    st.sampled_from(WORDS),
)
references = st.lists(st.tuples(ids, st.none() | st.integers(1, 2**31 - 1)), min_size=1, max_size=8)


def plain(id_: str) -> str:
    return id_


def single(id_: str) -> str:
    return "'" + id_.replace("'", "''") + "'"


def double(id_: str) -> str:
    return json.dumps(id_)


def body_of(wanted: list[tuple[str, int | None]], write: Callable[[str], str]) -> bytes:
    lines = ["message: M", "topic: t", "archiveDataReferences:"]
    for id_, version in wanted:
        lines.append(f"  - id: {write(id_)}")
        if version is not None:
            lines.append(f"    version: {version}")
    return "\n".join(lines).encode()


def reported(parsed: Parsed) -> bytes:
    tasks = (ReportedTask(place, each, TaskState.OPEN, None, None) for place, each in enumerate(parsed.references))
    return b"archiveDataReferences:\n" + report_tasks(tasks)


def assert_read_back(parsed: Parsed) -> None:
    report = reported(parsed)
    for name, read in READERS.items():
        read_back = [Reference(each["id"], each.get("version")) for each in read(report)["archiveDataReferences"]]
        assert read_back == list(parsed.references), name
    assert list(parse_submission(b"message: M\ntopic: t\n" + without_states(report), 100).references) == list(
        parsed.references
    )


def without_states(report: bytes) -> bytes:
    return b"".join(line for line in report.splitlines(keepends=True) if line != b"    state: open\n")


@many
@given(references)
def test_every_id_that_is_written_in_double_quotes_comes_back(wanted: list[tuple[str, int | None]]) -> None:
    parsed = parse_submission(body_of(wanted, double), 100)
    if not parsed.mistakes:
        assert list(parsed.references) == [Reference(*each) for each in wanted]
        assert_read_back(parsed)


@pytest.mark.parametrize("write", [plain, single])
@many
@given(wanted=references)
def test_every_id_that_is_accepted_in_another_style_comes_back(
    write: Callable[[str], str], wanted: list[tuple[str, int | None]]
) -> None:
    parsed = parse_submission(body_of(wanted, write), 100)
    assume(not parsed.mistakes)
    assert_read_back(parsed)


@many
@given(st.lists(st.sampled_from(PARTS), max_size=30))
def test_no_text_breaks_the_reading_and_what_is_accepted_comes_back(parts: list[str]) -> None:
    body = "message: M\ntopic: t\narchiveDataReferences:\n  - id: " + "".join(parts)
    parsed = parse_submission(body.encode(), 100)
    if not parsed.mistakes:
        assert_read_back(parsed)


@many
@given(st.binary(max_size=200))
def test_no_bytes_break_the_reading(body: bytes) -> None:
    parsed = parse_submission(body, 100)
    assert parsed.mistakes or parsed.content_hash
    parsed = parse_submission(b"message: M\ntopic: t\narchiveDataReferences:\n- id: " + body, 100)
    if not parsed.mistakes:
        assert_read_back(parsed)
