"""Tables, JSON, YAML, CSV and NDJSON of the same things."""

import csv
import io
import json
from typing import Any

import pytest
import yaml

from app.cli.exact import json_text, read_json, yaml_text
from app.cli.show import column, moment, rows, thing

VALUES: dict[str, Any] = {
    "text": "plain",
    "empty": "",
    "words": ["yes", "no", "null", "~", "0123", "1e3", "2024-01-01", "a: b", "- a", "#", "'", '"', "a\nb", " a ", "=1"],
    "nothing": None,
    "yes": True,
    "number": 12,
    "list": [],
    "dict": {},
    "deep": [{"a": [1, [2]], "b": {"c": None}}, {"d": "ä 😀 \u2028 \x85"}],
}


@pytest.mark.parametrize("loader", [yaml.SafeLoader, yaml.BaseLoader])
def test_yaml_is_read_back_as_it_was(loader: type) -> None:
    read = yaml.load(yaml_text([VALUES]), loader)
    if loader is yaml.SafeLoader:
        assert read == [VALUES]
    else:
        assert read[0]["words"] == VALUES["words"]


@pytest.mark.parametrize("indent", [None, 2])
def test_json_is_read_back_as_it_was(indent: int | None) -> None:
    assert json.loads(json_text(VALUES, indent)) == VALUES


@pytest.mark.parametrize("number", ["1.10", "1e400", "0.1000000000000000055511151231257827", "9" * 5000, "-0", "12"])
def test_numbers_keep_their_digits(number: str) -> None:
    text = f'{{"a":{number}}}'
    assert json_text(read_json(text)) == text.replace("-0", "0")
    assert yaml_text(read_json(text)) == f"a: {number}\n".replace("-0", "0")


def test_one_line_of_ndjson_is_one_line_to_every_reader(capsys: pytest.CaptureFixture[str]) -> None:
    rows([{"a": "x\n\u2028\x85\x0by"}], (), "ndjson")
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"a": "x\n\u2028\x85\x0by"}


def test_csv_joins_names_and_guards_what_a_spreadsheet_would_run(capsys: pytest.CaptureFixture[str]) -> None:
    items = [
        {"id": "=1+1", "waiting": None, "counts": {"open": 1}, "rate": read_json("-1.50")},
        {"id": "\u2003＝a", "waiting": {"for": "source"}, "counts": {"open": 2}, "rate": None},
    ]
    rows(items, (), "csv")
    shown = list(csv.reader(io.StringIO(capsys.readouterr().out, newline="")))
    assert shown == [
        ["id", "waitingFor", "countsOpen", "rate"],
        ["'=1+1", "", "1", "-1.50"],
        ["'\u2003＝a", "source", "2", ""],
    ]


def test_a_piped_table_has_each_row_on_one_line_without_colours(capsys: pytest.CaptureFixture[str]) -> None:
    columns = (column("ID", "id"), column("N", "n", right=True))
    rows([{"id": "a\nb\x1b[31m", "n": 1234}, {"id": "x" * 300, "n": None}], columns, "table")
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["ID", "N"]
    assert first.split() == ["a\\nb\\x1b[31m", "1,234"]
    assert "x" * 300 in second


def test_one_thing_leaves_out_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    thing({}, [("job", "1"), ("name", ""), ("end", "–"), ("done to it", "a\nb\x1b")], "table")
    assert capsys.readouterr().out == "job         1\ndone to it  a\n            b\\x1b\n"


@pytest.mark.parametrize(("text", "shown"), [(None, "–"), ("soon", "soon")])
def test_what_is_no_time_is_shown_as_it_is(text: str | None, shown: str) -> None:
    assert moment(text) == shown
