"""JSON stays on its line, and is the same JSON."""

import json
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from app.api.runs.models import dry_run_json
from app.domain.json_lines import on_one_line
from app.metadata.control import DryRun, TriedArtifact

texts = st.text(
    st.sampled_from('a\\"\n\x7f\x84\x85\x86\u2027\u2028\u2029\u202a\u0e80\U000285a9\U0001f600é'), max_size=20
)
values = st.recursive(
    texts | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)


@given(values)
def test_the_same_values_on_one_line(value: Any) -> None:
    written = on_one_line(json.dumps(value, ensure_ascii=False).encode())
    assert len(written.decode().splitlines()) == 1
    assert json.loads(written) == value


def test_nothing_else_is_changed() -> None:
    exact = '{"é":1.000000000000000000001,"b":[1e400,"\\u2028\\\\","\U0001f600\u2027\u202a\x84\x86"]}'.encode()
    assert on_one_line(exact) == exact
    assert on_one_line(orjson.dumps("a\u2028b\x85c\u2029")) == b'"a\\u2028b\\u0085c\\u2029"'


def test_the_values_of_a_dry_run_stay_on_one_line_and_exact() -> None:
    tried = TriedArtifact(1, {"a": '"\u2028"'}, {"a": "1.000000000000000000001", "\x85": '"\u2029"'}, None)
    written = dry_run_json(DryRun(1, [tried])).decode()
    assert len(written.splitlines()) == 1
    assert "1.000000000000000000001" in written
    assert json.loads(written)["sample"][0]["new"]["\x85"] == "\u2029"
