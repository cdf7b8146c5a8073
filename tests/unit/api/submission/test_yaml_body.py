"""Bodies of submissions that are as they should be, and what they are read as."""

import hashlib

import pytest

from app.api.submission.body import Parsed, parse_submission
from app.api.submission.scalars import BLOCK
from app.domain.identity import content_hash, reference_key
from app.domain.jobs import Reference

HEAD = "message: M\ntopic: t\narchiveDataReferences:\n"


def parse(text: str | bytes, max_references: int = 1000) -> Parsed:
    return parse_submission(text.encode() if isinstance(text, str) else text, max_references)


def ids(text: str) -> list[str]:
    parsed = parse(HEAD + text)
    assert parsed.mistakes == ()
    return [reference.id for reference in parsed.references]


def test_the_example_of_the_contract_is_read() -> None:
    parsed = parse("""
message: JmeDecreeDocumentCreatedEvent
topic: jme-process-archive-decreedocumentcreated
archiveDataReferences:
  - id: DOC-2024-001
    version: 1
""")
    assert (parsed.message, parsed.topic) == (
        "JmeDecreeDocumentCreatedEvent",
        "jme-process-archive-decreedocumentcreated",
    )
    assert (parsed.config_id, parsed.num_of_retry) == (None, None)
    assert tuple(parsed.references) == (Reference("DOC-2024-001", 1),)
    assert parsed.lines == {"message": 2, "topic": 3, "archiveDataReferences": 4}


def test_optional_keys_are_read_in_any_order() -> None:
    parsed = parse(
        'num-of-retry: 0\nconfig-id: "c"\narchiveDataReferences: [{version: 2, id: a}]\ntopic: t\nmessage: M\n'
    )
    assert (parsed.message, parsed.topic, parsed.config_id, parsed.num_of_retry) == ("M", "t", "c", 0)
    assert tuple(parsed.references) == (Reference("a", 2),)


def test_json_is_yaml_too() -> None:
    body = '{"message":"M","topic":"t","archiveDataReferences":[{"id":"a","version":1},\n{"id":"urn:b"}]}'
    assert tuple(parse(body).references) == (Reference("a", 1), Reference("urn:b"))


@pytest.mark.parametrize(
    "written",
    [
        "0123",
        "NO",
        "yes",
        "1e3",
        "2024-01-01",
        "0x1F",
        "1:20",
        "1_000",
        ".inf",
        "=",
        "<<",
        "a b",
        "a#b",
        "nUll",
        "é",
        "日本",
    ],
)
def test_plain_scalars_are_the_strings_that_were_written(written: str) -> None:
    assert ids(f"- id: {written}\n") == [written]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('"null"', "null"),
        ("'~'", "~"),
        ('" a "', " a "),
        ('"\\u2028x"', "\u2028x"),
        ('"\\U0001F600"', "\U0001f600"),
        ("|-\n    null", "null"),
        (">-\n    a\n    b", "a b"),
        ("'it''s'", "it's"),
        ("x" * 512, "x" * 512),
        ('"' + "\U0001f600" * 512 + '"', "\U0001f600" * 512),
        ("...a", "...a"),
    ],
)
def test_quoted_and_block_scalars_are_texts(written: str, read: str) -> None:
    assert ids(f"- id: {written}\n") == [read]


@pytest.mark.parametrize("id_", ["urn:a:b", "http://x/y?z", "a?b", "a:b c", "A::B"])
def test_plain_scalars_within_brackets_are_the_strings_that_were_written(id_: str) -> None:
    parsed = parse(f"{{message: M, topic: t-m, archiveDataReferences: [{{id: {id_}}}, {{version: 2, id: {id_} }}]}}")
    assert parsed.mistakes == ()
    assert list(parsed.references) == [Reference(id_, None), Reference(id_, 2)]


def test_so_they_are_in_large_bodies() -> None:
    references = ", ".join(f"{{id: urn:a:{number}, version: 1}}" for number in range(20_000))
    assert len(parse(f"message: M\ntopic: t\narchiveDataReferences: [{references}]", 20_000).references) == 20_000


def test_a_pair_of_escapes_is_a_character_beside_a_colon_within_brackets() -> None:
    assert ids(' [{id: "\\ud83d\\ude00"}, {id: urn:a}]') == ["😀", "urn:a"]


@pytest.mark.parametrize("version", ["", "~", "null", "Null", "NULL", "# none"])
def test_an_empty_version_is_no_version(version: str) -> None:
    parsed = parse(f"{HEAD}- id: a\n  version: {version}\n")
    assert tuple(parsed.references) == (Reference("a", None),)


def test_empty_optional_keys_are_as_if_they_were_not_there() -> None:
    submission = parse(f"config-id:\nnum-of-retry: null\n{HEAD}- id: a\n")
    assert (submission.config_id, submission.num_of_retry) == (None, None)


@pytest.mark.parametrize("version", [1, 10, 2_147_483_647])
def test_versions_are_whole_numbers(version: int) -> None:
    assert parse(f"{HEAD}- id: a\n  version: {version}\n").references[0].version == version


@pytest.mark.parametrize("retries", range(11))
def test_up_to_ten_retries_can_be_asked_for(retries: int) -> None:
    assert parse(f"num-of-retry: {retries}\n{HEAD}- id: a\n").num_of_retry == retries


def test_the_same_id_in_two_versions_is_two_references() -> None:
    parsed = parse(f"{HEAD}- {{id: a, version: 1}}\n- {{id: a, version: 2}}\n- id: a\n")
    assert len(parsed.references) == 3


@pytest.mark.parametrize(
    "before", [b"\xef\xbb\xbf", b"---\n", b"%YAML 1.2\n---\n", b"# comment\n\n", b"\xef\xbb\xbf%YAML 1.1\n---\n"]
)
def test_byte_order_mark_document_start_and_version_are_read_over(before: bytes) -> None:
    assert tuple(parse(before + HEAD.encode() + b"- id: a\n").references) == (Reference("a"),)


@pytest.mark.parametrize("after", ["...\n", "# the end", "\n\n", ""])
def test_what_ends_a_document_is_read_over(after: str) -> None:
    assert parse(f"{HEAD}- id: a\n{after}").mistakes == ()


@pytest.mark.parametrize("line_end", ["\r\n", "\r"])
def test_other_line_ends_are_line_ends(line_end: str) -> None:
    parsed = parse(f"{HEAD}- id: a\n  version: x\n".replace("\n", line_end))
    assert [mistake.line for mistake in parsed.mistakes] == [5]


def test_references_are_packed_in_blocks_and_found_by_position() -> None:
    count = 2 * BLOCK + 5
    parsed = parse(HEAD + "".join(f"- {{id: d-{place}, version: {place % 3 + 1}}}\n" for place in range(count)), count)
    expected = [Reference(f"d-{place}", place % 3 + 1) for place in range(count)]
    columns = parsed.references
    assert len(columns) == count
    assert list(columns) == expected
    assert [reference for number in range(len(columns.blocks)) for reference in columns.block(number)] == expected
    assert [columns[place] for place in (0, BLOCK - 1, BLOCK, count - 1)] == [
        expected[place] for place in (0, BLOCK - 1, BLOCK, count - 1)
    ]
    assert [columns.key(place) for place in range(count)] == [reference_key(each) for each in expected]
    assert columns.lines[count - 1] == count + 3


def test_the_content_hash_is_the_one_of_the_domain() -> None:
    parsed = parse(f"config-id: c\n{HEAD}- {{id: b, version: 1}}\n- id: é\n")
    assert parsed.content_hash == content_hash("M", "t", "c", parsed.references.keys)
    assert len(parsed.content_hash or b"") == hashlib.sha256().digest_size


def test_order_comments_and_retries_do_not_change_the_content_hash() -> None:
    one = parse(f"{HEAD}- id: a\n- id: b\n")
    other = parse(f"num-of-retry: 3 # more\n{HEAD}- id: 'b'\n- id: a\n")
    assert one.content_hash == other.content_hash


def test_versions_are_missing_where_the_address_needs_them() -> None:
    parsed = parse(f"{HEAD}- {{id: a, version: 1}}\n- id: b\n")
    assert [(mistake.path, mistake.line) for mistake in parsed.version_mistakes(versioned=True)] == [
        ("archiveDataReferences[1].version", 5)
    ]
    assert [(mistake.path, mistake.line) for mistake in parsed.version_mistakes(versioned=False)] == [
        ("archiveDataReferences[0].version", 4)
    ]


def test_versions_that_fit_the_address_are_no_mistakes() -> None:
    assert parse(f"{HEAD}- {{id: a, version: 1}}\n").version_mistakes(versioned=True) == ()
    assert parse(f"{HEAD}- id: a\n").version_mistakes(versioned=False) == ()


def test_a_version_that_is_a_mistake_already_is_not_reported_again() -> None:
    parsed = parse(f"{HEAD}- {{id: a, version: x}}\n")
    assert len(parsed.mistakes) == 1
    assert parsed.version_mistakes(versioned=True) == parsed.version_mistakes(versioned=False) == ()


def test_too_many_references_are_counted_no_further() -> None:
    parsed = parse(f"{HEAD}- id: a\n- id: b\n- id: c\n- [\n", max_references=2)
    assert parsed.too_many
    assert len(parsed.references) == 2
    assert not parse(f"{HEAD}- id: a\n- id: b\n", max_references=2).too_many


def test_a_body_with_mistakes_has_no_content_hash() -> None:
    assert parse(f"{HEAD}- id: a\n- id: a\n").content_hash is None
