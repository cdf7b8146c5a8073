"""Extraction paths: what is read, what is refused and where, and that a printed path is the same path."""

import json
import pickle
import random

import pytest

from app.domain.paths import EVERY, MAX_PATH, MAX_STEPS, Path, Step, parse_path


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("id", ("id",)),
        ("customer.id", ("customer", "id")),
        ("items[0].id", ("items", 0, "id")),
        ("items[*].id", ("items", EVERY, "id")),
        ("affected[*].ranges[*].type", ("affected", EVERY, "ranges", EVERY, "type")),
        ('["a.b"].c', ("a.b", "c")),
        ('["x"]["y"][0]', ("x", "y", 0)),
        ('x.["y.z"]', ("x", "y.z")),
        ("matrix[1][2]", ("matrix", 1, 2)),
        ("[*].id", (EVERY, "id")),
        ("[0]", (0,)),
        ("first name.größe-1", ("first name", "größe-1")),
        ("$ref.a", ("$ref", "a")),
        (r'["say \"hi\" \\ \/ \u00e9\n"]', ('say "hi" \\ / é\n',)),
        (r'["\ud83d\ude00"]', ("😀",)),
        ('["*"].a', ("*", "a")),
        ('[""]', ("",)),
        ('["[0]"]', ("[0]",)),
    ],
)
def test_a_path_is_read_as_steps(text: str, steps: tuple[Step, ...]) -> None:
    assert parse_path(text) == Path(steps)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must not be empty"),
        ("  ", "must not be empty"),
        ("$.a", r"written without \$"),
        ("$", r"written without \$"),
        ("a..b", "character 3: a key is missing"),
        (".a", "character 1: a key is missing"),
        ("a.", "character 3: a key is missing"),
        ("a.[0]", "character 3: a key is missing"),
        ("a[]", "character 3: an index"),
        ("a[", "character 3: an index"),
        ("a[-1]", "character 3: elements are counted from 0; there are no negative indexes"),
        ("a[1234567]", "character 3: an index has at most 6 digits"),
        ("a[0", "character 4: a closing bracket is missing"),
        ("a[0]b", "character 5: a dot or a bracket is missing"),
        ("a['b']", "character 3: a key in brackets stands in double quotes"),
        ('a["b]', "character 3: not a JSON string"),
        (r'["\x"]', "character 2: not a JSON string"),
        ('a"b"', "character 2"),
        ("a.]", "character 3: ] outside of brackets"),
        ("items.*.id", r"character 7: \[\*\] is each element"),
        (" a", "character 1: a blank"),
        ("a\tb", "character 2"),
        ("\ud800", "half a surrogate pair"),
        ("a" * (MAX_PATH + 1), "at most 1,000 characters"),
        ("a" + "[0]" * MAX_STEPS, "at most 100"),
    ],
)
def test_a_path_that_cannot_be_read_is_refused_with_place_and_reason(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_path(text)


def test_paths_that_mean_the_same_are_equal() -> None:
    assert parse_path('["a"].["b"][0]') == parse_path("a.b[0]")
    assert hash(parse_path('["a"]["b"]')) == hash(parse_path("a.b"))
    assert str(parse_path('["a"].["b.c"][0]["$"]')) == 'a["b.c"][0].$'
    assert parse_path("a[0]") != parse_path('a["0"]')
    assert parse_path("a[*]") != parse_path('a["*"]')


def test_a_path_survives_another_process() -> None:
    path = parse_path("a[*].b[0]")
    assert pickle.loads(pickle.dumps(path)) == path


ALPHABET = 'ab $*.[]"\\/\n\x00\x7f\u00a0é😀\ud800'


def random_step(rng: random.Random) -> Step:
    kind = rng.random()
    if kind < 0.2:
        return EVERY
    if kind < 0.4:
        return rng.randrange(1_000_000)
    return "".join(rng.choices(ALPHABET, k=rng.randrange(6)))


def test_a_printed_path_parses_to_an_equal_one() -> None:
    rng = random.Random(5)
    for _ in range(5000):
        path = Path(tuple(random_step(rng) for _ in range(rng.randrange(1, 8))))
        text = str(path)
        assert parse_path(text) == path
        assert "\0" not in text
        text.encode()


def test_any_text_is_parsed_or_refused_and_what_is_parsed_prints_no_longer() -> None:
    rng, parsed = random.Random(6), 0
    pieces = [
        "a",
        "b c",
        ".",
        "[0]",
        "[*]",
        "[",
        "]",
        '"',
        '["x.y"]',
        r'["\u00e9"]',
        "*",
        "$",
        " ",
        "-1",
        "é",
        "\ud800",
    ]
    for _ in range(20_000):
        text = "".join(rng.choices(pieces, k=rng.randrange(1, 6)))
        try:
            path = parse_path(text)
        except ValueError:
            continue
        parsed += 1
        assert parse_path(str(path)) == path
        assert len(str(path)) <= len(text)
    assert parsed > 1000


def test_a_quoted_key_may_be_whatever_a_key_of_json_may_be() -> None:
    rng = random.Random(7)
    for _ in range(1000):
        key = "".join(rng.choices(ALPHABET, k=rng.randrange(8)))
        assert parse_path(f"[{json.dumps(key)}]") == Path((key,))
