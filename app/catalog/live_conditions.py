"""Reads the conditions of a live archive type: which of its messages are archived."""

from collections.abc import Callable, Mapping
from typing import Any

from app.catalog.entry import FileEntry
from app.catalog.patterns import WrongPattern, check_pattern, whole_text_matcher
from app.catalog.plain_yaml import NotPlainYaml, plain_scalar
from app.catalog.python_functions import python_function
from app.domain.live_rules import Exists, Matches, MessageCondition, OneOf, PythonFunction, Scalar

Test = OneOf | Exists | Matches


def read_conditions(entry: FileEntry, value: Any) -> tuple[MessageCondition, ...] | PythonFunction:
    """All conditions, as far as they could be read."""
    if isinstance(value, Mapping) and "python" in value:
        entry.check_keys("condition", value, ("python",))
        return python_function(entry, "condition.python", value["python"]) or ()
    if not isinstance(value, list) or not value:
        entry.mistake("condition", f"must be a list of {{path, {' | '.join(TESTS)}}}, or {{python}}")
        return ()
    found = [_condition(entry, f"condition[{index}]", each) for index, each in enumerate(value)]
    return tuple(each for each in found if each is not None)


def _condition(entry: FileEntry, key: str, value: Any) -> MessageCondition | None:
    if not isinstance(value, Mapping):
        entry.mistake(key, f"must be {{path, {' | '.join(TESTS)}}}")
        return None
    entry.check_keys(key, value, ("path", *TESTS))
    named = [name for name in TESTS if name in value]
    path = entry.path(f"{key}.path", value.get("path"), single=named != ["exists"])
    if len(named) != 1:
        entry.mistake(key, f"must have one of {', '.join(TESTS)}" + (f", not {len(named)}" if named else ""))
        return None
    test = TESTS[named[0]](entry, f"{key}.{named[0]}", value[named[0]])
    return None if path is None or test is None else MessageCondition(path, test)


def _equals(entry: FileEntry, key: str, value: Any) -> Test | None:
    found = _scalar(entry, key, value)
    return None if found is None else OneOf((found,))


def _not_equals(entry: FileEntry, key: str, value: Any) -> Test | None:
    found = _scalar(entry, key, value)
    return None if found is None else OneOf((found,), negated=True)


def _in(entry: FileEntry, key: str, value: Any) -> Test | None:
    if not isinstance(value, list) or not value:
        entry.mistake(key, "must be a list of values")
        return None
    found = [_scalar(entry, f"{key}[{index}]", each) for index, each in enumerate(value)]
    return OneOf(tuple(each for each in found if each is not None))


def _exists(entry: FileEntry, key: str, value: Any) -> Test | None:
    if not isinstance(value, bool):
        entry.mistake(key, "must be true or false")
        return None
    return Exists(value)


def _matches(entry: FileEntry, key: str, value: Any) -> Test | None:
    if not isinstance(value, str):
        entry.mistake(key, "must be a pattern in quotes")
        return None
    try:
        check_pattern(value)
        return Matches(str(value), whole_text_matcher(value))
    except WrongPattern as error:
        entry.mistake(key, str(error))
    return None


TESTS: Mapping[str, Callable[[FileEntry, str, Any], Test | None]] = {
    "equals": _equals,
    "notEquals": _not_equals,
    "in": _in,
    "exists": _exists,
    "matches": _matches,
}


def _scalar(entry: FileEntry, key: str, value: Any) -> Scalar | None:
    try:
        found = plain_scalar(value)
    except NotPlainYaml as error:
        entry.mistake(key, error.problem)
        return None
    if found is None:
        entry.mistake(key, "null is a value that is not there; write exists: false, or exists: true")
    return found
