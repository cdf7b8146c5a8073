"""A plan is the same while the same would happen, and tells what has changed."""

from dataclasses import replace
from typing import Any

import pytest

from app.domain.archive_types import ArchiveDataType, ArchiveTypeConfiguration, ExtractionPath, SchemaFile, SchemaName
from app.domain.plans import Terms, changes, hashed_terms, plan_of

DOC = ArchiveDataType(SchemaName("S", "Doc", 1), "org.Doc", 90, SchemaFile(b"{}", "schema.json", "00"))
OTHER = replace(DOC, schema=SchemaName("S", "Other", 1))
TERMS = Terms((DOC, OTHER), "archive", "NONE", frozenset({"b", "c"}), frozenset({"p"}), "COMPLIANCE")
CONFIGURATION = ArchiveTypeConfiguration("M", "t", "https://source/{id}")
CONTENT = b"c" * 32


def plan(
    terms: Terms = TERMS, configuration: ArchiveTypeConfiguration = CONFIGURATION, content: bytes = CONTENT
) -> Any:
    return plan_of(content, configuration, hashed_terms(terms))


def changed(text: str, terms: Terms = TERMS, **changes_of_plan: Any) -> list[str]:
    return changes(text, plan(terms, **changes_of_plan), terms.lock_mode)


TEXT = plan().text()


def test_a_plan_is_one_word_that_fits_into_a_header() -> None:
    assert TEXT.isascii()
    assert TEXT.split() == [TEXT]
    assert len(TEXT) < 100


def test_nothing_has_changed_while_nothing_changed() -> None:
    assert changed(TEXT) == []
    assert changed(TEXT, replace(TERMS, types=(OTHER, DOC), allowed_buckets=frozenset({"c", "b"}))) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"content": b"d" * 32}, "is for other content"),
        ({"configuration": replace(CONFIGURATION, uri="https://other/{id}")}, "another configuration of the archive"),
        ({"configuration": replace(CONFIGURATION, oauth_client_id="x")}, "another configuration of the archive type"),
        (
            {"configuration": replace(CONFIGURATION, metadata_extraction_paths=(ExtractionPath("k", "p"),))},
            "another configuration of the archive type",
        ),
        ({"terms": replace(TERMS, types=(DOC,))}, "other schemas"),
        ({"terms": replace(TERMS, types=(replace(DOC, reference_id_type="x"), OTHER))}, "other schemas"),
        ({"terms": replace(TERMS, types=(replace(DOC, file=replace(DOC.file, sha256="11")), OTHER))}, "other schemas"),
        ({"terms": replace(TERMS, bucket="other")}, "another bucket"),
        ({"terms": replace(TERMS, allowed_prefixes=frozenset())}, "buckets and prefixes that a source may ask for"),
        ({"terms": replace(TERMS, lock_mode="GOVERNANCE")}, "another lock mode: now GOVERNANCE"),
        ({"terms": replace(TERMS, lock_mode=None)}, "another lock mode: now objects are not locked"),
    ],
)
def test_what_has_changed_is_named_and_nothing_else(change: dict[str, Any], said: str) -> None:
    found = changed(TEXT, **change)
    assert said in found[0]
    assert len(found) == (2 if change.get("terms", TERMS).types == (DOC,) else 1)


def test_another_retention_is_no_other_schema() -> None:
    (said,) = changed(TEXT, replace(TERMS, types=(replace(DOC, expiration_days=91), OTHER)))
    assert said == "was made with another retention of archive types"


def test_all_that_has_changed_is_named() -> None:
    assert len(changed(TEXT, replace(TERMS, bucket="other", lock_mode=None), content=b"d" * 32)) == 3


@pytest.mark.parametrize(
    "text", ["", "x", TEXT[:-13], f"{TEXT}, {TEXT}", f"{TEXT}.abc", TEXT.replace(".", " ", 1), "1"]
)
def test_what_is_no_plan_is_named_so(text: str) -> None:
    assert changed(text) == ["is not a plan as a preflight gives it; copy all of it"]


def test_a_plan_of_another_form_is_of_another_release() -> None:
    assert changed(f"2{TEXT[1:]}.more") == ["was made by another release of the service, which plans in another way"]


def test_keys_that_a_later_release_knows_do_not_change_the_plans_of_types_without_them() -> None:
    assert plan().configuration == plan(configuration=replace(CONFIGURATION, id=None)).configuration
