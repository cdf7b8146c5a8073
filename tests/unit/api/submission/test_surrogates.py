r"""`"\ud83d\ude00"`, as writers of JSON make it, is the character; without double quotes it is twelve characters."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.api.submission.body import Parsed, parse_submission
from app.domain.mistakes import Mistake
from app.domain.surrogates import NoMark, marked

HEAD = "message: m\ntopic: t\narchiveDataReferences:\n"
TWELVE = r"\ud83d\ude00"


def read(body: str) -> Parsed:
    return parse_submission(body.encode(), 1_000)


def ids(*values: str) -> list[str]:
    """The ids of a body with these values, as YAML has them."""
    parsed = read(HEAD + "".join(f"- id: {value}\n" for value in values))
    assert parsed.mistakes == ()
    return [reference.id for reference in parsed.references]


def mistake(body: str) -> Mistake:
    [found] = read(body).mistakes
    return found


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (r'"A\ud83d\ude00"', "A😀"),
        (r'"\uD83D\uDE00B"', "😀B"),
        (r'"\uD83d\ude00\ud83D\uDE01"', "😀😁"),
        (r'"\U0001F600"', "😀"),
        (r'"\udbff\udffd"', "\U0010fffd"),
        (r'"\ud800\udc00"', "\U00010000"),
        (r'"\ud83d\ude00\u00e9\\\"\x41"', '😀é\\"A'),
        (r'"\\ud83d\ude00"'.replace(r"\ude00", r"\\ude00"), TWELVE),
        (r'"\\\ud83d\ude00"', "\\😀"),
        (r'"\\\\\ud83d\ude00"', "\\\\😀"),
        ('"a \\ud83d\\\n    \\ude00 b"', "a 😀 b"),
        ('"a\\ud83d\\\r\n\t \\ude00\\\n  \\  b"', "a😀  b"),
        ('"a\\\n  \\ud83d\\ude00"', "a😀"),
        ('"\\ud83d\\ude00\n  b"', "😀 b"),
    ],
)
def test_in_double_quotes_a_pair_is_the_character(written: str, text: str) -> None:
    assert ids(written) == [text]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (TWELVE, TWELVE),
        (f"'{TWELVE}'", TWELVE),
        (f'a"{TWELVE}"', f'a"{TWELVE}"'),
        (f"'\"{TWELVE}\"'", f'"{TWELVE}"'),
        (f'it\'s "{TWELVE}"', f'it\'s "{TWELVE}"'),
        (rf"\\{TWELVE}", rf"\\{TWELVE}"),
        (rf"\{TWELVE}", rf"\{TWELVE}"),
        ("\\ud83d\\\n   \\ude00", "\\ud83d\\ \\ude00"),
        ("'\\ud83d\\\n   \\ude00'", "\\ud83d\\ \\ude00"),
        (f'>-\n    "{TWELVE}"', f'"{TWELVE}"'),
        (f"|-\n    {TWELVE}", TWELVE),
        (r"\uD83D\uDE00", r"\uD83D\uDE00"),
        (r"\ud83d", r"\ud83d"),
        (r"\ude00\ud83d", r"\ude00\ud83d"),
    ],
)
def test_anywhere_else_it_is_what_is_written(written: str, text: str) -> None:
    assert ids(written) == [text]
    assert ids(r'"\ud83d\ude00"', written, r'"x\ud83d\ude01"') == ["😀", text, "x😁"]


def test_comments_and_quotes_in_them_are_no_values() -> None:
    head = f'# "{TWELVE}\nmessage: "m{TWELVE}" # "{TWELVE}" \\\ntopic: "{TWELVE}" #\\\n'
    body = f'{head}archiveDataReferences: [id: "{TWELVE}"]\n'
    parsed = read(body)
    assert (parsed.mistakes, parsed.message, parsed.topic) == ((), "m😀", "😀")
    assert [reference.id for reference in parsed.references] == ["😀"]


def test_keys_may_be_written_so_too() -> None:
    assert mistake(HEAD + f'- id: a\n  "{TWELVE}": b\n').path == "archiveDataReferences[0].😀"
    assert mistake(HEAD + f"- id: a\n  {TWELVE}: b\n").path == rf"archiveDataReferences[0].{TWELVE}"


@pytest.mark.parametrize(
    "half", [r"\ud83d", r"\ude00", r"\ude00\ud83d", r"\ud83dx\ude00", r"\ud83d\n\ude00", "\\ud83d\n \\ude00",
             r"\ud83d\\ude00", r"\\ud83d\ude00", r"\ud83d\ud83d\ude00", "\\ud83d\\\n\n\\ude00", r"\ud83d\U0000de00"],
)  # fmt: skip
def test_a_half_is_refused_in_its_line(half: str) -> None:
    found = mistake(HEAD + f'- id: "{TWELVE}"\n- id: b\n- id: "{half}"\n')
    assert "half of a pair" in found.message
    assert found.line in (6, 7, 8)
    assert found.line == 6 or "\n" in half


def test_mistakes_stand_in_the_same_lines_and_count_the_same_characters() -> None:
    body = HEAD + f'- id: "{TWELVE}"\n  # {TWELVE}\n- id: "a\\q{TWELVE}"\n'
    assert (mistake(body).line, mistake(body).message) == (
        6,
        "an escape in double quotes is not known; a backslash is written \\\\",
    )
    body = HEAD + f'- id: "{TWELVE}"\n- id: "\x01"\n'
    assert (mistake(body).line, "U+0001" in mistake(body).message) == (5, True)
    assert "513 characters" in mistake(HEAD + f'- id: "{TWELVE * 513}"\n').message
    assert ids(f'"{TWELVE * 512}"') == ["😀" * 512]


texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('😀\U0010ffff\U00010000"\\#:ud83\ufeff\u2028'),
    min_size=1,
    max_size=30,
).filter(lambda text: text.strip() and text not in (".", ".."))


@given(st.lists(texts, min_size=1, max_size=5, unique=True), st.booleans())
@example([r"\ud83d\ude00", "\\😀", "😀\\", "\\\\😀"], False)
def test_what_a_writer_of_json_makes_of_a_text_is_that_text(values: list[str], indented: bool) -> None:
    body = {"message": values[0][:9], "topic": "t😀", "archiveDataReferences": [{"id": value} for value in values]}
    written = json.dumps(body, ensure_ascii=True, indent=2 if indented else None)
    parsed = read(written)
    assert [each.message for each in parsed.mistakes if "blank" not in each.message] == []
    assert [reference.id for reference in parsed.references] == values
    assert parsed.topic == "t😀"


@given(st.text(st.sampled_from("\\ud83e0\"a \n'#:"), max_size=40), st.sampled_from(["'", '"', ""]))
def test_a_body_reads_as_if_the_characters_had_been_written(noise: str, quote: str) -> None:
    body = HEAD + f'- id: "{TWELVE}"\n- id: {quote}{noise}{quote}\n'
    plain = HEAD + f'- id: "😀"\n- id: {quote}{noise}{quote}\n'
    if marked(plain.encode())[1] is None:  # no pairs in the noise
        assert read(body) == read(plain)


def test_the_mark_is_a_character_that_the_body_does_not_have() -> None:
    one, other, third = "\U000f1234", "\U00101234", "\U00105678"
    body = f'"{TWELVE}{one} \\U00101234"'.encode()
    prepared, mark = marked(body, [one, other, third])
    assert mark == third
    assert len(prepared.decode()) == len(body.decode())
    with pytest.raises(NoMark):
        marked(body, [one, other])


def test_where_no_mark_is_left_the_body_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.domain.surrogates._private", lambda: iter("a"))
    assert "write the characters themselves" in mistake(HEAD + f'- id: "a{TWELVE}"\n').message


def test_a_body_without_pairs_is_not_touched() -> None:
    for body in (b"a: b", rb'"\u00e9\ud83d"', rb"\ude00"):
        assert marked(body) == (body, None)
