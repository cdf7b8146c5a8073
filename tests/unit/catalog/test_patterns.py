"""Patterns are those of ECMA-262, whichever engine runs them."""

from typing import Any

import pytest

from app.catalog.json_schema import compile_json_schema
from app.catalog.patterns import WrongPattern, check_pattern
from tests.unit.catalog.test_schema_cost import BASE, nothing

ANY = [
    (r"^\p{L}[\p{L} .-]*$", "Ä b", "1"),
    (r"^\p{Script=Greek}+$", "αβ", "ab"),
    (r"^(?<year>[0-9]{4})$", "2024", "x"),
    (r"^(?<$year>[0-9]{4})$", "2024", "x"),
    (r"^\u{1F600}$", "\U0001f600", "x"),
    (r"^\ud83d\ude00$", "\U0001f600", "x"),
    (r"^[\ud83d\ude00-\ud83d\ude4f]$", "\U0001f601", "a"),
    (r"^\cM$", "\r", "M"),
    (r"^[^]*$", "\nx", None),
    (r"[]", None, "a"),
    (r"^.{0,10000}$", "a" * 10_000, "a" * 10_001),
    (r"^\d$", "1", "١"),
    (r"^\D$", "١", "1"),
    (r"^\w$", "a", "é"),
    (r"^\W$", "é", "a"),
    (r"^[\d-]$", "-", "١"),
    (r"^[\w-]$", "-", "é"),
    (r"^[\w-z]$", "-", "é"),
    (r"^[^\W]$", "a", "é"),
    (r"^[\D]$", "١", "1"),
    (r"^[\s]$", "\ufeff", "\x85"),
    (r"^\s$", "\u2003", "\u180e"),
    (r"^\S$", "\x85", "\ufeff"),
    (r"\bfoo\b", "éfooé", "xfoo"),
    (r"\Bfoo", "xfoo", "éfoo"),
    (r"^a$", "a", "a\n"),
    (r"^.$", "\x85", "\u2028"),
    (r"^.$", "\U0001f600", "\r"),
    (r"^\/\-\_\<\>\#\&$", "/-_<>#&", "x"),
    (r"^\0\x41\u0041$", "\0AA", "x"),
    (r"^[a&&b]$", "&", "c"),
    (r"^[[a]$", "[", "]"),
    (r"^[~~]$", "~", "a"),
    (r"^[\b]$", "\b", "b"),
    (r"^[^\]\\^]$", "a", "^"),
    (r"^[\p{Lu}\d]$", "Ä", "١"),
    (r"^{id}$", "{id}", "id"),
    (r"^a{,5}$", "a{,5}", "aaa"),
    (r"^\v\f\n\r\t$", "\v\f\n\r\t", "x"),
    (r"^[\ud83dy]$", "y", "z"),
    (r"^a]b}$", "a]b}", "ab"),
    (r"^[!-/:-@[-`{-~]+$", "[", "a"),
    (r"^\$\{[^}]+\}$", "${a}", "$a"),
    (r"(?i:a)", "A", "b"),
    (r"^(?!0000)\d{4}$", "1234", "١٢٣٤"),
    (r"^(?!0000)\d{4}$", "1234", "0000"),
    (r"^(?<n>a|b)\k<n>$", "aa", "ab"),
    (r"^(x)(?<n>a|b)\k<n>\1$", "xaax", "xabx"),
    (r"^(?=.*\d)(?=.*[a-z]).{8,}$", "abcdefg1", "abcdefg١"),
    (r"(?<!a|bc)d", "xd", "bcd"),
    (r"^(['\"])?[a-z]+\1$", "foo", "'foo"),
    (r"^(['\"])?[a-z]+\1$", "'foo'", "'foo\""),
    (r"^(?:(?<k>x)|y)(z)\k<k>\2$", "yzz", "xzz"),
    (r"^(?:(?<k>x)|y)(z)\k<k>\2$", "xzxz", "xzyz"),
    (r"^\1(a)$", "a", "aa"),
    (r"^(?<\u0061b>x)\k<ab>$", "xx", "xy"),
    (r"^([a-z])([0-9])(?:\1|\2)$", "a1a", "a1b"),
    (r"(?<!(a\b-|b))c", "xc", "a-c"),
    (r"^(?:(?=a))*a(?:)*(?:(?!b))?$", "a", "b"),
    (r"^[\ud800-\udfff]$", None, "-"),
    (r"^[^\ud800-\udfff]$", "-", None),
    (r"^[\0-\ud800\udc00-\uffff]$", "\uffff", "\U0001f600"),
    (r"^[\u0000-\udbff]$", "\ud7ff", "\ue000"),
    (r"^(?:[\ud800-\udbff][\udc00-\udfff]|-)$", "-", "--"),
]


def problem(schema: Any, document: str) -> str | None:
    return compile_json_schema(schema, BASE, nothing)(document.encode())


def quoted(text: str) -> str:
    return (
        '"'
        + "".join(each if each.isalnum() else "".join(f"\\u{unit:04x}" for unit in _units(each)) for each in text)
        + '"'
    )


def _units(char: str) -> list[int]:
    data = char.encode("utf-16-be")
    return [int.from_bytes(data[place : place + 2], "big") for place in range(0, len(data), 2)]


@pytest.mark.parametrize("ahead", ["", "(?!q)"], ids=["linear", "goes back"])
@pytest.mark.parametrize(("pattern", "good", "bad"), ANY)
def test_a_pattern_means_what_ecma_262_says(pattern: str, good: str | None, bad: str | None, ahead: str) -> None:
    pattern = f"^{ahead}{pattern[1:]}" if pattern.startswith("^") else f"{ahead}{pattern}"
    for schema in ({"pattern": pattern}, {"$defs": {"p": {"pattern": pattern}}, "$ref": "#/$defs/p"}):
        check = compile_json_schema(schema, BASE, nothing)
        assert good is None or check(quoted(good).encode()) is None
        assert bad is None or check(quoted(bad).encode()) == f"$: must match the pattern {pattern[:200]}"
    names = {"patternProperties": {pattern: {"type": "null"}}, "additionalProperties": {"type": "integer"}}
    check = compile_json_schema(names, BASE, nothing)
    assert good is None or check(f"{{{quoted(good)}:1}}".encode()) == "$.*: must be null"
    assert bad is None or check(f"{{{quoted(bad)}:1}}".encode()) is None


@pytest.mark.parametrize("pattern", [r"\Aa\z", "(?i)a", "(?P<n>a)", r"^[\w.\-]+$", r"^[+-]?\d+$", "^a++$"])
def test_what_was_accepted_before_still_is(pattern: str) -> None:
    check_pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        "[a",
        r"\u{110000}",
        "[z-a]",
        r"\p{Nope}",
        "x{2,1}",
        r"\k<none>(?<n>a)",
        r"(a)\2",
        r"(a)\1\2",
        r"(a)\1\3",
        r"[\udfff-\ud800]",
        "(?<n>a",
        "*",
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(WrongPattern, match="is not a pattern of ECMA-262"):
        check_pattern(pattern)


def test_a_pattern_that_is_too_large_is_not_called_invalid() -> None:
    with pytest.raises(ValueError, match=r"\$\.items\.pattern: the pattern \^\.\{0,100000\}\$ is valid, but too large"):
        compile_json_schema({"items": {"pattern": "^.{0,100000}$"}}, BASE, nothing)


def test_only_patterns_are_translated() -> None:
    schema = {
        "const": {"pattern": r"\d", "patternProperties": {r"\d": r"\w"}},
        "properties": {"pattern": {"const": r"\d"}, "patternProperties": {"properties": {r"\d": {"const": 1}}}},
    }
    document = r'{"pattern":"\\d","patternProperties":{"\\d":"\\w"}}'
    assert problem({"const": schema["const"]}, document) is None
    assert problem({"properties": schema["properties"]}, r'{"pattern":"\\d","patternProperties":{"\\d":1}}') is None
    assert problem({"properties": schema["properties"]}, r'{"patternProperties":{"\\d":2}}') is not None
