"""The keys that make an archive type live: what they mean, and every mistake in them with file, entry and key."""

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.catalog.archive_types import CatalogError, load_archive_types
from app.catalog.live_payloads import PayloadMistake
from app.domain.archive_types import SchemaName
from app.domain.live_rules import (
    Exists,
    Items,
    LiveRule,
    Matches,
    Members,
    MessageCondition,
    NewDocument,
    OneOf,
    PayloadRule,
    PythonFunction,
    ReferencePaths,
)
from app.domain.paths import parse_path
from tests.unit.catalog import python_rules

MODULE = python_rules.__name__
URI = "uri: 'https://x.example/{id}'"
VERSIONED = "uri: 'https://x.example/{id}?version={version}'"
REFERENCE = "reference: {id: references.decree.id}"
SCHEMA = "system: S, schema: T, schemaVersion: 2"
PAYLOAD = f"payload: {{{SCHEMA}}}"


def live(tmp_path: Path, *keys: str, check: PayloadMistake | None = None) -> LiveRule | None:
    file = tmp_path / "types.yml"
    file.write_text("archiveTypes:\n  - messageType: M\n    topic: t\n" + "".join(f"    {key}\n" for key in keys))
    (found,) = load_archive_types(file, (), False, check).configurations
    assert found.is_live is (found.live is not None)
    return found.live


def mistakes(tmp_path: Path, *keys: str, check: PayloadMistake | None = None) -> list[str]:
    with pytest.raises(CatalogError) as caught:
        live(tmp_path, *keys, check=check)
    beginning = "types.yml line 2: archiveTypes[0] (M): "
    assert all(each.startswith(beginning) for each in caught.value.mistakes)
    return [each.removeprefix(beginning) for each in caught.value.mistakes]


def test_a_source_and_a_reference_make_an_archive_type_live(tmp_path: Path) -> None:
    rule = live(tmp_path, URI, REFERENCE)
    assert rule == LiveRule(ReferencePaths(parse_path("references.decree.id")))
    assert rule is not None
    assert rule.process_id == parse_path("processId")
    assert rule.announce is True
    assert rule.payload is None


def test_a_source_without_a_reference_is_for_backfill_only(tmp_path: Path) -> None:
    assert live(tmp_path, URI) is None


def test_a_payload_and_a_reference_make_an_archive_type_live(tmp_path: Path) -> None:
    rule = live(tmp_path, PAYLOAD, "reference: {id: payload.id, version: payload.version}")
    assert rule == LiveRule(
        ReferencePaths(parse_path("payload.id"), parse_path("payload.version")),
        PayloadRule(None, "S", "T", 2, "application/json"),
    )


def test_all_keys_together(tmp_path: Path) -> None:
    rule = live(
        tmp_path,
        VERSIONED,
        "reference: {id: references.decree.id, version: references.decree.version}",
        "condition:",
        "  - {path: payload.kind, equals: final}",
        "  - {path: payload.kind, notEquals: 1.5}",
        "  - {path: payload.kind, in: [a, 1, true]}",
        "  - {path: 'payload.all[*].id', exists: true}",
        "  - {path: payload.kind, matches: 'DOC-[0-9]+'}",
        "processId: payload.process.id",
        "announce: false",
    )
    assert rule is not None
    assert rule.process_id == parse_path("payload.process.id")
    assert rule.announce is False
    kind = parse_path("payload.kind")
    assert isinstance(rule.conditions, tuple)
    assert rule.conditions[:4] == (
        MessageCondition(kind, OneOf(("final",))),
        MessageCondition(kind, OneOf((1.5,), negated=True)),
        MessageCondition(kind, OneOf(("a", 1, True))),
        MessageCondition(parse_path("payload.all[*].id"), Exists(True)),
    )
    last = rule.conditions[4].test
    assert isinstance(last, Matches)
    assert last.pattern == "DOC-[0-9]+"
    assert last.matches("DOC-1")
    assert not last.matches("a DOC-1")


def test_numbers_have_all_digits_that_are_written(tmp_path: Path) -> None:
    numbers = "[1.10, 12345678901234567890.125, 1e400, -0.1, 1_0.5, 123456789012345678901]"
    rule = live(
        tmp_path,
        REFERENCE,
        f"payload: {{{SCHEMA}, document: {numbers}}}",
        "condition: [{path: a, equals: 0.12345678901234567890}]",
    )
    assert rule is not None
    assert rule.payload is not None
    large, far = Decimal("12345678901234567890.125"), Decimal("1e400")
    assert rule.payload.data == NewDocument(Items((1.1, large, far, -0.1, 10.5, 123456789012345678901)))
    assert rule.conditions == (MessageCondition(parse_path("a"), OneOf((Decimal("0.1234567890123456789"),))),)


def test_numbers_in_json_too(tmp_path: Path) -> None:
    file = tmp_path / "types.json"
    document = '{"a": 12345678901234567890.125, "b": 0.5}'
    file.write_text(
        '{"archiveTypes": [{"messageType": "M", "topic": "t", "reference": {"id": "id"}, "payload": '
        f'{{"system": "S", "schema": "T", "schemaVersion": 2, "document": {document}}}}}]}}'
    )
    (found,) = load_archive_types(file, (), False).configurations
    assert found.live is not None
    assert found.live.payload is not None
    members = ("a", Decimal("12345678901234567890.125")), ("b", 0.5)
    assert found.live.payload.data == NewDocument(Members(members))


def test_a_document_is_a_template_of_paths_and_values(tmp_path: Path) -> None:
    document = (
        "{id: $.references.decree.id, 'a.b': '$.[\"c.d\"].e', list: [1, two, null, true, $.x], plain: '$', price: $9}"
    )
    rule = live(tmp_path, f"payload: {{{SCHEMA}, document: {document}}}", REFERENCE)
    assert rule is not None
    assert rule.payload is not None
    assert rule.payload.data == NewDocument(
        Members(
            (
                ("id", parse_path("references.decree.id")),
                ("a.b", parse_path('["c.d"].e')),
                ("list", Items((1, "two", None, True, parse_path("x")))),
                ("plain", "$"),
                ("price", "$9"),
            )
        )
    )


def test_functions_are_found_when_the_file_is_read(tmp_path: Path) -> None:
    def python(name: str) -> str:
        return f"{{python: '{MODULE}:{name}'}}"

    rule = live(
        tmp_path,
        f"reference: {python('takes_the_message')}",
        f"condition: {python('Rules.keep')}",
        f"processId: {python('takes_the_message')}",
        f"payload: {python('takes_the_message')}",
    )
    function = PythonFunction(f"{MODULE}:takes_the_message", python_rules.takes_the_message)
    assert rule == LiveRule(
        function,
        PayloadRule(function, None, None, None),
        PythonFunction(f"{MODULE}:Rules.keep", python_rules.Rules.keep),
        function,
    )


def test_the_file_may_say_what_the_data_of_a_function_is(tmp_path: Path) -> None:
    rule = live(
        tmp_path,
        f"payload: {{python: '{MODULE}:takes_the_message', {SCHEMA}, contentType: text/plain}}",
        REFERENCE,
    )
    assert rule is not None
    assert rule.payload is not None
    assert (rule.payload.system, rule.payload.content_type) == ("S", "text/plain")


def test_a_function_is_not_imported_again_with_the_next_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rules_of_a_test.py").write_text("def reference(message): return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    keys = (URI, "reference: {python: 'rules_of_a_test:reference'}")
    first = live(tmp_path, *keys)
    (tmp_path / "rules_of_a_test.py").write_text("def other(message): return 1\n")
    assert live(tmp_path, *keys) == first
    monkeypatch.delitem(sys.modules, "rules_of_a_test")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing", "must be package.module:function"),
        ("a:b:c", "must be package.module:function"),
        ("no_such_package.rules:f", "no_such_package.rules cannot be imported: ModuleNotFoundError: No module named"),
        (f"{MODULE}:nothing", f"nothing of {MODULE} is not there"),
        (f"{MODULE}:NUMBER", f"NUMBER of {MODULE} is no function"),
        (f"{MODULE}:waits", "must be a plain function, neither async nor a generator"),
        (f"{MODULE}:many", "must be a plain function, neither async nor a generator"),
        (f"{MODULE}:takes_two", "must take one argument, the message"),
    ],
)
def test_a_function_that_cannot_be_used_is_named(tmp_path: Path, name: str, said: str) -> None:
    (found,) = mistakes(tmp_path, URI, f"reference: {{python: '{name}'}}")
    assert found.startswith("reference.python: ")
    assert said in found


@pytest.mark.parametrize("text", ["raise SystemExit", "1 / 0", "def f(:"])
def test_a_module_that_ends_with_an_error_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "broken_rules.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    (found,) = mistakes(tmp_path, URI, "reference: {python: 'broken_rules:f'}")
    assert found.startswith("reference.python: broken_rules cannot be imported: ")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ([URI, PAYLOAD, REFERENCE], "payload: uri is given too"),
        ([PAYLOAD], "reference: missing"),
        ([URI, "announce: false"], "announce: is for messages that are archived as they come"),
        ([URI, "processId: a"], "processId: is for messages that are archived as they come"),
        ([URI, "condition: [{path: a, exists: true}]"], "condition: is for messages that are archived as they come"),
        ([VERSIONED, REFERENCE], "reference.version: missing: uri has {version}"),
        ([URI, "reference: {id: a, version: b}"], "reference.version: uri has no {version}"),
        ([URI, "reference: references.id"], "reference: must have id"),
        ([URI, "reference: {version: a}"], "reference.id: missing"),
        ([URI, "reference: {id: a..b}"], "reference.id: must look like customer.id"),
        ([URI, "reference: {id: 7}"], "reference.id: must be text, for example customer.id"),
        ([URI, "reference: {id: 'a[*].b'}"], "reference.id: [*] makes a list; one value is needed here"),
        ([URI, "reference: {id: a, idd: b}"], "reference.idd: unknown key, did you mean id?"),
        ([URI, f"reference: {{python: '{MODULE}:takes_the_message', id: a}}"], "reference.id: unknown key"),
        ([URI, REFERENCE, "announce: 'no'"], "announce: must be true or false"),
        ([URI, REFERENCE, "processId: 'a[*]'"], "processId: [*] makes a list"),
        ([URI, REFERENCE, "processId: {path: a}"], "processId.path: unknown key"),
        ([URI, REFERENCE, "processID: a"], "processID: unknown key, did you mean processId?"),
        (["reference: {id: a}"], "uri: neither uri nor payload is given"),
    ],
)
def test_keys_that_contradict_each_other_or_are_wrong(tmp_path: Path, keys: list[str], said: str) -> None:
    found = mistakes(tmp_path, *keys)
    assert any(each.startswith(said) for each in found), found


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("{path: a, value: b}", "condition: must be a list of {path, equals | notEquals | in | exists | matches}"),
        ("[]", "condition: must be a list of"),
        ("[7]", "condition[0]: must be {path,"),
        ("[{path: a}]", "condition[0]: must have one of equals, notEquals, in, exists, matches"),
        (
            "[{path: a, equals: 1, in: [2]}]",
            "condition[0]: must have one of equals, notEquals, in, exists, matches, not 2",
        ),
        ("[{equals: 1}]", "condition[0].path: missing"),
        ("[{path: a, equal: 1}]", "condition[0].equal: unknown key, did you mean equals?"),
        ("[{path: a, equals: null}]", "condition[0].equals: null is a value that is not there; write exists: false"),
        ("[{path: a, notEquals: }]", "condition[0].notEquals: null is a value that is not there"),
        ("[{path: a, equals: 2024-01-01}]", "condition[0].equals: is no JSON value; it must be text (dates in quotes)"),
        ("[{path: a, equals: [1]}]", "condition[0].equals: is a list"),
        ("[{path: a, equals: {b: 1}}]", "condition[0].equals: is an object"),
        ("[{path: a, equals: .nan}]", "condition[0].equals: is no JSON value"),
        ("[{path: a, in: 7}]", "condition[0].in: must be a list of values"),
        ("[{path: a, in: []}]", "condition[0].in: must be a list of values"),
        ("[{path: a, in: [1, null]}]", "condition[0].in[1]: null is a value that is not there"),
        ("[{path: 'a[*]', in: [1]}]", "condition[0].path: [*] makes a list"),
        ("[{path: a, exists: 'no'}]", "condition[0].exists: must be true or false"),
        ("[{path: a, matches: 7}]", "condition[0].matches: must be a pattern in quotes"),
        ("[{path: a, matches: 'a)(b'}]", "condition[0].matches: a)(b is not a pattern of ECMA-262"),
        (
            "[{path: a, matches: '(?:.{1000}){1000}'}]",
            "condition[0].matches: the pattern (?:.{1000}){1000} is valid, but",
        ),
        (f"{{python: '{MODULE}:nothing'}}", "condition.python: nothing of"),
    ],
)
def test_conditions_that_cannot_be_read(tmp_path: Path, condition: str, said: str) -> None:
    found = mistakes(tmp_path, URI, REFERENCE, f"condition: {condition}")
    assert any(each.startswith(said) for each in found), found


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ("7", "payload: must have path, document, python, system, schema, schemaVersion, contentType"),
        ("{schema: T, schemaVersion: 1}", "payload.system: missing"),
        ("{system: S, schemaVersion: 1}", "payload.schema: missing"),
        ("{system: S, schema: T}", "payload.schemaVersion: missing"),
        ("{system: S, schema: T, schemaVersion: '1'}", "payload.schemaVersion: must be a whole number from 1"),
        ("{system: S, schema: T, schemaVersion: 0}", "payload.schemaVersion: must be a whole number from 1"),
        (f"{{{SCHEMA}, path: a, document: {{}}}}", "payload.document: path is given too: the data is one of them"),
        (f"{{{SCHEMA}, path: a, python: x}}", "payload.python: path is given too"),
        (f"{{{SCHEMA}, path: null}}", "payload.path: missing"),
        (f"{{{SCHEMA}, path: 'a['}}", "payload.path: must look like"),
        (f"{{{SCHEMA}, contentType: json}}", "payload.contentType: must be a content type like application/json"),
        (f"{{{SCHEMA}, contenttype: a/b}}", "payload.contenttype: unknown key, did you mean contentType?"),
        (
            f"{{{SCHEMA}, document: {{a: [$.b, $.]}}}}",
            "payload.document.a[1]: begins with $., but what follows is no path",
        ),
        (f"{{{SCHEMA}, document: {{a: $..b}}}}", "payload.document.a: begins with $., but what follows is no path"),
        (f"{{{SCHEMA}, document: {{1: a}}}}", "payload.document: has a key that is not text"),
        (f"{{{SCHEMA}, document: [2024-01-01]}}", "payload.document[0]: is no JSON value"),
        (
            f"{{{SCHEMA}, document: {'[' * 60}{']' * 60}}}",
            f"payload.document{'[0]' * 50}: is nested deeper than 50 levels",
        ),
        (f"{{python: '{MODULE}:nothing'}}", "payload.python: nothing of"),
    ],
)
def test_payloads_that_cannot_be_read(tmp_path: Path, payload: str, said: str) -> None:
    found = mistakes(tmp_path, REFERENCE, f"payload: {payload}")
    assert any(each.startswith(said) for each in found), found


def test_all_mistakes_of_an_entry_are_told_at_once(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path,
        "reference: {id: a..b}",
        "payload: {system: S, schema: T}",
        "condition: [{path: a, exists: 1}, {path: b, matches: '('}]",
        "processId: 7",
        "announce: 1",
    )
    assert [each.split(":")[0] for each in found] == [
        "payload.schemaVersion",
        "condition[0].exists",
        "condition[1].matches",
        "processId",
        "announce",
        "reference.id",
    ]


def test_the_schema_of_a_payload_is_compared_with_the_registry(tmp_path: Path) -> None:
    asked: list[Any] = []

    def check(schema: SchemaName, content_type: str) -> str | None:
        asked.append((schema, content_type))
        return "not known"

    keys = [REFERENCE, f"payload: {{{SCHEMA}, contentType: avro/binary}}"]
    assert mistakes(tmp_path, *keys, check=check) == ["payload: not known"]
    assert asked == [(SchemaName("S", "T", 2), "avro/binary")]
    function = f"payload: {{python: '{MODULE}:takes_the_message', system: S, schema: T}}"
    assert live(tmp_path, REFERENCE, function, check=check) is not None  # the function says the version
    assert len(asked) == 1


def test_several_live_configurations_of_a_message_need_ids(tmp_path: Path) -> None:
    entry = f"{{messageType: M, topic: t, {REFERENCE}, {PAYLOAD}"
    file = tmp_path / "types.yml"
    file.write_text(f"archiveTypes: [{entry}, id: a}}, {entry}, id: b}}]")
    assert [each.name for each in load_archive_types(file, (), False).configurations] == ["M/a", "M/b"]
    file.write_text(f"archiveTypes: [{entry}, id: a}}, {entry}}}]")
    with pytest.raises(CatalogError, match="id: missing; M has several configurations"):
        load_archive_types(file, (), False)


@pytest.mark.parametrize("key", ["reference", "payload", "condition", "processId", "announce"])
def test_a_live_key_without_a_value_is_a_mistake_and_not_as_if_it_were_left_out(tmp_path: Path, key: str) -> None:
    others = [each for each in (URI, REFERENCE) if not each.startswith(f"{key}:")]
    for written in (f"{key}:", f"{key}: null", f"{key}: ~"):
        assert mistakes(tmp_path, *others, written) == [f"{key}: has no value; give it one, or leave the key out"]


def test_a_payload_without_a_value_is_named_once_where_there_is_no_source(tmp_path: Path) -> None:
    assert mistakes(tmp_path, REFERENCE, "payload:") == ["payload: has no value; give it one, or leave the key out"]


@pytest.mark.parametrize("value", ["", "null", "~"])
@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ((REFERENCE, f"payload: {{{SCHEMA}, document: VALUE}}"), "payload.document"),
        ((REFERENCE, f"payload: {{{SCHEMA}, contentType: VALUE}}"), "payload.contentType"),
        ((REFERENCE, f"payload: {{python: '{MODULE}:takes_the_message', system: VALUE}}"), "payload.system"),
        ((REFERENCE, f"payload: {{python: '{MODULE}:takes_the_message', schema: VALUE}}"), "payload.schema"),
        (
            (REFERENCE, f"payload: {{python: '{MODULE}:takes_the_message', schemaVersion: VALUE}}"),
            "payload.schemaVersion",
        ),
        ((URI, "reference: {id: a, version: VALUE}"), "reference.version"),
    ],
)
def test_a_key_within_without_a_value_is_a_mistake_too(
    tmp_path: Path, keys: tuple[str, ...], key: str, value: str
) -> None:
    written = [each.replace("VALUE", value) for each in keys]
    assert mistakes(tmp_path, *written) == [f"{key}: has no value; give it one, or leave the key out"]
