"""Numbers of documents and schemas are compared as they are written, of any size and precision."""

import json
import random
from decimal import Decimal, getcontext
from fractions import Fraction
from typing import Any

import pytest

from app.catalog.json_documents import NotKept, is_ordinary, read
from app.catalog.schemas import compile_schema

DRAFT_4 = '"$schema": "http://json-schema.org/draft-04/schema#", '


def nothing(uri: str) -> Any:
    raise LookupError(uri)


def problem(schema: str, document: str) -> str | None:
    compiled = compile_schema(schema.encode(), "schema.json", "T", "registry:///s/t/T.schema.json", nothing)
    return compiled.check(document.encode())


@pytest.mark.parametrize(
    ("schema", "document"),
    [
        ('{"uniqueItems": true}', "[100000000000000000001,100000000000000000002]"),
        ('{"uniqueItems": true}', "[0.1, 0.1000000000000000000001]"),
        ('{"enum": [12345678901234567890123]}', "12345678901234567890123"),
        ('{"enum": [12345678901234567890123]}', "12345678901234567890123.0"),
        ('{"const": 1.00000000000000000001}', "1.000000000000000000010"),
        ('{"const": 1e23}', "100000000000000000000000"),
        ("{" + DRAFT_4 + '"type": "integer"}', "18446744073709551616"),
        ('{"type": "integer"}', "1e400"),
        ('{"type": "integer"}', "18446744073709551616.0"),
        ('{"exclusiveMaximum": 1}', "0.99999999999999999999"),
        ("{" + DRAFT_4 + '"maximum": 1, "exclusiveMaximum": true}', "0.99999999999999999999"),
        ('{"exclusiveMinimum": 0}', "1e-400"),
        ('{"minimum": 9007199254740993}', "9007199254740993.0"),
        ('{"maximum": 1e400}', "1e399"),
        ('{"multipleOf": 0.1}', "0.3"),
        ('{"multipleOf": 0.01}', "4.35"),
        ('{"multipleOf": 0.1}', "123456789012345.3"),
        ('{"multipleOf": 1e-7}', "1e22"),
        ('{"multipleOf": 1e-400}', "1e-399"),
        ('{"multipleOf": 10}', "1e999999999"),
        ('{"multipleOf": 0.3}', "1" + "0" * 5_000 + "2"),
        ('{"items": {"maximum": 2}}', "[1, 2.0, 1.99999999999999999999]"),
    ],
)
def test_a_number_that_fits_is_valid(schema: str, document: str) -> None:
    assert problem(schema, document) is None


@pytest.mark.parametrize(
    ("schema", "document", "said"),
    [
        ('{"uniqueItems": true}', "[100000000000000000001, 100000000000000000001.0]", "$: has equal items"),
        ('{"uniqueItems": true}', "[1e400, 10e399]", "$: has equal items"),
        ('{"enum": [12345678901234567890123]}', "12345678901234567890124", "$: must be one of 12345678901234567890123"),
        ('{"const": 1.00000000000000000001}', "1", "$: must be 1.00000000000000000001"),
        ('{"type": "integer"}', "1.00000000000000000001", "$: must be integer"),
        ("{" + DRAFT_4 + '"type": "integer"}', "18446744073709551616.0", "$: must be integer"),
        ('{"multipleOf": 10}', "100000000000000000001", "$: must be a multiple of 10"),
        ('{"multipleOf": 3}', "3458764513820540931.5", "$: must be a multiple of 3"),
        ('{"multipleOf": 7}', "1e999999999", "$: must be a multiple of 7"),
        ('{"multipleOf": 10000000000000000000000}', "1e-400", "$: must be a multiple of 10000000000000000000000"),
        ('{"maximum": 100000000000000000000}', "100000000000000000001", "$: must be at most 100000000000000000000"),
        ('{"maximum": 1}', "1.00000000000000000001", "$: must be at most 1"),
        ('{"maximum": 0.29999999999999999}', "0.3", "$: must be at most 0.29999999999999999"),
        ('{"maximum": 1152921504606846977}', "1152921504606846977.5", "$: must be at most 1152921504606846977"),
        ('{"exclusiveMinimum": 1.5}', "1.50000000000000000000", "$: must be greater than 1.5"),
        (
            "{" + DRAFT_4 + '"minimum": 1, "exclusiveMinimum": true}',
            "0.99999999999999999999",
            "$: must be greater than 1",
        ),
        ('{"properties": {"a": {"maximum": 9}}}', '{"a": 1e400}', "$.a: must be at most 9"),
        ('{"items": {"anyOf": [{"maximum": 2}]}}', "[3.00000000000000000001]", "$[0]: matches none of the"),
        ('{"oneOf": [{"type": "null"}, {"items": {"maximum": 2}}]}', "[1e400]", "$[0]: must be at most 2"),
    ],
)
def test_a_number_that_does_not_fit_says_the_limit_as_the_schema_writes_it(
    schema: str, document: str, said: str
) -> None:
    text = problem(schema, document)
    assert text is not None
    assert text.startswith(said)


def _number(chance: random.Random) -> str:
    base = chance.choice([0, 1, 3, 2**53, 2**60, 2**63, 2**64, 10**15, 10**22, 10**30, -(2**63)]) + chance.randint(
        -2, 2
    )
    match chance.randint(0, 3):
        case 0:
            return str(base)
        case 1:
            return f"{base}.{chance.choice(['0', '5', '25', '00000000000000000000001', '000'])}"
        case 2:
            return f"{base}e{chance.choice([0, 1, -1, -3, 5, 300, -300, 400, -400])}"
        case _:
            return chance.choice(
                ["0.1", "0.10", "0.30000000000000004", "0.3", "1e-400", "1e400", "1e23", "4.35", "-0.0", "1e-7"]
            )


def test_every_rule_agrees_with_fractions() -> None:
    """200 pairs of limits and numbers that doubles confuse."""
    getcontext().prec = 2_000
    chance = random.Random(11)
    for _ in range(200):
        limit, number = _number(chance), _number(chance)
        if chance.random() < 0.2:
            number = limit
        a, b = Fraction(Decimal(limit)), Fraction(Decimal(number))
        expected = {"maximum": b <= a, "minimum": b >= a, "exclusiveMaximum": b < a, "exclusiveMinimum": b > a}
        expected |= {"const": a == b, **({"multipleOf": (b / a).denominator == 1} if a > 0 else {})}
        for keyword, fits in expected.items():
            found = problem(f'{{"{keyword}": {limit}}}', number)
            assert (found is None) == fits, (keyword, limit, number)
        assert (problem('{"uniqueItems": true}', f"[{limit}, {number}]") is None) == (a != b)
        assert (problem('{"type": "integer"}', number) is None) == (b.denominator == 1)


@pytest.mark.parametrize(
    "document",
    [
        '{"a": 123456789012345, "b": 12345.6789, "c": -1e22, "d": 5e-324, "e": 1234567890123456789}',
        '{"uuid": "12345678-1234-1234-1234-123456789012", "id": "41080123456789012345678", "at": "00:00:00.1Z"}',
        '["00000000000000000000000000000000", "1e-400", "x1e400", "name-123", "e-100"]',
        "[0.30000000000000004, 4.35, 0.1, 1700000000000000, -9223372036854775, 1.7976931348623157e+308]",
    ],
)
def test_ordinary_numbers_and_digits_in_texts_go_the_fast_way(document: str) -> None:
    assert is_ordinary(document.encode())
    assert read(document.encode()) == (json.loads(document), True)


@pytest.mark.parametrize(
    "number",
    ["18446744073709551616", "0.1000000000000000055", "1e-400", "1.23456789012345E-316", "-9223372036854775809"],
)
def test_other_numbers_are_read_as_they_are_written(number: str) -> None:
    for document in (number, f"[{number}]", f'{{"a": {number}}}', f"[1,{number} ]"):
        assert not is_ordinary(document.encode())
        value, ordinary = read(document.encode())
        while isinstance(value, dict | list):
            value = value["a"] if isinstance(value, dict) else value[-1]
        assert not ordinary
        assert Decimal(value) == Decimal(number)


NINES = "9" * 100_000


@pytest.mark.parametrize(
    ("schema", "document", "fits"),
    [
        ('{"maximum": 1e5}', NINES, False),
        ('{"maximum": 1e5}', f"-{NINES}", True),
        ('{"multipleOf": 9}', NINES, True),
        ('{"multipleOf": 7}', NINES, False),
        ('{"multipleOf": 0.7}', f"0.{NINES}", False),
        ('{"type": "integer"}', f"0.{NINES}", False),
        ('{"type": "integer"}', NINES, True),
        ('{"enum": [1, 2.5]}', NINES, False),
        ('{"uniqueItems": true}', f"[{NINES}, {NINES}, 1]", False),
        ('{"uniqueItems": true}', "[1e999999999, -1e999999999999, 1e-999999999999]", True),
        ('{"items": {"multipleOf": 3}}', "[1e999999999]", False),
        ('{"items": {"maximum": 3}}', "[1e-999999999, -1e999999999999]", True),
        ('{"items": {"minimum": 3}}', f"[{NINES}e-999999999]", False),
        ('{"type": "string"}', f'"{NINES}"', True),
        ('{"type": "array"}', "[" + "1234567890123456e-310," * 10_000 + "1]", True),
        ('{"type": "array"}', "[" + "e-123 " * 40_000, False),
    ],
    ids=lambda value: str(value)[:20],
)
def test_huge_numbers_do_not_take_for_ever(schema: str, document: str, fits: bool) -> None:
    assert (problem(schema, document) is None) == fits


def test_a_list_of_long_numbers_nested_1024_levels_is_read() -> None:
    deepest = b"[" * 1024 + b"123456789012345678901" + b"]" * 1024
    assert not read(deepest)[1]
    with pytest.raises(NotKept, match="nested too deeply"):
        read(b"[" + deepest + b"]")
