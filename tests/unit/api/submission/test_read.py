"""What a body is refused with: all that is wrong with it at once, in the order of its lines."""

from pathlib import Path

import pytest

from app.api.http.problems import ApiProblem
from app.api.submission.body import Parsed
from app.api.submission.read import EXAMPLE, IN_ONE_LINE, read_submission, unfit
from app.api.submission.reader import ReadingFailed, YamlReader
from app.jobs.submit import DoesNotFit
from tests.support.core import MESSAGE, TOPIC, opened_core


async def read(tmp_path: Path, body: str, most: int = 3) -> Parsed:
    reader = YamlReader()
    async with opened_core(tmp_path) as core:
        try:
            return await read_submission(reader, core.submissions, bytearray(body.encode()), most)
        finally:
            await reader.close()


async def refused(tmp_path: Path, body: str) -> ApiProblem:
    with pytest.raises(ApiProblem) as problem:
        await read(tmp_path, body)
    return problem.value


def body(*references: str, message: str = MESSAGE, topic: str = TOPIC) -> str:
    lines = "\n".join(f"  - {each}" for each in references)
    return f"message: {message}\ntopic: {topic}\narchiveDataReferences:\n{lines}\n"


async def test_a_body_without_mistakes_is_read(tmp_path: Path) -> None:
    found = await read(tmp_path, body("id: a", "id: b"))
    assert (found.message, found.topic, [each.id for each in found.references]) == (MESSAGE, TOPIC, ["a", "b"])
    assert found.content_hash is not None


async def test_what_only_the_configuration_knows_is_not_said_of_a_body_that_can_be_read(tmp_path: Path) -> None:
    assert (await read(tmp_path, body("id: a", message="Unknown"))).message == "Unknown"


async def test_mistakes_of_the_body_and_of_the_configuration_come_together_by_line(tmp_path: Path) -> None:
    problem = await refused(tmp_path, body("id: ''", topic="other"))
    assert problem.status == 400
    assert [(each.path, each.line) for each in problem.errors] == [("topic", 2), ("archiveDataReferences[0].id", 4)]


async def test_too_many_references_are_refused_with_the_limit(tmp_path: Path) -> None:
    problem = await refused(tmp_path, body(*(f"id: r{number}" for number in range(4))))
    assert (problem.status, problem.detail) == (413, "A job may have at most 3 references; split it.")


async def test_a_body_that_could_not_be_read_now_is_to_be_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object, **__: object) -> Parsed:
        raise ReadingFailed("out of memory")

    monkeypatch.setattr(YamlReader, "read", fails)
    problem = await refused(tmp_path, body("id: a"))
    assert problem.status == 503
    assert "Retry-After" in problem.headers


async def test_both_examples_of_the_documentation_say_the_same(tmp_path: Path) -> None:
    one = await read(tmp_path, EXAMPLE)
    other = await read(tmp_path, IN_ONE_LINE)
    assert one.content_hash == other.content_hash
    assert one.content_hash is not None


def test_what_does_not_fit_is_a_400_with_its_mistakes() -> None:
    problem = unfit(DoesNotFit([]))
    assert (problem.status, problem.errors) == (400, ())
