"""The names of what messages become: the ids of the Java service, and ours for jobs, tasks and commands."""

import hashlib
from datetime import date
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from app.domain.identity import (
    command_idempotence_id,
    event_idempotence_id,
    live_artifact_idempotence_id,
    live_command_id,
    live_job_id,
    live_key_of_command,
    live_subject,
    live_task_key,
)
from app.domain.jobs import Reference

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
REFERENCES = st.builds(Reference, NAMES, st.none() | st.integers(1, 2**31 - 1))


def test_the_idempotence_id_of_an_artifact_is_that_of_the_java_service() -> None:
    parts = "5:msg-1" + "3:S𝒳" + "6:Decree" + "3:D-1" + "1:2"
    digest = hashlib.sha256(parts.encode()).hexdigest()
    found = live_artifact_idempotence_id("DecreeEvent", "msg-1", "S𝒳", "Decree", Reference("D-1", 2))
    assert found == f"DecreeEvent_{digest}"
    assert event_idempotence_id(found) == f"DecreeEvent_{digest}-event"
    without = hashlib.sha256(b"5:msg-12:Ab6:Decree3:D-1").hexdigest()
    assert live_artifact_idempotence_id("M", "msg-1", "Ab", "Decree", Reference("D-1")) == f"M_{without}"


def test_a_day_of_an_archive_type_has_one_job() -> None:
    day = date(2026, 11, 30)
    assert live_job_id("A", day) == live_job_id("A", day)
    assert len({live_job_id("A", day), live_job_id("B", day), live_job_id("A", date(2026, 12, 1))}) == 3
    assert live_job_id("A", day).version == 5


@given(NAMES, NAMES, REFERENCES, NAMES, NAMES, REFERENCES)
def test_different_messages_have_different_keys(
    type1: str, id1: str, reference1: Reference, type2: str, id2: str, reference2: Reference
) -> None:
    one, other = (type1, id1, reference1), (type2, id2, reference2)
    assert (live_task_key(*one) == live_task_key(*other)) is (one == other)
    same_subject = (type1, reference1) == (type2, reference2)
    assert (live_subject(type1, reference1) == live_subject(type2, reference2)) is same_subject


@given(st.uuids(), st.uuids(), REFERENCES)
def test_a_command_says_whether_it_is_of_a_message(job_id: UUID, key: UUID, reference: Reference) -> None:
    assert live_key_of_command(live_command_id(job_id, key)) == key
    assert live_key_of_command(command_idempotence_id(job_id, reference)) is None


def test_an_id_of_a_stranger_is_of_no_message() -> None:
    for text in ("", "x", str(uuid4()), f"{uuid4()}-", f"{uuid4()}-{'0' * 31}", f"{uuid4()}-{'G' * 32}"):
        assert live_key_of_command(text) is None
