"""Ids that are probably not meant are named with line and reason; too many of a kind are counted."""

import pytest

from app.api.submission import id_warnings
from app.api.submission.body import parse_submission
from app.domain.mistakes import Mistake

HEAD = b"message: M\ntopic: t\narchiveDataReferences:\n"


def warnings(*ids: str) -> tuple[Mistake, ...]:
    """Of ids as they stand between double quotes; the first is in line 4."""
    body = HEAD + "".join(f'- {{id: "{each}"}}\n' for each in ids).encode()
    parsed = parse_submission(body, 10_000, warn=True)
    assert parsed.mistakes == ()
    return parsed.warnings


def texts(*ids: str) -> list[str]:
    return [warning.message for warning in warnings(*ids)]


@pytest.mark.parametrize(
    ("id_", "said"),
    [
        (" A", "' A' has blanks around it; they belong to the id"),
        ("A\\u3000", "'A\\u3000' has blanks around it; they belong to the id"),
        ("'A'", "\"'A'\" has quotes around it; they belong to the id"),
        ('\\"A', "'\"A' has quotes around it; they belong to the id"),
        ("A”", "'A”' has quotes around it; they belong to the id"),
        ("A\\u200bB", "'A\\u200bB' contains U+200B ZERO WIDTH SPACE"),
        ("\\ufeffA", "'\\ufeffA' contains U+FEFF ZERO WIDTH NO-BREAK SPACE"),
        ("A\\u00a0", "'A\\xa0' contains U+00A0 NO-BREAK SPACE"),
        ("A\\u20111", "'A‑1' contains U+2011 NON-BREAKING HYPHEN"),
        ("A,B", "'A,B' contains \",\"; each id needs an entry of its own"),
        ("A; B", "'A; B' contains \";\"; each id needs an entry of its own"),
        ("A|B", "'A|B' contains \"|\"; each id needs an entry of its own"),
    ],
)
def test_an_id_that_is_probably_not_meant_is_named_with_its_line(id_: str, said: str) -> None:
    assert warnings("DOC-1", id_) == (Mistake("archiveDataReferences[1].id", 5, said),)


@pytest.mark.parametrize("id_", ["DOC 2024 1", "O'Neill", "größer/1?x=2#3", "a.b_c-d:e", "文書-1", "50 %"])
def test_an_id_that_may_be_meant_is_not_named(id_: str) -> None:
    assert warnings(id_, "DOC-1") == ()


def test_one_id_may_have_several_doubts() -> None:
    first, second = texts(" A,B")
    assert "blanks around" in first
    assert 'contains ","' in second


@pytest.mark.parametrize("other", ["A-1 ", "'A-1'", "A\\u20111", "A-\\u200b1", "A-1,", ' \\"A-1\\"\\u00a0'])
@pytest.mark.parametrize("first", [True, False])
def test_an_id_that_is_like_a_clean_one_is_named_at_the_doubtful_one(other: str, first: bool) -> None:
    listed = ["DOC-1", "A-1", other] if first else [other, "DOC-1", "A-1"]
    alike = [each for each in warnings(*listed) if "is like" in each.message]
    doubtful, clean = listed.index(other), listed.index("A-1")
    assert [(each.path, each.line) for each in alike] == [(f"archiveDataReferences[{doubtful}].id", doubtful + 4)]
    assert f" is like 'A-1' of archiveDataReferences[{clean}] but for " in alike[0].message


def test_two_doubtful_ids_may_be_alike() -> None:
    alike = [each for each in warnings("'A B'", "C", " A\\u00a0B") if "is like" in each.message]
    assert [each.path for each in alike] == ["archiveDataReferences[2].id"]
    assert "is like \"'A B'\" of archiveDataReferences[0]" in alike[0].message


def test_versions_of_one_id_are_not_alike() -> None:
    body = HEAD + b'- {id: "A ", version: 1}\n- {id: "A ", version: 2}\n- {id: A, version: 3}\n- {id: A, version: 4}\n'
    alike = [each for each in parse_submission(body, 10, warn=True).warnings if "is like" in each.message]
    assert [(each.path, each.line) for each in alike] == [("archiveDataReferences[0].id", 4)]


def test_twenty_of_a_kind_are_listed_and_the_others_counted_without_hiding_another_kind() -> None:
    found = warnings(*(f"A{number} " for number in range(1000)), *(f"'B{number}'" for number in range(2)))
    assert len(found) == 23
    assert [each.line for each in found] == [*range(4, 24), 1004, 1005, None]
    assert found[-1] == Mistake("", None, "980 more ids have blanks around them; the first 20 are listed")


def test_places_and_lines_are_right_in_later_blocks() -> None:
    found = warnings(*(f"A{number}" for number in range(4500)), "A4321 ")
    assert {(each.path, each.line) for each in found} == {("archiveDataReferences[4500].id", 4504)}
    assert "is like 'A4321' of archiveDataReferences[4321]" in found[1].message


def test_memory_for_comparing_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_warnings, "COMPARED", 1)
    found = texts("A ", "B ", "A", "B")
    assert [each for each in found if "is like" in each] == [
        "'A ' is like 'A' of archiveDataReferences[2] but for what surrounds it or cannot be seen"
    ]


def test_warnings_are_for_those_who_ask_and_for_bodies_without_mistakes() -> None:
    body = HEAD + b'- id: "A "\n'
    assert parse_submission(body, 10).warnings == ()
    assert parse_submission(body + b"- id: ''\n", 10, warn=True).warnings == ()
