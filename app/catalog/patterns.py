"""Translates patterns of ECMA-262 (Unicode mode) for the engines of jsonschema-rs.

Two engines: a linear one, and one that goes back (look-around, back-references), which takes the digits, letters and
blanks of all scripts for `\\d`, `\\w`, `\\s` and `\\b` where ECMA-262 has those of ASCII.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jsonschema_rs

from app.catalog.pattern_groups import GROUP_START, capturing_groups, group_name, referred_groups

BACKTRACK_LIMIT = 50_000
"""Steps of a pattern with look-around or back-references on one text, about 0.5 ms; more fails the document.

All other patterns run on an engine that is linear in the text and has no such limit.
"""

SIZE_LIMIT = 32 * 1024 * 1024
"""Bytes of one compiled pattern: `^.{0,10000}$` takes some 20 MB."""

LIGHT_SIZE = 500_000
"""Bytes of a compiled pattern up to which a long text is no work: larger ones can take 10 microseconds a character."""

LINEAR = jsonschema_rs.RegexOptions(size_limit=SIZE_LIMIT)
BOUNDED = jsonschema_rs.FancyRegexOptions(backtrack_limit=BACKTRACK_LIMIT, size_limit=SIZE_LIMIT)
LIGHT = jsonschema_rs.RegexOptions(size_limit=LIGHT_SIZE)

Options = jsonschema_rs.RegexOptions | jsonschema_rs.FancyRegexOptions

_BLANKS = "\\x09-\\x0d\\x20\\xa0\\u{1680}\\u{2000}-\\u{200a}\\u{2028}\\u{2029}\\u{202f}\\u{205f}\\u{3000}\\u{feff}"
_NO_BLANKS = (
    "\\x00-\\x08\\x0e-\\x1f\\x21-\\x9f\\xa1-\\u{167f}\\u{1681}-\\u{1fff}\\u{200b}-\\u{2027}\\u{202a}-\\u{202e}"
    "\\u{2030}-\\u{205e}\\u{2060}-\\u{2fff}\\u{3001}-\\u{fefe}\\u{ff00}-\\u{10ffff}"
)
_CLASSES = {
    "d": "0-9",
    "D": "\\x00-/:-\\u{10ffff}",
    "w": "0-9A-Z_a-z",
    "W": "\\x00-/:-@\\x5b-\\x5e`\\x7b-\\u{10ffff}",
    "s": _BLANKS,
    "S": _NO_BLANKS,
}
"""What stands between brackets for each of them, without brackets inside brackets."""

_ANYTHING = "[\\x00-\\u{10ffff}]"
_NOTHING = "[^\\x00-\\u{10ffff}]"
_NO_LINE_END = "[^\\n\\r\\u{2028}\\u{2029}]"
_WORD = f"[{_CLASSES['w']}]"
_EDGE = f"(?:(?<={_WORD})(?!{_WORD})|(?<!{_WORD})(?={_WORD}))"
_NO_EDGE = f"(?:(?<={_WORD})(?={_WORD})|(?<!{_WORD})(?!{_WORD}))"

_QUANTIFIER = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")
_PROPERTY = re.compile(r"\{[^}]*\}")
_REFERENCE = re.compile(r"<([^>]+)>")
_GOES_BACK = re.compile(r"\(\?<?[=!]|\\k<|\\[1-9]")
_META = frozenset("\\^$.|?*+()[]{}")
_CONTROLS = {"f": "\\x0c", "n": "\\n", "r": "\\r", "t": "\\t", "v": "\\x0b"}
_CONTROL_CODES = {"f": 0x0C, "n": 0x0A, "r": 0x0D, "t": 0x09, "v": 0x0B}


class WrongPattern(Exception):
    """The text says what is wrong with the pattern."""


def translated(pattern: str) -> str:
    """The pattern for the engines; a part that is not ECMA-262 stays as it is, and the engine decides."""
    return _Translation(pattern).run()


def check_pattern(pattern: str) -> None:
    """Raises WrongPattern where no engine can run it."""
    engine_pattern = translated(pattern)
    if _compiles(engine_pattern, LINEAR) or _compiles(engine_pattern, BOUNDED):
        return
    short = _Translation(pattern, short=True).run()
    if _compiles(short, LINEAR) or _compiles(short, BOUNDED):
        raise WrongPattern(f"the pattern {pattern[:200]} is valid, but too large: repeat fewer times")
    raise WrongPattern(f"{pattern[:200]} is not a pattern of ECMA-262 that can be run")


def _shortened(found: re.Match[str]) -> str:
    """The same quantifier with at most two repetitions; an invalid one stays invalid."""
    low, high = int(found[1]), int(found[3]) if found[3] else None
    if high is not None and high < low:
        return found[0]
    return f"{{{min(low, 1)}{found[2] or ''}{'' if high is None else min(high, 2)}}}"


def _compiles(pattern: str, options: Options) -> bool:
    try:
        jsonschema_rs.validator_for({"pattern": pattern}, pattern_options=options)
    except ValueError:
        return False
    return True


def whole_text_matcher(pattern: str) -> Callable[[str], bool]:
    """Whether the whole of a text matches a pattern that `check_pattern` accepts.

    The function raises ValueError where the engine gives up. Raises WrongPattern where the pattern is too large.
    """
    whole = translated(f"^(?:{pattern})$")
    options: Options = LINEAR if _compiles(whole, LINEAR) else BOUNDED
    try:
        validator = jsonschema_rs.validator_for({"pattern": whole}, pattern_options=options)
    except ValueError:
        raise WrongPattern(f"the pattern {pattern[:200]} is valid, but too large: repeat fewer times") from None

    def matches(text: str) -> bool:
        try:
            error = next(iter(validator.iter_errors(text)), None)
        except UnicodeEncodeError:  # half a surrogate pair: no pattern means it
            return False
        if error is not None and isinstance(error.kind, jsonschema_rs.ValidationErrorKind.BacktrackLimitExceeded):
            raise ValueError("the pattern takes too many steps on the text")
        return error is None

    return matches


class Matcher:
    """`matches(pattern, text)` with patterns as the engine has them; an engine that gives up counts as a match."""

    def __init__(self) -> None:
        self._known: dict[str, jsonschema_rs.Validator] = {}

    def __call__(self, pattern: str, text: str) -> bool:
        if pattern not in self._known:
            options: Options = LINEAR if _compiles(pattern, LINEAR) else BOUNDED
            self._known[pattern] = jsonschema_rs.validator_for({"pattern": pattern}, pattern_options=options)
        return self._known[pattern].is_valid(text)


class _Translation:
    def __init__(self, pattern: str, *, short: bool = False) -> None:
        self.pattern = pattern
        self.short = short
        self.place = 0
        self.bounded = _GOES_BACK.search(pattern) is not None
        self.groups, self.named = capturing_groups(pattern)
        self.places = {
            number: 2 * place + 1 for place, number in enumerate(sorted(referred_groups(pattern, self.named)))
        }
        self.group = 0

    def run(self) -> str:
        out: list[str] = []
        while self.place < len(self.pattern):
            out.append(self._next())
        return "".join(out)

    def _next(self) -> str:
        char = self.pattern[self.place]
        self.place += 1
        if char == "\\":
            return self._escape()
        if char == "[":
            return self._class()
        if char == ".":
            return _NO_LINE_END
        if char == "(":
            return self._parenthesis()
        if char == "{":
            found = _QUANTIFIER.match(self.pattern, self.place - 1)
            if not found:
                return "\\{"
            self.place = found.end()
            return _shortened(found) if self.short else found[0]
        return f"\\{char}" if char in "}]" else char

    def _parenthesis(self) -> str:
        """Only groups that are referred to become capturing groups: the engine is faster with the others, does not
        accept all names, and no name twice. An empty group `()` after the parenthesis shows whether the group took
        part."""
        named = GROUP_START.match(self.pattern, self.place - 1)
        if named:
            self.place = named.end()
        elif self.pattern.startswith("?:", self.place):
            self.place += 2
            return "(?:" + self._nothing()
        elif self.pattern.startswith("?", self.place):
            return "("
        self.group += 1
        return "(()" if self.group in self.places else "(?:" + self._nothing()

    def _nothing(self) -> str:
        """`a{0}`, which matches the empty text, for a group that may contain only look-around: the engine repeats only
        groups that may match characters."""
        return "a{0}" if self.bounded and self.pattern.startswith((")", "(?"), self.place) else ""

    def _reference(self, number: int) -> str:
        """Matches the text of the group; the empty text if the group took no part."""
        place = self.places.get(number)
        if place is None or number > len(self.groups):
            return f"(?:\\{number + 2 * len(self.places)})"  # no such group: the engine says so
        return f"(?:\\{place}|(?!\\{place + 1}))"

    def _escape(self) -> str:
        char = self._take()
        if char in _CLASSES:
            return f"[{_CLASSES[char]}]"
        if char in ("b", "B"):
            if self.bounded:
                return _EDGE if char == "b" else _NO_EDGE
            return f"(?-u:\\{char})"
        if char in ("p", "P") and (found := _PROPERTY.match(self.pattern, self.place)):
            self.place = found.end()
            return f"\\{char}{found[0]}"
        if char == "k" and (found := _REFERENCE.match(self.pattern, self.place)) and group_name(found[1]) in self.named:
            self.place = found.end()
            return self._reference(self.named[group_name(found[1])])
        if char.isdigit() and char != "0" and char.isascii():
            number = char
            while self.place < len(self.pattern) and self.pattern[self.place] in "0123456789":
                number += self._take()
            return self._reference(int(number[:9]))
        code = self._code(char)
        if code is not None:
            return _NOTHING if 0xD800 <= code <= 0xDFFF else f"\\u{{{code:x}}}"
        return self._literal(char)

    def _literal(self, char: str) -> str:
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char and not char.isalnum():
            return f"\\{char}" if char in _META else char
        return f"\\{char}"  # properties; and what only the engine knows

    def _code(self, char: str) -> int | None:
        """The code point of `\\cM`, `\\0`, `\\x41`, `\\u0041`, `\\u{1F600}` and surrogate pairs."""
        rest = self.pattern[self.place :]
        if char == "0" and not rest[:1].isdigit():
            return 0
        if char == "c" and rest[:1].isascii() and rest[:1].isalpha():
            return ord(self._take()) % 32
        if char == "x" and (found := re.match(r"[0-9A-Fa-f]{2}", rest)):
            self.place += 2
            return int(found[0], 16)
        if char != "u":
            return None
        if found := re.match(r"\{([0-9A-Fa-f]{1,8})\}", rest):
            self.place += found.end()
            return int(found[1], 16)
        pair = re.match(r"([Dd][89ABab][0-9A-Fa-f]{2})\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})", rest)
        if pair:
            self.place += pair.end()
            return 0x10000 + ((int(pair[1], 16) - 0xD800) << 10) + int(pair[2], 16) - 0xDC00
        if found := re.match(r"[0-9A-Fa-f]{4}", rest):
            self.place += 4
            return int(found[0], 16)
        return None

    def _take(self) -> str:
        char = self.pattern[self.place : self.place + 1]
        self.place += len(char)
        return char

    def _class(self) -> str:
        """A class; brackets, `&&`, `--` and `~~` inside are only characters. Half a surrogate pair is no character."""
        start = self.place
        negated = self.pattern[self.place : self.place + 1] == "^"
        self.place += negated
        out: list[str] = []
        while self.place < len(self.pattern) and self.pattern[self.place] != "]":
            first = self._member()
            if (
                self.pattern[self.place : self.place + 1] == "-"
                and self.pattern[self.place + 1 : self.place + 2] not in ("]", "")
                and isinstance(first, int)
            ):
                after = self.place
                self.place += 1
                last = self._member()
                if isinstance(last, int):
                    out.append(_range(first, last))
                    continue
                self.place = after
            out.append(first if isinstance(first, str) else _range(first, first))
        if self.place >= len(self.pattern):  # not closed: the engine says so
            self.place = start
            return "["
        self.place += 1
        inside = "".join(out)
        if not inside:
            return _ANYTHING if negated else _NOTHING
        return f"[{'^' if negated else ''}{inside}]"

    def _member(self) -> str | int:
        """One member of a class: a character, which can begin or end a range, or text for the engine."""
        char = self._take()
        if char != "\\":
            return ord(char)
        char = self._take()
        if char in _CLASSES:
            return _CLASSES[char]
        if char == "b":
            return 8
        if char in ("p", "P") and (found := _PROPERTY.match(self.pattern, self.place)):
            self.place = found.end()
            return f"\\{char}{found[0]}"
        code = self._code(char)
        if code is not None:
            return code
        if char in _CONTROL_CODES:
            return _CONTROL_CODES[char]
        return ord(char) if char and not char.isalnum() else f"\\{char}"


def _range(first: int, last: int) -> str:
    """The characters from one to the other, for a class; surrogates are none."""
    if first > last:
        return f"{_member_text(first)}-{_member_text(last)}"  # the engine refuses it
    if 0xD800 <= first <= 0xDFFF:
        first = 0xE000
    if 0xD800 <= last <= 0xDFFF:
        last = 0xD7FF
    if first > last:
        return ""
    return _member_text(first) if first == last else f"{_member_text(first)}-{_member_text(last)}"


def _member_text(code: int) -> str:
    char = chr(code) if code < 0xD800 else ""
    return char if char.isalnum() else f"\\u{{{code:x}}}"


_MAPS = ("properties", "$defs", "definitions", "dependentSchemas", "dependencies")
_VALUES = ("const", "enum", "default", "examples")


def patterns_of(schema: Any, path: str = "$") -> Iterator[tuple[str, str]]:
    """Each pattern of a schema with its place: values of `pattern`, names in `patternProperties`."""
    if isinstance(schema, list):
        for number, each in enumerate(schema):
            yield from patterns_of(each, f"{path}[{number}]")
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        if key == "pattern" and isinstance(value, str):
            yield f"{path}.pattern", value
        elif key == "patternProperties" and isinstance(value, dict):
            for name, each in value.items():
                yield f"{path}.patternProperties", name
                yield from patterns_of(each, f"{path}.patternProperties.{name}")
        elif key in _MAPS and isinstance(value, dict):
            for name, each in value.items():
                yield from patterns_of(each, f"{path}.{key}.{name}")
        elif key not in _VALUES:
            yield from patterns_of(value, f"{path}.{key}")


def with_engine_patterns(schema: Any, written: dict[str, str]) -> Any:
    """A copy of the schema with its patterns translated; `written` gets the original of each."""

    def engine(pattern: str) -> str:
        found = translated(pattern)
        if found != pattern:
            written[found] = pattern
        return found

    def copy(value: Any) -> Any:
        if isinstance(value, list):
            return [copy(each) for each in value]
        return {key: member(key, each) for key, each in value.items()} if isinstance(value, Mapping) else value

    def member(key: str, value: Any) -> Any:
        if key == "pattern" and isinstance(value, str):
            return engine(value)
        if key == "patternProperties" and isinstance(value, dict):
            names = {engine(name): name for name in value}
            if len(names) < len(value):  # two ways to write one pattern
                return {name: copy(each) for name, each in value.items()}
            return {name: copy(value[was]) for name, was in names.items()}
        if key in _MAPS and isinstance(value, dict):
            return {name: copy(each) for name, each in value.items()}
        return value if key in _VALUES else copy(value)

    return copy(schema)
