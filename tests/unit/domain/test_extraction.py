"""Extraction: what a path finds, that nothing raises, and the shape in which values are kept."""

import json
import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path as File
from typing import Any

import pytest

from app.domain.archive_types import ExtractionPath
from app.domain.extraction import (
    NULL,
    ValueKind,
    compile_paths,
    document_values,
    extract,
    metadata_value,
    metadata_values,
    searchable,
)
from app.domain.paths import EVERY, Path, Step, parse_path

DOCUMENTS = sorted((File(__file__).parents[3] / "examples/source/documents").glob("*.json"))
JSON = "application/json"

ORDER = {
    "customer": {"id": 4711, "name": "Müller", "vip": False, "since": None},
    "items": [{"id": "a", "tags": ["x", "y"]}, {"tags": []}, 7, {"id": None}, {"id": "e", "tags": "no list"}],
    "none": [],
    "a.b": {"c": 1.5},
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("customer.id", 4711),
        ("customer.vip", False),
        ("customer", ORDER["customer"]),
        ('["a.b"].c', 1.5),
        ("items[0].id", "a"),
        ("items[0].tags[1]", "y"),
        ("items[*].id", ["a", None, None, None, "e"]),
        ("items[*].tags", [["x", "y"], [], None, None, "no list"]),
        ("items[*].tags[*]", [["x", "y"], [], None, None, None]),
        ("items[*].tags[0]", ["x", None, None, None, None]),
        ("none[*]", []),
        ("none[*].id", []),
        ("none[0]", None),
        ("missing", None),
        ("customer.missing.deeper", None),
        ("customer.since", None),
        ("customer.since.year", None),
        ("customer.id.digits", None),
        ("customer.name[0]", None),
        ("customer[0]", None),
        ("customer[*]", None),
        ("customer.name[*]", None),
        ("items.id", None),
        ("items[99]", None),
        ("a.b.c", None),
        ('items["0"]', None),
    ],
)
def test_a_path_finds_its_value_or_null(path: str, value: Any) -> None:
    assert extract(parse_path(path), ORDER) == value


def test_a_document_that_is_a_list_has_paths_too() -> None:
    assert extract(parse_path("[*].id"), [{"id": 1}, {}]) == [1, None]
    assert extract(parse_path("[1]"), [1, 2]) == 2


def test_every_key_is_there_even_where_nothing_can_be_read() -> None:
    paths = compile_paths([ExtractionPath("a", "x.y"), ExtractionPath("b", "z[*]")])
    assert metadata_values(paths, {"x": {"y": 1}}) == {"a": metadata_value(1), "b": NULL}
    assert metadata_values(paths, None) == {"a": NULL, "b": NULL}


def test_a_definition_with_a_wrong_path_is_refused_with_its_key() -> None:
    with pytest.raises(ValueError, match=r"^total: must look like .* \(character 3"):
        compile_paths([ExtractionPath("id", "id"), ExtractionPath("total", "a..b")])


def each(items: Any, read: Callable[[Any], Any]) -> Any:
    if not isinstance(items, list):
        return None
    found = []
    for item in items:
        found.append(read(item))  # noqa: PERF401 - plain on purpose
    return found


def member(value: Any, *names: str | int) -> Any:
    for name in names:
        try:
            value = value[name]
        except (KeyError, IndexError, TypeError):
            return None
    return value


READINGS: dict[str, Callable[[Any], Any]] = {
    "id": lambda d: d["id"],
    "published": lambda d: d["published"],
    "summary": lambda d: d.get("summary"),
    "aliases": lambda d: d.get("aliases"),
    "aliases[*]": lambda d: d.get("aliases"),
    "aliases[1]": lambda d: d["aliases"][1] if len(d.get("aliases") or []) > 1 else None,
    "affected[0].package.name": lambda d: member(d, "affected", 0, "package", "name"),
    "affected[0].ranges[0].repo": lambda d: member(d, "affected", 0, "ranges", 0, "repo"),
    "affected[*].ranges[*].type": lambda d: each(
        d.get("affected"), lambda a: each(a.get("ranges"), lambda r: r.get("type"))
    ),
    "affected[*].ranges[*].events[*].fixed": lambda d: each(
        d.get("affected"),
        lambda a: each(a.get("ranges"), lambda r: each(r.get("events"), lambda e: e.get("fixed"))),
    ),
    "affected[*].versions[*]": lambda d: each(d.get("affected"), lambda a: a.get("versions")),
    "severity[0].score": lambda d: member(d, "severity", 0, "score"),
    "severity[*].score": lambda d: each(d.get("severity"), lambda s: s.get("score")),
    "database_specific.cwe_ids": lambda d: member(d, "database_specific", "cwe_ids"),
    '["database_specific"].["cwe_ids"][0]': lambda d: member(d, "database_specific", "cwe_ids", 0),
    '["database_specific.cwe_ids"]': lambda d: d.get("database_specific.cwe_ids"),
    "database_specific": lambda d: d.get("database_specific"),
    "references[*].url": lambda d: each(d.get("references"), lambda r: r.get("url")),
    "references[2].type": lambda d: member(d, "references", 2, "type"),
    "credits[*].name": lambda d: each(d.get("credits"), lambda c: c.get("name")),
    "credits[0].contact[0]": lambda d: member(d, "credits", 0, "contact", 0),
    "withdrawn": lambda d: d.get("withdrawn"),
    "id.number": lambda _: None,
    "details[0]": lambda _: None,
}


def test_the_advisories_are_read_as_plain_loops_read_them() -> None:
    assert len(DOCUMENTS) == 132
    paths = compile_paths([ExtractionPath(text, text) for text in READINGS])
    found_somewhere: set[str] = set()
    missing_somewhere: set[str] = set()
    for file in DOCUMENTS:
        content = file.read_bytes()
        plain = json.loads(content)
        # keys with dots and data that only some advisories have
        plain["ecosystem.specific"] = {"severity": plain["id"][-1]}
        expected = {text: read(plain) for text, read in READINGS.items()}
        values = document_values(content, JSON)
        assert {key: extract(path, values) for key, path in paths} == expected
        assert extract(parse_path('["ecosystem.specific"].severity'), plain) == plain["id"][-1]
        kept = metadata_values(paths, values)
        assert {key: json.loads(each.json) for key, each in kept.items()} == expected
        assert {key: each.value for key, each in kept.items()} == expected
        found_somewhere |= {key for key, value in expected.items() if value is not None}
        missing_somewhere |= {key for key, value in expected.items() if value is None}
    assert len(found_somewhere) >= 14
    assert len(missing_somewhere & found_somewhere) >= 6


def random_value(rng: random.Random, depth: int = 4) -> Any:
    kind = rng.randrange(9 if depth else 7)
    if kind == 7:
        return [random_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind == 8:
        return {rng.choice("ab") + rng.choice(["", ".", "\0"]): random_value(rng, depth - 1) for _ in range(3)}
    scalars = (
        None,
        True,
        rng.randrange(-9, 9),
        10**30,
        0.1,
        Decimal("1.50"),
        rng.choice(["", "é\0", "\ud800", "x" * 300]),
    )
    return scalars[kind]


def random_path(rng: random.Random) -> Path:
    steps: list[Step] = ["a", "b", "a.", "b\0", 0, 1, EVERY, EVERY]
    return Path(tuple(rng.choice(steps) for _ in range(rng.randrange(1, 6))))


def test_no_document_makes_extraction_raise_and_what_is_kept_reads_back() -> None:
    rng, found = random.Random(8), 0
    for _ in range(20_000):
        value = extract(random_path(rng), random_value(rng))
        kept = metadata_value(value)
        found += value is not None
        assert kept.value == value
        for text in (kept.json, kept.text or ""):
            assert "\0" not in text
            text.encode()
    assert found > 500


@pytest.mark.parametrize(
    ("value", "kind", "text", "number", "kept"),
    [
        (None, ValueKind.NULL, None, None, "null"),
        ("4711", ValueKind.TEXT, "4711", None, '"4711"'),
        ("Müller", ValueKind.TEXT, "Müller", None, '"Müller"'),
        ("", ValueKind.TEXT, "", None, '""'),
        (True, ValueKind.BOOLEAN, "true", None, "true"),
        (0, ValueKind.NUMBER, "0", Decimal(0), "0"),
        (-4711, ValueKind.NUMBER, "-4711", Decimal(-4711), "-4711"),
        (0.1, ValueKind.NUMBER, "0.1", Decimal("0.1"), "0.1"),
        (2**63 + 1, ValueKind.NUMBER, "9223372036854775809", Decimal(2**63 + 1), "9223372036854775809"),
        (Decimal("19.90"), ValueKind.NUMBER, "19.90", Decimal("19.9"), "19.90"),
        (float("nan"), ValueKind.NULL, None, None, "null"),
        (float("inf"), ValueKind.NULL, None, None, "null"),
        (["b", None, "é"], ValueKind.JSON, '["b",null,"é"]', None, '["b",null,"é"]'),
        ([], ValueKind.JSON, "[]", None, "[]"),
        ({"b": 1, "a": [2.5]}, ValueKind.JSON, '{"a":[2.5],"b":1}', None, '{"a":[2.5],"b":1}'),
        ({"b": 10**20, "a": None}, ValueKind.JSON, f'{{"a":null,"b":{10**20}}}', None, f'{{"a":null,"b":{10**20}}}'),
    ],
)
def test_values_are_kept_with_their_type(
    value: Any, kind: ValueKind, text: str | None, number: Decimal | None, kept: str
) -> None:
    found = metadata_value(value)
    assert (found.kind, found.text, found.number, found.json) == (kind, text, number, kept)


def test_a_long_text_is_kept_whole() -> None:
    text = "ä" * 100_000
    assert metadata_value(text).text == text
    assert metadata_value(text).value == text


def test_nul_and_half_surrogate_pairs_are_kept_in_the_json_and_replaced_in_the_text() -> None:
    value = "a\0b\ud800c😀"
    found = metadata_value(value)
    assert found.text == searchable(value) == "a\ufffdb\ufffdc😀"
    assert found.value == value
    assert "\0" not in metadata_value({"\0": ["\0", "\ud800"]}).json


@pytest.mark.parametrize(
    "text", ["1e400", "-1e400", "1e-2000", "1" * 5000, "9" * 310, "0." + "1" * 2000, "1e99999999999"]
)
def test_a_number_that_no_database_compares_is_kept_exactly_and_compares_with_nothing(text: str) -> None:
    found = metadata_value(document_values(f'{{"n": {text}}}'.encode(), JSON)["n"])
    assert found.kind is ValueKind.NUMBER
    assert found.number is None
    assert Decimal(found.json) == Decimal(text)


def test_deep_nesting_is_kept() -> None:
    content = b"[" * 1000 + b"]" * 1000
    assert metadata_value(document_values(content, JSON)).json == content.decode()
    assert document_values(b"[" * 100_000 + b"]" * 100_000, JSON) is None
    deep: Any = []
    for _ in range(10_000):
        deep = [deep]
    assert len(metadata_value(deep).json) == 20_002
    assert extract(Path((0,) * 50), deep) is not None


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"", JSON),
        (b"{", JSON),
        (b"\xff\xfe", JSON),
        (b"NaN", JSON),
        (b'{"a": 1}', "text/plain"),
        (b'{"a": 1}', ""),
        (b'{"a": 1}', "avro/binary"),
        (b'\xef\xbb\xbf{"a": 1}', JSON),
    ],
)
def test_a_document_that_cannot_be_read_has_no_values(content: bytes, content_type: str) -> None:
    assert document_values(content, content_type) is None


def test_the_content_type_may_have_a_suffix_and_parameters() -> None:
    assert document_values(b"{}", "Application/Problem+JSON; charset=utf-8") == {}


def test_a_reader_of_avro_that_fails_is_no_failure() -> None:
    def broken(document: bytes) -> Any:
        raise EOFError

    assert document_values(b"x", "avro/binary", broken) is None
    assert document_values(b"x", "avro/binary", lambda document: {"a": document.decode()}) == {"a": "x"}
