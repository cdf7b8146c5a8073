"""The trace id of a reference: computed wherever it is needed, so it must never change."""

from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest

from app.domain.identity import reference_key, trace_id_of
from app.domain.jobs import Reference

JOB = UUID("88dbb65f-9634-4685-bc86-17b72d715d3e")


def trace(job_id: UUID, *reference: object) -> str:
    return trace_id_of(job_id, reference_key(Reference(*reference)))  # type: ignore[arg-type]


def test_the_trace_id_of_a_reference_has_never_changed() -> None:
    assert trace(JOB, "DOC-2024-001", 1) == "e2603aa251de287f2f4ea77d7d4a698e"
    assert trace(JOB, "ä/ö 😀") == "15da41c3a099ab4e44f339d9a62cd78e"


def test_each_reference_of_each_job_has_a_trace_of_its_own() -> None:
    references = [("a",), ("b",), ("a", 1), ("a", 2), ("1:a",)]
    found = [trace(job_id, *reference) for job_id in (JOB, uuid4()) for reference in references]
    assert len(set(found)) == len(found)
    assert all(len(each) == 32 and int(each, 16) for each in found)


def test_zeros_are_no_trace_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.domain.identity.blake3", lambda _: SimpleNamespace(hexdigest=lambda length: "00" * length))
    assert trace_id_of(JOB, bytes(16)) == "0" * 31 + "1"
