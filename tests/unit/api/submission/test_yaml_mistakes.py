"""Everything that is refused in a body: where it stands, and what is said about it."""

import pytest

from app.api.submission.body import Parsed, parse_submission
from app.api.submission.events import MAX_STRETCH
from app.api.submission.scalars import MORE, listed
from app.domain.mistakes import Mistake

HEAD = "message: M\ntopic: t\narchiveDataReferences:\n"


def parse(text: str | bytes, max_references: int = 1000) -> Parsed:
    return parse_submission(text.encode() if isinstance(text, str) else text, max_references)


def mistakes(text: str | bytes) -> list[tuple[str, int | None, str]]:
    parsed = parse(text)
    assert parsed.content_hash is None
    return [(mistake.path, mistake.line, mistake.message) for mistake in parsed.mistakes]


def only(text: str | bytes) -> tuple[str, int | None, str]:
    found = mistakes(text)
    assert len(found) == 1, found
    return found[0]


def test_all_mistakes_are_reported_together_in_the_order_of_lines() -> None:
    found = mistakes("""topic: " "
colour: red
num-of-retry: 11
archiveDataReferences:
  - id: a
    version: "1"
  - version: 01
  - id: .
    size: 3
  -
  - DOC-1
  - id: a\tb
  - &x
    id: *y
  - id: a
  - id: b
  - id: b
""")
    assert [(path, line) for path, line, _ in found] == [
        ("topic", 1),
        ("colour", 2),
        ("num-of-retry", 3),
        ("archiveDataReferences[0].version", 6),
        ("archiveDataReferences[1].version", 7),
        ("archiveDataReferences[1].id", 7),
        ("archiveDataReferences[2].id", 8),
        ("archiveDataReferences[2].size", 9),
        ("archiveDataReferences[3]", 10),
        ("archiveDataReferences[4]", 11),
        ("archiveDataReferences[5].id", 12),
        ("archiveDataReferences[6]", 13),
        ("archiveDataReferences[6].id", 14),
        ("archiveDataReferences[9]", 17),
        ("message", None),
    ]


def test_what_could_be_read_is_there_beside_the_mistakes() -> None:
    parsed = parse("message: M\ntopic: t\nconfig-id: c\nnum-of-retry: 2\narchiveDataReferences:\n- id: a\n- id: ''\n")
    assert (parsed.message, parsed.topic, parsed.config_id, parsed.num_of_retry) == ("M", "t", "c", 2)
    assert [reference.id for reference in parsed.references] == ["a", ""]
    assert len(parsed.mistakes) == 1


def test_all_mistakes_are_reported_beside_a_colon_within_brackets() -> None:
    text = "archiveDataReferences: [{id: a:b, id: c},\n &x {id: *y}, {id: {a: b}}, {id:A}, {id: a:b}]\nmessage: M\n"
    assert [(path, line) for path, line, _ in mistakes(text)] == [
        ("archiveDataReferences[0].id", 1),
        ("archiveDataReferences[1]", 2),
        ("archiveDataReferences[1].id", 2),
        ("archiveDataReferences[2].id", 2),
        ("archiveDataReferences[3].id:A", 2),
        ("archiveDataReferences[3].id", 2),
        ("archiveDataReferences[4]", 2),
        ("topic", None),
    ]


@pytest.mark.parametrize("nested", ["[" * 30_000, "{a: " * 10_000, "{" + "a: b, " * 5_000])
def test_depth_and_size_are_limited_beside_a_colon_within_brackets(nested: str) -> None:
    path, line, text = mistakes(f"message: M\ntopic: t\narchiveDataReferences: [{{id: a:b}}, {{id: {{x: {nested}")[-1]
    assert (path, line) == ("", 3)
    assert "the rest of the body was not read" in text


@pytest.mark.parametrize(
    ("references", "text"),
    [
        ("[{id: a:}]", "ends with a colon; put it in double quotes"),
        ("[{id: ?x}]", "begins with a question mark, a colon or a dash within brackets needs double quotes"),
        ("[{id: :x}]", "begins with a question mark, a colon or a dash within brackets needs double quotes"),
    ],
)
def test_a_value_within_brackets_that_cannot_be_read_is_refused_with_the_way_out(references: str, text: str) -> None:
    path, line, found = only(f"message: M\ntopic: t\narchiveDataReferences: {references}")
    assert (path, line) == ("", 3)
    assert text in found


@pytest.mark.parametrize("body", ["", "# nothing\n", "\n\n"])
def test_an_empty_body_is_refused(body: str) -> None:
    assert only(body) == ("", 1, "is empty; it needs message, topic, archiveDataReferences")


@pytest.mark.parametrize("body", ["- a\n", "text\n", "~\n", "[]\n", "--- a\n"])
def test_a_body_that_is_no_mapping_is_refused(body: str) -> None:
    path, line, text = only(body)
    assert (path, line) == ("", 1)
    assert text == "must be a mapping with the keys message, topic, archiveDataReferences"


def test_keys_that_are_missing_are_named() -> None:
    assert mistakes("config-id: c\n") == [
        (name, None, "is missing") for name in ("message", "topic", "archiveDataReferences")
    ]


@pytest.mark.parametrize("key", ["message", "topic"])
@pytest.mark.parametrize("value", ["", "~", "null", '""', '" "', '"\\u3000"'])
def test_message_and_topic_must_not_be_blank(key: str, value: str) -> None:
    path, line, text = only(
        HEAD.replace(f"{key}: {key[0].upper() if key == 'message' else 't'}", f"{key}: {value}") + "- id: a\n"
    )
    assert (path, line) == (key, 1 if key == "message" else 2)
    assert "give it a value" in text


@pytest.mark.parametrize("value", ['"a\\nb"', "|\n  a\n", '"\\x85"', '"\\0"', "a" * 256, "[a]", "{a: b}"])
def test_texts_are_short_single_and_without_control_characters(value: str) -> None:
    assert only(f"config-id: {value}\n{HEAD}- id: a\n")[:2] == ("config-id", 1)


@pytest.mark.parametrize("value", ["11", "-1", "+1", "01", "1.0", "1e0", "0x1", '"3"', "three", "[1]", "1_0", "٣"])
def test_the_number_of_retries_is_a_plain_number_up_to_ten(value: str) -> None:
    assert only(f"num-of-retry: {value}\n{HEAD}- id: a\n")[:2] == ("num-of-retry", 1)


@pytest.mark.parametrize(
    "value", ["0", "01", "-1", "+1", "1.0", "1e3", "0x1", "1_000", "v1", "2147483648", "9" * 5000, "٣", "1 2"]
)
def test_a_version_is_a_plain_number(value: str) -> None:
    path, line, text = only(f"{HEAD}- id: a\n  version: {value}\n")
    assert (path, line) == ("archiveDataReferences[0].version", 5)
    assert "is not a whole number from 1 to 2147483647" in text
    assert len(text) < 200


@pytest.mark.parametrize("value", ['"1"', "'1'", "|-\n    1"])
def test_a_quoted_version_is_refused_with_the_way_out(value: str) -> None:
    assert only(f"{HEAD}- id: a\n  version: {value}\n")[2] == "'1' is a text; write the number without quotes"


@pytest.mark.parametrize(
    "value",
    ['""', '" "', "'\u3000'", '"."', "..", ".", "x" * 513, '"\\0"', '"a\\nb"', '"\\x7f"', '"\\x85"', "|\n    a"],
)
def test_ids_that_no_source_could_be_asked_for_are_refused(value: str) -> None:
    assert only(f"{HEAD}- id: {value}\n")[:2] == ("archiveDataReferences[0].id", 4)


@pytest.mark.parametrize("value", ["", "~", "null", "Null", "NULL"])
def test_an_empty_id_is_a_missing_one(value: str) -> None:
    path, line, text = only(f"{HEAD}- id: {value}\n")
    assert (path, line) == ("archiveDataReferences[0].id", 4)
    assert text.startswith("is empty")


@pytest.mark.parametrize("element", ["", "~", "null"])
def test_an_empty_list_element_is_a_mistake(element: str) -> None:
    assert only(f"{HEAD}- {element}\n")[:2] == ("archiveDataReferences[0]", 4)


@pytest.mark.parametrize("element", ["DOC-1", '""', "[DOC-1]", "[]"])
def test_a_list_element_must_be_a_mapping(element: str) -> None:
    assert only(f"{HEAD}- {element}\n") == ("archiveDataReferences[0]", 4, "must be a mapping (`id: ...`)")


@pytest.mark.parametrize("element", ["{}", "{version: 1}"])
def test_an_id_is_required(element: str) -> None:
    assert only(f"{HEAD}- {element}\n") == ("archiveDataReferences[0].id", 4, "is missing")


@pytest.mark.parametrize("value", ["", "[]", "~", "text", "{id: a}", "{}"])
def test_the_references_are_a_list_with_something_in_it(value: str) -> None:
    assert only(f"message: M\ntopic: t\narchiveDataReferences: {value}\n")[:2] == ("archiveDataReferences", 3)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("{id: a, version: 1}", "{version: 1, id: 'a'}", True),
        ("{id: a}", '{id: "a", version: }', True),
        ("{id: a}", "{id: A}", False),
    ],
)
def test_equal_references_are_refused_with_both_places(first: str, second: str, same: bool) -> None:
    found = mistakes(f"{HEAD}- {first}\n- id: other\n- {second}\n") if same else []
    text = "'a' is the same as archiveDataReferences[0]; leave one out"
    assert found == ([("archiveDataReferences[2]", 6, text)] if same else [])


def test_equal_references_are_reported_beside_other_mistakes() -> None:
    found = mistakes(f"{HEAD}- id: ''\n- id: a\n- id: ''\n- id: a\n")
    assert [path.removeprefix("archiveDataReferences") for path, _, _ in found] == ["[0].id", "[2].id", "[3]"]
    assert found[2][1:] == (7, "'a' is the same as archiveDataReferences[1]; leave one out")


def test_unknown_keys_are_refused_and_named() -> None:
    found = mistakes(f"x: [a, {{b: c}}]\n<<: {{a: b}}\n{HEAD}- id: a\n  <<: b\n  Id: c\n")
    assert [(path, line) for path, line, _ in found] == [
        ("x", 1),
        ("<<", 2),
        ("archiveDataReferences[0].<<", 7),
        ("archiveDataReferences[0].Id", 8),
    ]
    assert all("is an unknown key; known are " in text for _, _, text in found)


def test_keys_that_stand_twice_are_refused() -> None:
    found = mistakes(f"{HEAD}- id: a\n  version: 1\n  id: b\n  version: 2\nmessage: N\n'topic': u\n")
    assert found == [
        ("archiveDataReferences[0].id", 6, "stands twice; the first is in line 4"),
        ("archiveDataReferences[0].version", 7, "stands twice; the first is in line 5"),
        ("message", 8, "stands twice; the first is in line 1"),
        ("topic", 9, "stands twice; the first is in line 2"),
    ]


@pytest.mark.parametrize("key", ["[a]", "{a: b}", "? [a]\n"])
def test_a_key_must_be_a_word(key: str) -> None:
    assert "a key must be a single word" in [text for _, _, text in mistakes(f"{key}: b\n{HEAD}- id: a\n")]


@pytest.mark.parametrize(
    ("body", "path", "line"),
    [
        (f"&a {HEAD}- id: a\n", "", 1),
        (f"--- &a\n{HEAD}- id: a\n", "", 1),
        (HEAD.replace(": t", ": &a t") + "- id: a\n", "topic", 2),
        (HEAD.replace("References:", "References: &a") + "- id: a\n", "archiveDataReferences", 3),
        (f"{HEAD}- &a\n  id: a\n", "archiveDataReferences[0]", 4),
        (f"{HEAD}- id: &a a\n", "archiveDataReferences[0].id", 4),
        (f"{HEAD}- &k id: a\n", "archiveDataReferences[0]", 4),
    ],
)
def test_anchors_are_refused(body: str, path: str, line: int) -> None:
    found = mistakes(body)
    assert (
        path,
        line,
        "has an anchor ('&k'); leave it out" if "&k" in body else "has an anchor ('&a'); leave it out",
    ) in found


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (HEAD + "- *a\n", "archiveDataReferences[0]"),
        (HEAD + "- id: *a\n", "archiveDataReferences[0].id"),
        (HEAD + "- id: a\n  version: *a\n", "archiveDataReferences[0].version"),
        (HEAD.replace(": M", ": *a") + "- id: a\n", "message"),
        ("message: M\ntopic: t\narchiveDataReferences: *a\n", "archiveDataReferences"),
        (HEAD + "- id: a\n  *a : b\n", "archiveDataReferences[0]"),
    ],
)
def test_aliases_are_refused(body: str, path: str) -> None:
    assert only(body)[::2] == (path, "is an alias ('*a'); write the value out")


@pytest.mark.parametrize("tag", ["!", "!foo", "!!str", "!!python/object:os.system", "!<tag:yaml.org,2002:int>"])
@pytest.mark.parametrize("place", ["id: {} a", "{} id: a", "{{id: a}} "])
def test_tags_are_refused(tag: str, place: str) -> None:
    body = place.format(tag) if "{{" not in place else f"{tag} {{id: a}}"
    assert "has a tag (" in only(f"{HEAD}- {body}\n")[2]


def test_a_second_document_is_refused() -> None:
    assert only(f"{HEAD}- id: a\n---\n{HEAD}- id: b\n") == ("", 5, "holds several documents; send one job at a time")


@pytest.mark.parametrize("deep", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000])
def test_deep_nesting_ends_the_reading(deep: str) -> None:
    for body in (deep, f"{HEAD}- {deep}", f"message: {deep}", f"{HEAD}- id: {deep}"):
        found = mistakes(body)
        assert 1 <= len(found) <= 3


def test_a_long_value_in_the_wrong_place_ends_the_reading() -> None:
    found = mistakes("x: [" + "a, " * 100_000 + "]\n")
    assert [path for path, _, _ in found] == ["x", ""]
    assert "the rest of the body was not read" in found[1][2]


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ('message: "open\ntopic: t\n', 1, "never closed"),
        ("message: 'open\n---\n", 1, "not closed"),
        ("message: M\n\ttopic: t\n", 2, "indented with a tab"),
        ("\tmessage: M\n", 1, "starts with a character that YAML keeps for itself"),
        ("message: M\ntopic: @t\n", 2, "starts with a character that YAML keeps for itself"),
        ("message: a: b\n", 1, "a colon stands where none is expected"),
        ("message: M\ntopic\n", 2, "has no colon"),
        ("message: [a\n", 2, "a closing bracket is expected here"),
        ("message: M\n- a\n", 2, "the structure breaks off"),
        ('message: "\\ud800"\n', 1, "an escape in double quotes is not a character"),
        ('message: "\\ude00\\ud83d"\n', 1, "an escape in double quotes is not a character"),
        ('message: "\\ud83d\\ude00"\ntopic: "\n\\ud83d x"\n', 3, "an escape in double quotes is not a character"),
        ('message: "\\q"\n', 1, "a backslash is written \\\\"),
        ("%YAML 9.9\n---\n", 1, "%YAML"),
        ("%FOO\n---\n", 1, "%"),
        ("%TAG !a! tag:x,2000:\n---\n", 1, "%TAG"),
        ("\n%TAG !a! tag:x,2000:\n---\n", 2, "%TAG"),
        ("archiveDataReferences: [{id: a:b}, {id: c:}]\n", 1, "ends with a colon"),
    ],
)
def test_broken_yaml_is_one_mistake_in_our_words(body: str, line: int, words: str) -> None:
    path, found_line, text = mistakes(body)[-1]
    assert path == ""
    assert words in text
    assert found_line == line


def test_half_a_character_in_a_tag_is_a_mistake() -> None:
    assert "tag" in only("message: !<%ED%A0%80> x\n")[2]


def test_mistakes_before_broken_yaml_are_reported_too() -> None:
    assert [path for path, _, _ in mistakes("colour: red\nmessage: 'M\n")] == ["colour", ""]


@pytest.mark.parametrize("broken", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf5\x80\x80\x80"])
def test_what_is_not_utf_8_is_refused_with_its_line(broken: bytes) -> None:
    assert only(b"message: M\ntopic: " + broken + b"\n") == ("", 2, "is not UTF-8; save it in that encoding")


def test_raw_control_characters_are_refused_with_their_line() -> None:
    assert only("message: M\ntopic: a\x07b\n") == (
        "",
        2,
        "contains the character U+0007, which YAML does not allow; leave it out",
    )


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le", "utf-32", "utf-32-be"])
def test_other_encodings_are_refused(encoding: str) -> None:
    path, line, text = only(("\ufeff" * encoding.endswith("e") + HEAD + "- id: a\n").encode(encoding))
    assert (path, line) == ("", 1)
    assert "UTF-8" in text


@pytest.mark.parametrize("line_break", ["\x85", "\u2028", "\u2029"])
def test_line_breaks_that_readers_disagree_on_are_refused(line_break: str) -> None:
    path, line, text = only(f"{HEAD}- id: a{line_break} b\n")
    assert (path, line) == ("", 4)
    assert f"U+{ord(line_break):04X}" in text


def test_at_most_twenty_mistakes_are_listed_and_then_a_note() -> None:
    parsed = parse(HEAD + "- id: ''\n" * 100)
    assert [mistake.path for mistake in parsed.mistakes[:20]] == [f"archiveDataReferences[{n}].id" for n in range(20)]
    assert parsed.mistakes[20:] == (MORE,)


def test_twenty_mistakes_need_no_note() -> None:
    assert len(parse(HEAD + "- id: ''\n" * 20).mistakes) == 20
    assert len(parse(HEAD + "- id: a\n" * 21).mistakes) == 20
    assert parse(HEAD + "- id: a\n" * 22).mistakes[20:] == (MORE,)


def test_mistakes_of_the_configuration_join_the_list() -> None:
    several = parse(HEAD + "- id: ''\n" * 30).mistakes
    joined = listed([*several, Mistake("topic", 2, "is not the configured one")])
    assert joined[0].path == "topic"
    assert len(joined) == 21
    assert joined[-1] == MORE


def test_values_in_messages_are_short_and_harmless() -> None:
    _, _, text = only(f'{HEAD}- id: "\\e[31m{"x" * 600}"\n')
    assert len(text) < 200
    assert text.isprintable()
    path, _, _ = mistakes('"\\e[31m' + "k" * 300 + '": x\n')[0]
    assert len(path) < 100
    assert path.isprintable()


@pytest.mark.parametrize(
    ("begin", "path"),
    [
        (b"", ""),
        (b"message: ", ""),
        (b"message: M\ntopic: t\narchiveDataReferences:\n- id: a\n- id: ", "archiveDataReferences[1]"),
        (b"message: M\ntopic: t\narchiveDataReferences:\n- id: a\n#", "archiveDataReferences[0]"),
        (b"message: M\ntopic: t\narchiveDataReferences:\n- &", "archiveDataReferences[0]"),
    ],
)
def test_what_leads_nowhere_for_long_ends_the_reading(begin: bytes, path: str) -> None:
    (mistake,) = parse_submission(begin + b"a" * (MAX_STRETCH + 100_000), 10).mistakes
    assert (mistake.path, mistake.line) == (path, None)
    assert mistake.message == "is more than 4194304 bytes long, comments included; leave them out"


def test_long_comments_between_references_are_fine() -> None:
    body = b"message: M\ntopic: t\narchiveDataReferences:\n" + (b"#" * (MAX_STRETCH // 2) + b"\n- id: %d\n") * 3
    assert not parse_submission(body % (1, 2, 3), 10).mistakes
