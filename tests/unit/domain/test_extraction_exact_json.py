"""JSON of metadata: no number changes on the way in or out, and equal values have the same text."""

import json
import random
from decimal import Decimal
from typing import Any

import orjson
import pytest

from app.domain.exact_json import NumberNotKept, read_json, write_json


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9007199254740993", 2**53 + 1),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("-18446744073709551616", -(2**64)),
        ("0.1", 0.1),
        ("1.10", 1.1),
        ("3.14159265358979312", Decimal("3.14159265358979312")),
        ("0.1000000000000000055511151231257827", Decimal("0.1000000000000000055511151231257827")),
        ("1e999", Decimal("1e999")),
        ("1e-999", Decimal("1e-999")),
        ("5e-324", 5e-324),
        ("-0.0", -0.0),
    ],
)
def test_a_number_is_read_as_it_is_written(text: str, value: Any) -> None:
    for content in (text, f'{{"a": [{text}]}}'):
        found = read_json(content.encode())
        found = found["a"][0] if isinstance(found, dict) else found
        assert found == value
        assert type(found) is type(value)
    assert Decimal(write_json(value)) == Decimal(text)


@pytest.mark.parametrize("text", ["1e99999999999999999999", "-1.5E-99999999999999999999", "12e999999999999999999"])
def test_a_number_that_no_decimal_holds_is_refused_and_not_null(text: str) -> None:
    for content in (text, f'{{"a": [{text}]}}'):
        with pytest.raises(NumberNotKept, match="an exponent of more than 18 digits: JSON allows this, it is not kept"):
            read_json(content.encode())


def test_random_numbers_come_back_exactly() -> None:
    rng = random.Random(9)
    for _ in range(5000):
        digits = "".join(rng.choices("0123456789", k=rng.randrange(1, 25)))
        text = rng.choice(["", "-"]) + str(int(digits))
        text += rng.choice(["", "." + "".join(rng.choices("0123456789", k=rng.randrange(1, 25)))])
        text += rng.choice(["", f"e{rng.randrange(-20, 20)}", f"E+{rng.randrange(400)}", f"e-{rng.randrange(400)}"])
        written = write_json(read_json(f'{{"a":{text}}}'.encode()))
        assert Decimal(written[5:-1]) == Decimal(text)


def test_both_ways_of_writing_agree() -> None:
    rng = random.Random(10)

    def value(depth: int) -> Any:
        if depth and rng.random() < 0.5:
            keys = ["", "b", "a", "é", "😀", '"', "\n"]
            return (
                {rng.choice(keys): value(depth - 1) for _ in range(4)} if rng.random() < 0.5 else [value(depth - 1)] * 2
            )
        return rng.choice([None, True, False, 0, -1.5, 1e16, 1e-7, 2**63, "", 'a"\\\n\x01é😀'])

    for _ in range(2000):
        found = value(4)
        slow = write_json([found, Decimal(1)])
        assert slow == f"[{write_json(found)},1]"
        assert write_json(found) == orjson.dumps(found, option=orjson.OPT_SORT_KEYS).decode()
        assert read_json(write_json(found).encode()) == found


def test_equal_values_have_the_same_text() -> None:
    assert write_json({"b": 1, "a": 2}) == write_json({"a": 2, "b": 1})
    assert write_json({"b": 10**30, "a": 2}) == write_json({"a": 2, "b": 10**30})


def test_half_a_surrogate_pair_is_read_and_written_as_escape() -> None:
    content = rb'{"a":"\ud800 \u0000"}'
    assert read_json(content) == {"a": "\ud800 \0"}
    assert json.loads(write_json(read_json(content))) == {"a": "\ud800 \0"}
    assert write_json(read_json(content)).isascii()


@pytest.mark.parametrize("content", [b"", b"{", b"NaN", b"[Infinity]", b"\xff", b"[" * 100_000, b"[1,]"])
def test_what_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_json(content)
