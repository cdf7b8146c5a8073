"""JSON laid out for people."""

import json

import pytest

from app.ui.artifacts.laid_out import laid_out


def test_each_item_has_its_line() -> None:
    text = '{"a":[1,{"b":"x, [y]: {z}"}],"c":{},"d":[],"e":null}'
    shown = laid_out(text)
    assert shown == (
        '{\n  "a": [\n    1,\n    {\n      "b": "x, [y]: {z}"\n    }\n  ],\n  "c": {},\n  "d": [],\n  "e": null\n}'
    )
    assert json.loads(shown) == json.loads(text)


@pytest.mark.parametrize("text", ["1.10000000000000000001", "1e400", '"\\"\\\\"', '{"n": -0.0e-5, "s": "\\u00e9"}'])
def test_no_number_and_no_text_is_changed(text: str) -> None:
    shown = laid_out(text)
    assert shown is not None
    assert "".join(shown.split()) == "".join(text.split())


def test_what_is_not_json_is_left_alone() -> None:
    assert laid_out("{1}") is None
    assert laid_out("[" * 100_000) is None
