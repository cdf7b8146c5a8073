"""What a search finds: the operators on values of each kind, filters, versions, pages. On both databases."""

from datetime import timedelta
from decimal import Decimal

import pytest

from app.db import search
from app.domain.archive_types import ArchiveTypeConfiguration, ExtractionPath
from app.domain.jobs import Reference
from app.domain.search import Comparison, Search
from app.metadata.search import condition
from tests.unit.metadata.archived import JOB, MESSAGE, START, Archived


async def add_values(archived: Archived, *values: object) -> None:
    """Artifacts 1, 2, … with these values of the key `k`."""
    for value in values:
        await archived.add({"k": value})


async def test_eq_of_a_number_finds_it_as_a_number_and_as_a_text(archived: Archived) -> None:
    await add_values(archived, 4711, "4711", Decimal("4711.0"), 4712, "04711", "4711 ")
    assert await archived.ids(("k", "eq", "4711")) == [3, 2, 1]
    assert await archived.ids(("k", "eq", "4711.0")) == [3, 1]
    assert await archived.ids(("k", "eq", "4.711e3")) == [3, 1]
    assert await archived.ids(("k", "eq", "04711")) == [5]


async def test_eq_compares_whole_texts_however_long(archived: Archived) -> None:
    long = "ä" * 5000
    await add_values(archived, long + "x", long + "y", "ä" * 200, "A", "a", "")
    assert await archived.ids(("k", "eq", long + "y")) == [2]
    assert await archived.ids(("k", "eq", "ä" * 200)) == [3]
    assert await archived.ids(("k", "eq", "a")) == [5]
    assert await archived.ids(("k", "eq", "")) == [6]


async def test_eq_of_booleans_lists_and_objects_compares_their_json(archived: Archived) -> None:
    await add_values(archived, True, "true", ["a", "b"], '["a","b"]', '["a", "b"]', {"y": 1, "x": [None]}, None)
    assert await archived.ids(("k", "eq", "true")) == [2, 1]
    assert await archived.ids(("k", "eq", '["a","b"]')) == [4, 3]
    assert await archived.ids(("k", "eq", '["a", "b"]')) == [5, 4, 3]
    assert await archived.ids(("k", "eq", '{"x": [null], "y": 1}')) == [6]
    assert await archived.ids(("k", "eq", "[not json")) == []
    assert await archived.ids(("k", "eq", "null")) == []


async def test_numbers_compare_as_numbers_and_texts_by_code_points(archived: Archived) -> None:
    await add_values(archived, 9, 100, -1.5, "50", "2026-05-08", "2026-11-01", "Zoo", "apple", None, [200])
    assert await archived.ids(("k", "gt", "9")) == [2]
    assert await archived.ids(("k", "gte", "9.0")) == [2, 1]
    assert await archived.ids(("k", "lt", "9")) == [3]
    assert await archived.ids(("k", "lte", "-1.5")) == [3]
    assert await archived.ids(("k", "gte", "2026-06-01"), ("k", "lt", "2027-")) == [6]
    assert await archived.ids(("k", "gt", "Z")) == [8, 7]
    assert await archived.ids(("k", "lt", "apple"), ("k", "gte", "Zoo")) == [7]


async def test_booleans_compare_as_their_texts(archived: Archived) -> None:
    await add_values(archived, True, False, "true", "zoo", 1, None, [True])
    assert await archived.ids(("k", "gte", "a")) == [4, 3, 2, 1]
    assert await archived.ids(("k", "gt", "false")) == [4, 3, 1]
    assert await archived.ids(("k", "lte", "true")) == [3, 2, 1]
    assert await archived.ids(("k", "lt", "true")) == [2]
    assert await archived.ids(("k", "contains", "ru")) == [7, 3, 1]
    assert await archived.ids(("k", "contains", "als")) == [2]


async def test_ne_finds_other_values_but_neither_null_nor_absent_ones(archived: Archived) -> None:
    await add_values(archived, 1, "1", 2, "two", None, ["1"])
    await archived.add({})
    assert await archived.ids(("k", "ne", "1")) == [6, 4, 3]
    assert await archived.ids(("k", "ne", "two")) == [6, 3, 2, 1]


async def test_contains_looks_into_texts_and_lists_and_tells_cases_apart(archived: Archived) -> None:
    await add_values(archived, "100% of_it", "100 OF", ["CWE-79", 'say "x"'], {"of": 1}, 100, "Grüße\n", None)
    assert await archived.ids(("k", "contains", "of")) == [4, 1]
    assert await archived.ids(("k", "contains", "%")) == [1]
    assert await archived.ids(("k", "contains", "_")) == [1]
    assert await archived.ids(("k", "contains", '"CWE-79"')) == [3]
    assert await archived.ids(("k", "contains", 'say "x"')) == [3]
    assert await archived.ids(("k", "contains", "üße\n")) == [6]
    assert await archived.ids(("k", "contains", "100")) == [2, 1]


async def test_isnull_finds_stored_nulls_and_absent_keys(archived: Archived) -> None:
    await add_values(archived, None, "null", [None])
    await archived.add({"other": 1})
    assert await archived.ids(("k", "isnull", "true")) == [4, 1]
    assert await archived.ids(("k", "isnull", "false")) == [3, 2]
    assert await archived.ids(("other", "isnull", "true"), ("k", "isnull", "false")) == [3, 2]


async def test_texts_that_a_database_cannot_hold_are_found_as_they_are_kept(archived: Archived) -> None:
    await add_values(archived, "a\0b", "half \ud800 pair")
    assert await archived.ids(("k", "eq", "a\0b")) == [1]
    assert await archived.ids(("k", "contains", "half \ud800")) == [2]


async def test_numbers_keep_their_digits(archived: Archived) -> None:
    long = "123456789012345678901234567890.123456789"
    await add_values(archived, Decimal(long), 2**70, Decimal("1e400"))
    page = await archived.artifacts.page(Search(), None, 10)
    assert [each.metadata["k"].json for each in page.artifacts] == ["1E+400", str(2**70), long]
    assert await archived.ids(("k", "eq", long)) == [1]
    for same in ("1E+400", "1e400", "1E400", "1e+400", "1.0e400", "1" + "0" * 400):
        assert await archived.ids(("k", "eq", same)) == [3]
        assert await archived.ids(("k", "ne", same)) == [2, 1]
    assert await archived.ids(("k", "gt", "1e30")) == []


async def test_numbers_in_lists_and_objects_compare_as_numbers(archived: Archived) -> None:
    await add_values(archived, ["CWE-79", 1.0, "é"], ["CWE-79", 1, "é"], ["CWE-79", "1", "é"], {"n": Decimal("1e400")})
    for one in ("1", "1.0", "1e0", "10e-1"):
        assert await archived.ids(("k", "eq", f'["CWE-79",{one},"é"]')) == [2, 1]
        assert await archived.ids(("k", "ne", f'["CWE-79", {one}, "é"]')) == [4, 3]
    assert await archived.ids(("k", "eq", '{"n": 1e400}')) == [4]


async def test_all_conditions_must_hold(archived: Archived) -> None:
    for amount in (50, 150, 250):
        await archived.add({"customer": "a", "amount": amount})
    await archived.add({"customer": "b", "amount": 150})
    between = (("amount", "gt", "100"), ("amount", "lt", "200"))
    assert await archived.ids(*between) == [4, 2]
    assert await archived.ids(("customer", "eq", "a"), *between) == [2]


async def test_every_filter_counts(archived: Archived) -> None:
    await archived.add(reference=Reference("A", 1), config_id="x")
    await archived.add(reference=Reference("A", 2), system="OTHER")
    await archived.add(reference=Reference("B"), schema="Letter", message="LetterEvent")
    assert await archived.ids(reference_id="A") == [2, 1]
    assert await archived.ids(reference_id="A", version=2) == [2]
    assert await archived.ids(system="OTHER") == [2]
    assert await archived.ids(system="PSF", schema="Letter") == [3]
    assert await archived.ids(message_type=MESSAGE) == [2, 1]
    assert await archived.ids(message_type=MESSAGE, config_id="x") == [1]
    assert await archived.ids(config_id="x") == [1]
    assert await archived.ids(job_id=JOB) == [3, 2, 1]
    assert await archived.ids(archived_from=START + timedelta(minutes=2)) == [3, 2]
    assert await archived.ids(archived_to=START + timedelta(minutes=2)) == [1]


async def test_superseded_objects_are_found_only_when_asked_for(archived: Archived) -> None:
    for k in (1, 2):
        await archived.add({"k": k}, reference=Reference("A", 1))
    await archived.add({"k": 1}, reference=Reference("A", 2))
    assert await archived.ids() == [3, 2]
    assert await archived.ids(("k", "eq", "1")) == [3]
    assert await archived.ids(("k", "eq", "1"), all_versions=True) == [3, 1]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_have_each_artifact_once_while_others_are_archived(archived: Archived, limit: int) -> None:
    await add_values(archived, *(str(place % 2) for place in range(9)))
    found: list[int] = []
    asked = (condition("k", Comparison.EQ, "0"),)
    async for page in archived.artifacts.pages(Search(conditions=asked), None, limit):
        assert len(page) <= limit
        found += [each.id for each in page]
        await archived.add({"k": "0"})
    assert found == [9, 7, 5, 3, 1]


async def test_the_last_page_says_that_it_is_the_last(archived: Archived) -> None:
    await add_values(archived, 1, 2, 3)
    first = await archived.artifacts.page(Search(), None, 2)
    assert ([each.id for each in first.artifacts], first.next) == ([3, 2], 2)
    last = await archived.artifacts.page(Search(), first.next, 2)
    assert ([each.id for each in last.artifacts], last.next) == ([1], None)
    assert await archived.artifacts.find(2) == first.artifacts[1]
    assert await archived.artifacts.find(4) is None


async def test_columns_are_those_applied_and_those_configured(archived: Archived) -> None:
    """Where runs are switched off a definition is not applied, but its values are extracted all the same."""
    await archived.define("b", "a", inactive=["gone", "back"])
    await archived.define("z", message="Another", config_id="one")
    paths = (ExtractionPath("back", "back"), ExtractionPath("new", "new"))
    archived.configurations.append(ArchiveTypeConfiguration(MESSAGE, "topic", metadata_extraction_paths=paths))
    assert await archived.artifacts.columns() == [
        ("Another", "one", "z", True),
        (MESSAGE, None, "b", True),
        (MESSAGE, None, "a", True),
        (MESSAGE, None, "gone", False),
        (MESSAGE, None, "back", True),
        (MESSAGE, None, "new", True),
    ]


@pytest.mark.parametrize(
    ("operator", "operand", "message"),
    [
        (Comparison.ISNULL, "yes", "must be true or false"),
        (Comparison.CONTAINS, "", "must not be empty"),
        (Comparison.GT, "1e999", "is beyond the numbers"),
        (Comparison.LTE, "1e99999999999999999999", "is beyond the numbers"),
    ],
)
def test_an_operand_that_cannot_be_is_refused(operator: Comparison, operand: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        condition("k", operator, operand)


async def test_a_page_ends_with_the_artifact_whose_values_make_it_large(
    archived: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST", 10_000)
    monkeypatch.setattr(search, "AT_FIRST", 1)
    large, small = "x" * 6000, "y" * 1500
    for values in (large, small, small, large, large, small, small, small, [large, large], large):
        await archived.add({"a": small[:100], "k": values, "z": 7})
    pages = [page async for page in archived.artifacts.pages(Search(), None, 100)]
    assert [[each.id for each in page] for page in pages] == [[10, 9], [8, 7, 6, 5], [4, 3, 2, 1]]
    for each in (each for page in pages for each in page):
        assert list(each.metadata) == ["a", "k", "z"]
        assert len(each.metadata["k"].json) > 1500
    assert pages[0][1].metadata["k"].json == f'["{large}","{large}"]'
    assert [len(page) async for page in archived.artifacts.pages(Search(), None, 1)] == [1] * 10
    nothing_follows = await archived.artifacts.page(Search(), 5, 100)
    assert (len(nothing_follows.artifacts), nothing_follows.next) == (4, None)
    exactly = await archived.artifacts.page(Search(), None, 2)
    assert (len(exactly.artifacts), exactly.next) == (2, 9)


async def test_an_artifact_is_shown_however_large_its_values_are(
    archived: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST", 1)
    value = "ä" * 100_000
    await archived.add({"k": value})
    assert [len(page) async for page in archived.artifacts.pages(Search(), None, 100)] == [1]
    found = await archived.artifacts.find(1)
    assert found is not None
    assert found.metadata["k"].json == f'"{value}"'
