"""Which format an `Accept` header gets: RFC 9110, section 12.5.1, and what clients write instead of it."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.http.accept import wanted_format
from app.api.http.problems import ApiProblem

FORMATS = {"json": "application/json", "csv": "text/csv", "ndjson": "application/x-ndjson"}
ALIASES = {"application/ndjson": "ndjson", "application/jsonl": "ndjson"}


def wanted(*headers: str) -> str:
    return wanted_format(headers, FORMATS, ALIASES)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("text/csv", "csv"),
        ("TEXT/CSV", "csv"),
        ("application/x-ndjson", "ndjson"),
        ("application/jsonl", "ndjson"),
        ("application/*", "json"),
        ("text/*", "csv"),
        ("text/csv;q=0.5, application/x-ndjson", "ndjson"),
        ("text/csv;q=0.5, */*;q=0.1", "csv"),
        ("*/*;q=0.1", "json"),
        ("text/csv, application/json", "csv"),
        ("application/json, text/csv", "json"),
        ("*/*, text/csv", "csv"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", "json"),
        ("application/json, text/plain, */*", "json"),
        ("text/csv;q=0.001, application/json;q=0.002", "json"),
    ],
)
def test_the_format_that_is_liked_best_is_sent(header: str, name: str) -> None:
    assert wanted(header) == name


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("text/csv;q=0, */*", "json"),
        ("application/json;q=0, */*", "csv"),
        ("application/json;q=0.0, text/csv;q=0.000, */*;q=0.1", "ndjson"),
        ("*/*;q=0, text/csv", "csv"),
        ("text/*, text/csv;q=0, application/x-ndjson;q=0.1", "ndjson"),
        ("application/*;q=0, */*", "csv"),
        ("application/ndjson;q=0, application/json;q=0, */*;q=0.2", "csv"),
        ("text/csv;q=0", "json"),
    ],
)
def test_a_weight_of_zero_excludes(header: str, name: str) -> None:
    assert wanted(header) == name


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("application/*, application/json;q=0.3, text/csv;q=0.5", "ndjson"),
        ("*/*;q=0.9, application/*;q=0.2", "csv"),
        ("*/*;q=0.9, application/*;q=0.95, application/json;q=0.1", "ndjson"),
        ("application/json;q=0.2, application/json;charset=utf-8, text/csv;q=0.5", "json"),
        ("text/csv;header=absent;q=0, text/csv;q=0.8, application/json;q=0.5", "csv"),
        ("text/csv;header=present;q=0, text/csv, application/json;q=0.5", "json"),
    ],
)
def test_the_most_exact_range_says_how_much_a_format_is_liked(header: str, name: str) -> None:
    assert wanted(header) == name


@pytest.mark.parametrize("header", ["*/*;q=0", "application/json;q=0", "application/*;q=0, text/html"])
def test_what_is_excluded_is_not_sent_all_the_same(header: str) -> None:
    with pytest.raises(ApiProblem) as refused:
        wanted(header)
    assert refused.value.status == 406
    assert "application/json, text/csv, application/x-ndjson" in str(refused.value.detail)


@pytest.mark.parametrize("header", ["image/png", "text/html", "application/json;version=2", "text/csv;header=absent"])
def test_where_nothing_is_named_that_there_is_the_default_is_sent(header: str) -> None:
    assert wanted(header) == "json"


def test_several_headers_are_one() -> None:
    assert wanted("application/json;q=0.1", "text/csv;q=0.2") == "csv"
    assert wanted("text/csv;q=0", "*/*") == "json"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("text/csv ; q=0.9 , application/json;Q=0.1", "csv"),
        ("text/csv;q = 0.9,application/json;q=.1", "csv"),
        (",, text/csv ,", "csv"),
        ("text/csv;;q=1", "csv"),
        ("text/csv;q=5, application/json", "csv"),
        ("text/csv;q=0.123456, application/json;q=0.1", "csv"),
        ("text/csv;q=1;foo=bar;q=0", "csv"),
        ('text/csv;a="b,application/json;q=0";q=0, text/csv', "csv"),
        ('text/csv;charset="utf-8"', "csv"),
        ('text/csv;charset="utf\\-8"', "csv"),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "json"),
        ("csv, text/csv;q=much, application/x-ndjson;q=0.1", "csv"),
        ("text/csv;q, application/x-ndjson;q=0.1", "csv"),
        ('application/json;q=0.1, text/csv;a="open, image/png', "csv"),
        (";, ;;q=1, application/x-ndjson", "ndjson"),
        ("text csv, /csv, text/, application/x-ndjson", "ndjson"),
    ],
)
def test_what_is_not_quite_right_is_read_as_it_was_meant_or_passed_over(header: str, name: str) -> None:
    assert wanted(header) == name


@given(st.text(alphabet='textcsv/application*json;=q0.1, "\\\t\x00é', max_size=60))
def test_no_header_ends_in_an_error(header: str) -> None:
    with suppress(ApiProblem):
        assert wanted(header) in FORMATS


def test_a_header_without_end_is_not_read_to_its_end() -> None:
    assert wanted("image/png," * 1_000_000 + "text/csv") == "json"
