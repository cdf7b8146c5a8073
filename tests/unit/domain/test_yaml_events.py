"""The parser in Python gives libyaml's events, and reads colons and question marks in plain values within brackets."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from _ruamel_yaml import CParser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent, MappingStartEvent, ScalarEvent, SequenceStartEvent, StreamEndEvent

from app.domain.yaml_events import MOST_BYTES, python_events, refused_by_libyaml_alone

many = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

PARTS = [
    *"{}[],\"'#|>&!\t?\\é\na1-:",
    "id",
    ": ",
    "- ",
    "  ",
    "\n  ",
    "a:b",
    "x?y",
    "{id: ",
    "}, ",
    "\\ud83d",
    "---",
    "~",
]


def shape(advance: Callable[[], Any]) -> list[tuple[Any, ...]]:
    """What a reader of a submission looks at. The names of anchors and the lines of empty values are of no use."""
    found: list[tuple[Any, ...]] = []
    while type(event := advance()) is not StreamEndEvent:
        value, line = getattr(event, "value", None), event.start_mark.line
        found.append(
            (
                type(event),
                None if type(event) is AliasEvent else value,
                getattr(event, "style", None) or None,
                getattr(event, "anchor", None) is not None,
                str(getattr(event, "ctag", None)),
                line if value or type(event) in (MappingStartEvent, SequenceStartEvent) else None,
            )
        )
    return found


def libyaml(text: str) -> list[tuple[Any, ...]] | YAMLError:
    try:
        return shape(CParser(text.encode()).get_event)
    except YAMLError as error:
        return error


def python(text: str) -> list[tuple[Any, ...]] | None:
    try:
        return shape(python_events(text.encode()))
    except YAMLError:
        return None


def values(text: str) -> list[str]:
    return [event[1] for event in python(text) or () if event[0] is ScalarEvent]


@pytest.mark.parametrize(
    "text",
    [
        "message: M\ntopic: t\narchiveDataReferences:\n  - id: DOC-1\n    version: 1\n  - {id: a, version: 2} # x\n",
        '{"message": "M", "archiveDataReferences": [{"id": "a", "version": 1}, {"id":b}]}',
        "%YAML 1.2\n---\na: &x !t b\nc: *x\n...\n",
        "a: |\n  b\n\n  c\nd: >-\n  e\n  f\n",
        "a: b\n  c\nd: 'e''f'\ng: \"h\\\n  i\\x41\\u00e9\"\n",
        "a:\r\n- b\r\n-   c: d\r\n    e: ~\r\n",
        "[a, [b, {c: d}], {e, f: }, 'g': h]",
        "- a:b\n- c?d\n- http://x/y#z # w\n",
    ],
)
def test_what_both_read_has_the_same_events(text: str) -> None:
    assert libyaml(text) == python(text)


@many
@given(st.sampled_from(["", "a: [{id: ", "- ", "a: "]), st.lists(st.sampled_from(PARTS), max_size=14))
def test_any_text_that_both_read_has_the_same_events(start: str, parts: list[str]) -> None:
    text = "root:\n  " + start + "".join(parts)
    slow, fast = python(text), libyaml(text)
    if slow is not None and not isinstance(fast, YAMLError) and "&" not in text:
        assert slow == fast


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("[{id: urn:a:b}]", ["id", "urn:a:b"]),
        ("[{id: http://x/y?z#w}]", ["id", "http://x/y?z#w"]),
        ("[{id: a?b}]", ["id", "a?b"]),
        ("[{id: :x}]", ["id", ":x"]),
        ("[{id: a:b c, v: 1}]", ["id", "a:b c", "v", "1"]),
        ("{id:A}", ["id:A", ""]),
    ],
)
def test_colons_and_question_marks_in_plain_values_within_brackets_are_read(text: str, read: list[str]) -> None:
    error = libyaml(text)
    assert isinstance(error, YAMLError)
    assert refused_by_libyaml_alone(error, len(text))
    assert values(text) == read
    assert not refused_by_libyaml_alone(error, MOST_BYTES + 1)


@many
@given(st.lists(st.text("ab:#-/ ", min_size=1, max_size=8), min_size=1, max_size=4))
def test_another_reader_reads_the_same_values_within_brackets(plain: list[str]) -> None:
    text = "[a:b, " + ", ".join(plain) + "]"
    try:
        read = flat(yaml.load(text, yaml.BaseLoader))
    except yaml.YAMLError:  # it takes no colon at the beginning
        return
    assert python(text) is None or values(text) == read


def flat(value: Any) -> list[str]:
    if isinstance(value, list):
        return [each for item in value for each in flat(item)]
    if isinstance(value, dict):
        return [each for item in value.items() for each in flat(list(item))]
    return [value]


@pytest.mark.parametrize(
    "text",
    ["[{id: A:}]", "[a:,b]", "{id: :}", '["\\ud83d", a:b]', '["\\U00110000", a:b]', "[a:b"],
)
def test_what_readers_do_not_agree_on_is_an_error(text: str) -> None:
    with pytest.raises(YAMLError):
        shape(python_events(text.encode()))


@pytest.mark.parametrize("text", ["a: b: c", '"a', "a: @b", "\ta: b", "- a\nb"])
def test_other_errors_of_libyaml_are_errors(text: str) -> None:
    error = libyaml(text)
    assert isinstance(error, YAMLError)
    assert not refused_by_libyaml_alone(error, len(text))
