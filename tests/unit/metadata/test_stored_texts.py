"""An equal value is among the texts, however a document wrote its numbers; long and huge numbers take no time."""

from decimal import Decimal
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.domain.exact_json import read_json, write_json
from app.metadata.stored_texts import MOST, stored_texts

SAME = [
    ["1", "1.0", "1.00", "1e0", "10e-1", "0.1E1"],
    ["0", "-0", "0.0", "-0.0", "0e7"],
    ["-2", "-2.0", "-20e-1"],
    ["1e22", "1E+22", "10000000000000000000000", "1.0e22"],
    ["1e400", "1E400", "1e+400", "1E+400", "1.0e400", "10e399", "1" + "0" * 400],
    ["-12.5e400", "-125e399", "-1.25e401"],
    ["1e-400", "1.0e-400", "10e-401", "0." + "0" * 399 + "1"],
    ["12345678901234567890.5", "12345678901234567890.50"],
    ["12345678901234567890", "12345678901234567890.0", "1234567890123456789e1"],
    ["0.3", "3e-1", "0.30"],
]


def stored(text: str) -> str:
    return write_json(read_json(text.encode()))


@pytest.mark.parametrize("same", SAME, ids=[each[0] for each in SAME])
def test_every_way_to_write_a_number_finds_every_other_one(same: list[str]) -> None:
    for asked, written in product(same, same):
        assert stored(written) in stored_texts(asked), (asked, written)
        assert stored(f'["é",{written}]') in stored_texts(f'[ "é", {asked} ]')
        assert stored(f'{{"b":"1.0","a":{{"1":{written}}}}}') in stored_texts(f'{{"a":{{"1":{asked}}},"b":"1.0"}}')


def test_other_values_are_not_among_them() -> None:
    assert stored_texts('["1",true,null,{"1.0":"\\"2"}]') == ('["1",true,null,{"1.0":"\\"2"}]',)
    assert stored_texts("[0.1]") == ("[0.1]",)
    assert stored("[10]") not in stored_texts("[1]")
    assert stored_texts("[1") == stored_texts("1e9999999999999999999") == stored_texts("[\ud800]") == ()


def test_numbers_of_one_value_may_be_written_differently() -> None:
    assert set(stored_texts("[1,2.0]")) == {"[1,2]", "[1.0,2]", "[1,2.0]", "[1.0,2.0]"}


def test_of_many_numbers_those_that_are_written_alike_are_looked_for() -> None:
    many = ",".join(map(str, range(1, 50)))
    pointed = ",".join(f"{each}.0" for each in range(1, 50))
    mixed = f"[1.0,{many[2:]}]"
    assert stored_texts(mixed) == (mixed, f"[{many}]", f"[{pointed}]")


NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.decimals(allow_nan=False, places=3)


@given(NUMBERS)
@example(Decimal("1127982582873062.400"))
def test_each_of_the_texts_of_a_number_finds_the_usual_ones(number: object) -> None:
    first, *usual = stored_texts(f"[{write_json(number)}]")
    assert all(set(usual) <= {*stored_texts(each), first} for each in (first, *usual))


@given(st.recursive(NUMBERS | st.text(max_size=3), st.lists, max_leaves=30))
def test_the_text_itself_is_the_first_of_a_few(value: object) -> None:
    text = stored(write_json([value]))
    found = stored_texts(text)
    assert found[0] == text
    assert len(found) <= MOST


@pytest.mark.parametrize(
    "number",
    ["1e999999999", "-1.5e-999999999", "1e999999999999999999", "9" * 10_000, "0." + "1" * 10_000, "1e-1999999999"],
)
def test_long_and_huge_numbers_are_a_few_texts_of_their_own_length(number: str) -> None:
    for asked in (number, f"[{number}]"):
        found = stored_texts(asked)
        assert stored(asked) in found
        assert sum(map(len, found)) < 5 * 4000 + 5 * len(asked)


def test_many_huge_numbers_are_not_written_in_full() -> None:
    many = "[" + ",".join(["1e400"] * 5000) + "]"
    found = stored_texts(many)
    assert found == (stored(many), many.replace("1e400", "1.0E+400"))
