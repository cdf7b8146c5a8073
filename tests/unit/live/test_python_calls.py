"""Python functions of live archive types: what they may return, and what becomes of all else."""

import inspect
import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from typing_extensions import override

from app.domain.errors import InvalidMessage
from app.domain.jobs import Reference
from app.live.python_calls import MAX_DEPTH
from tests.unit.live import functions
from tests.unit.live.live_types import MESSAGE, URI, decided, wanted

MODULE = functions.__name__
GIVEN = f"{MODULE}:given"
VERSIONED_URI = "uri: 'https://x.example/{id}?version={version}'"
PYTHON = f"{{python: '{GIVEN}'}}"
SAID = {"system": "S", "schema": "T", "schemaVersion": 1}


class Name(StrEnum):
    ONE = "one"


class Lazy(Mapping[str, Any]):
    """An object that makes its members when they are asked for, and cannot."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    @override
    def __len__(self) -> int:
        return 1

    @override
    def __iter__(self) -> Iterator[str]:
        raise self.error("secret")

    @override
    def __getitem__(self, name: str) -> Any:
        raise self.error("secret")


@pytest.fixture(autouse=True)
def _nothing_returned() -> Iterator[None]:
    yield
    functions.RETURNS.clear()
    functions.SEEN.clear()


def returns(value: Any) -> None:
    functions.RETURNS.append(value)


def reason(*keys: str) -> str:
    with pytest.raises(InvalidMessage) as caught:
        decided(*keys)
    return str(caught.value)


def test_a_function_gets_the_decoded_message() -> None:
    returns(True)
    decided(URI, f"condition: {PYTHON}")
    assert functions.SEEN == [MESSAGE]


def test_what_a_function_does_to_the_message_concerns_nobody_else() -> None:
    before = deepcopy(MESSAGE)
    assert wanted(URI, f"condition: {{python: '{MODULE}:spoils'}}").reference == Reference("D-1")
    assert before == MESSAGE


def test_a_message_that_is_nested_too_deeply_for_a_function_makes_a_dead_letter() -> None:
    deep: Any = []
    for _ in range(MAX_DEPTH):
        deep = [deep]
    with pytest.raises(
        InvalidMessage, match=f"condition.python: {GIVEN} is not called: the message is nested too deep"
    ):
        decided(URI, f"condition: {PYTHON}", message={**MESSAGE, "payload": deep})


@pytest.mark.parametrize("answer", [True, False])
def test_a_condition_is_true_or_false(answer: bool) -> None:
    returns(answer)
    assert (decided(URI, f"condition: {PYTHON}") is not None) is answer


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (None, "nothing"),
        (1, "a whole number"),
        ("true", "text"),
        ([True], "a list"),
        (datetime.now(UTC), "a value of the type datetime"),
    ],
)
def test_a_condition_that_is_neither_makes_a_dead_letter(answer: Any, kind: str) -> None:
    returns(answer)
    assert reason(URI, f"condition: {PYTHON}") == (
        f"M: condition.python: {GIVEN} returned {kind}, it must return true or false"
    )


@pytest.mark.parametrize(
    ("returned", "reference"),
    [
        ("A-1", Reference("A-1")),
        (7, Reference("7")),
        (Name.ONE, Reference("one")),
        ({"id": "A-1"}, Reference("A-1")),
        ({"id": 7, "version": None}, Reference("7")),
    ],
)
def test_a_reference_is_the_id_or_id_and_version(returned: Any, reference: Reference) -> None:
    returns(returned)
    assert wanted(URI, f"reference: {PYTHON}").reference == reference
    returns({"id": "A", "version": 2})
    assert wanted(VERSIONED_URI, f"reference: {PYTHON}").reference == Reference("A", 2)
    assert wanted(f"reference: {PYTHON}").reference == Reference("A", 2)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, ": the id is not there"),
        ("", ": the id is blank"),
        (1.5, ": the id is a number with a fraction, not text or a whole number"),
        (["secret"], ": the id is a list, not text or a whole number"),
        (b"secret", ": the id is a value of the type bytes, not text or a whole number"),
        ({}, " returned an object that does not have id, and version, and nothing else"),
        ({"id": "a", "secret": 1}, " returned an object that does not have id, and version, and nothing else"),
        ({"id": "a", "version": "1"}, ": the version is text, not a whole number"),
        ({"id": "a", "version": 0}, ": the version is not a number from 1 to 2147483647"),
        ({"id": "a", "version": 1}, ": the version is given, but uri has no {version}"),
    ],
)
def test_a_reference_that_cannot_be_used_makes_a_dead_letter(returned: Any, said: str) -> None:
    returns(returned)
    assert reason(URI, f"reference: {PYTHON}") == f"M: reference.python: {GIVEN}{said}"


def test_a_source_with_versions_needs_one() -> None:
    returns("A-1")
    assert reason(VERSIONED_URI, f"reference: {PYTHON}").endswith(f"{GIVEN}: the version is not there")


@pytest.mark.parametrize(("returned", "process"), [("p", "p"), (7, "7"), (None, None), ("", None)])
def test_a_process_is_text_or_not_there(returned: Any, process: str | None) -> None:
    returns(returned)
    assert wanted(URI, f"processId: {PYTHON}").process_id == process


def test_a_process_that_cannot_be_used_makes_a_dead_letter() -> None:
    returns({"secret": 1})
    assert reason(URI, f"processId: {PYTHON}") == (
        f"M: processId.python: the result of {GIVEN} is an object, not text or a whole number"
    )


def test_a_payload_may_be_bytes() -> None:
    for content in (b"a,b\n", bytearray(b"a,b\n"), memoryview(b"a,b\n")):
        returns({"content": content, **SAID, "contentType": "text/csv"})
        found = wanted(f"payload: {PYTHON}").payload
        assert found is not None
        assert (found.content, found.content_type, str(found.schema)) == (b"a,b\n", "text/csv", "S/T version 1")


def test_a_payload_may_be_a_document() -> None:
    document = {"a": (1, 2.5, Decimal("0.10")), "b": [None, True, Name.ONE]}
    returns({"document": document, **SAID})
    found = wanted(f"payload: {PYTHON}").payload
    assert found is not None
    assert found.content == b'{"a":[1,2.5,0.10],"b":[null,true,"one"]}'
    assert found.content_type == "application/json"


def test_what_a_function_says_goes_before_what_the_file_says() -> None:
    file = f"payload: {{python: '{GIVEN}', system: S, schema: T, schemaVersion: 1, contentType: application/a+json}}"
    returns({"document": {}})
    found = wanted(file).payload
    assert found is not None
    assert (str(found.schema), found.content_type) == ("S/T version 1", "application/a+json")
    returns({"document": {}, "system": "X", "schema": "Y", "schemaVersion": 9, "contentType": "application/b+json"})
    found = wanted(file).payload
    assert found is not None
    assert (str(found.schema), found.content_type) == ("X/Y version 9", "application/b+json")


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, " returned nothing, it must return an object with document or content"),
        ("secret", " returned text, it must return an object with document or content"),
        (SAID, " must return one of document and content"),
        ({**SAID, "document": 1, "content": b"a"}, " must return one of document and content"),
        (
            {**SAID, "document": 1, "secret": 1},
            " returned an object with other keys than document, content, system, schema, schemaVersion, contentType",
        ),
        ({"document": 1}, ": system is missing"),
        ({"document": 1, "system": "a secret"}, ": system is not a name"),
        ({"document": 1, "system": "S", "schema": 7}, ": schema is not a name"),
        ({"document": 1, "system": "S", "schema": "T"}, ": schemaVersion is missing"),
        ({**SAID, "document": 1, "schemaVersion": True}, ": schemaVersion is not a whole number from 1"),
        ({**SAID, "document": 1, "contentType": "secret"}, " returned a contentType that is none"),
        ({**SAID, "document": 1, "contentType": "text/csv"}, ": a document is written as application/json or avro/bin"),
        ({**SAID, "document": None}, ": there is no document"),
        ({**SAID, "content": "secret"}, ": content is text, not bytes"),
        ({**SAID, "content": b""}, ": content is empty"),
        (
            {**SAID, "document": {"secret": [datetime.now(UTC)]}},
            " returned a document that has a value of the type datetime at $.*[*], which is no value of JSON",
        ),
        (
            {**SAID, "document": {"a": {1: 2}}},
            " returned a document that has a key that is a whole number, not text, at $.*",
        ),
        (
            {**SAID, "document": {"n": -(10**4_000)}},
            " returned a document that has a whole number of more than 4,000 digits at $.*, which is no Decimal",
        ),
        ({**SAID, "document": [float("nan")]}, " returned a document that has a number that is not finite at $[*]"),
        (
            {**SAID, "document": [Decimal("Infinity")]},
            " returned a document that has a number that is not finite at $[*]",
        ),
        ({**SAID, "document": {1, 2}}, " returned a document that has a value of the type set at $, which is no value"),
        ({**SAID, "document": LOOP}, " returned a document that is nested too deeply"),
    ],
)
def test_a_payload_that_cannot_be_used_makes_a_dead_letter(returned: Any, said: str) -> None:
    returns(returned)
    found = reason(f"payload: {PYTHON}")
    assert found.startswith(f"M: payload.python: {GIVEN}{said}")
    assert "secret" not in found


def test_numbers_and_texts_of_other_classes_are_plain_ones() -> None:
    class Own(float):
        pass

    returns({**SAID, "document": [Own(0.5), Decimal("1.50"), True]})
    found = wanted(f"payload: {PYTHON}").payload
    assert found is not None
    assert json.loads(found.content) == [0.5, 1.5, True]


@pytest.mark.parametrize(
    ("name", "said", "at"),
    [
        ("fails", "raised KeyError", "raise KeyError"),
        ("elsewhere", "raised ValueError", "int(str"),
        ("leaves", "raised SystemExit", "sys.exit"),
    ],
)
@pytest.mark.parametrize("key", ["reference", "payload", "condition", "processId"])
def test_what_a_function_raises_makes_a_dead_letter_without_its_text(key: str, name: str, said: str, at: str) -> None:
    lines = inspect.getsource(functions).splitlines()
    [line] = [number for number, text in enumerate(lines, 1) if at in text]
    found = reason(f"{key}: {{python: '{MODULE}:{name}'}}")
    assert found == f"M: {key}.python: {MODULE}:{name} {said} in line {line}"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, StopIteration])
@pytest.mark.parametrize("key", ["reference", "payload", "condition", "processId"])
def test_what_an_answer_raises_when_it_is_read_makes_a_dead_letter(key: str, error: type[BaseException]) -> None:
    returns(Lazy(error))
    found = reason(f"{key}: {PYTHON}")
    assert found.startswith(f"M: {key}.python: ")
    assert GIVEN in found
    assert "secret" not in found
    if key in ("reference", "payload"):
        assert found.endswith(f"what {GIVEN} returned raised {error.__name__} when it was read")


def test_a_document_that_raises_when_it_is_read_makes_a_dead_letter() -> None:
    returns({**SAID, "document": {"a": [Lazy(KeyboardInterrupt)]}})
    assert reason(f"payload: {PYTHON}").endswith(f"what {GIVEN} returned raised KeyboardInterrupt when it was read")


def test_a_number_beyond_a_double_is_one() -> None:
    returns({**SAID, "document": [Decimal("1e400"), Decimal("-1e-400")]})
    found = wanted(f"payload: {PYTHON}").payload
    assert found is not None
    assert json.loads(found.content, parse_float=Decimal) == [Decimal("1e400"), Decimal("-1e-400")]
