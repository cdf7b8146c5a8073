"""The references of a report, and its texts read back by the readers people use."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML

from app.api.jobs.yaml_report import report_tasks, scalar
from app.domain.jobs import Reference, ReportedTask, TaskState
from tests.support.yaml_core import read_core
from tests.support.yaml_psych import is_text_for_ruby


def ruamel_reader(version: str, pure: bool) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        reader = YAML(typ="safe", pure=pure)
        reader.version = version
        return reader.load(text)

    return read


READERS: dict[str, Callable[[str], Any]] = {
    "PyYAML": yaml.safe_load,
    "PyYAML with libyaml": lambda text: yaml.load(text, Loader=yaml.CSafeLoader),
    "ruamel YAML 1.2": ruamel_reader("1.2", pure=True),
    "ruamel YAML 1.1": ruamel_reader("1.1", pure=True),
    "YAML 1.2 to the letter": read_core,
}

WORDS = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "none", "nil", "void"]
NUMBERS = """\
0 1 -1 +1 00 007 0123 0o7 0O7 0x1F 0X1f -0x1 0b101 +0b1 1_000 1_ _1 1__0 12345678901234567890123456789012
1.0 1. .5 -.5 +.5 1.5e3 1e3 1E3 1e+3 1e-3 1.e3 .1e1 1e 1e+ e1 1.2.3 1..2 . .. ... -. .e1 .inf .Inf .INF -.inf +.inf .nan
1,000 12,5 007,1 1,2,3 1.000,50 0,5 ,5 1, -1,000 +1,000.5e+3 1'000 1’000 0b1,0 0x1F,FF 0o7,7 0b, 0b 0x1p-2 1/2
50% $5 1,0e5 .Nan .nAn .iNf .NA .na.integer .n .na 1E400 2024-01-01Z -2024-01-01 1:2:3.4 1-2 +12:30 ٣,٣ ٣.٣
.NaN .NAN 1:20 1:20:30 190:20:30.15 -1:20 1:99 0:0 12:30 1,000 1e10000000000000000000000000000 0.0.0.0 127.0.0.1 ٣ ½ 1١
4bf92f3577b34da6a3ce929d0e0e4736 1234567890123456789012345678e123 0b4cf92f3577b34d 0x 0o8 0b2 08 09 0_8 -0 +0 --1
"""
DATES = """\
2024-01-01 2024-1-1 2024-01-01T00:00:00Z 2024-01-01t00:00:00 2024-01-01T00:00:00.5+01:00 2024-13-45 2024-01
2024-01-01X 2024 20240101 88dbb65f-9634-4685-bc86-17b72d715d3e 11111111-1111-4111-8111-111111111111
"""
INDICATORS = [
    first + rest for first in "-?:,[]{}#&*!|>'\"%@`=~<\\/$^()+._;" for rest in ("", "a", " a", first, ":", "-")
]
PUNCTUATION = [
    *(
        "a: b",
        "a:b",
        "a:",
        "a :b",
        "a #b",
        "a#b",
        "a # b",
        "#",
        "a:\tb",
        "a\t#b",
        "- a",
        "? a",
        ": a",
        "<<",
        "=",
        "===",
    ),
    *(
        "---",
        "--- a",
        "...",
        "... a",
        "--",
        "[a]",
        "{a: b}",
        "a, b",
        "a]",
        "a}",
        "a'b",
        'a"b',
        "a\\b",
        "\\",
        "a%b",
        "!",
        "!!",
    ),
    *(
        "key: [unclosed",
        "a 'b' \"c\"",
        "'quoted'",
        '"quoted"',
        "it's",
        "C:\\temp\\new",
        "a - b",
        "a ? b",
        "x{y}",
        "$.a[0]",
    ),
    "Failed reading artifact from source service: HTTP 404",
    "Archive data does not match schema PSF/OsvRecord version 1: $.affected[0].ranges: is not of type 'array'",
]
BLANKS = [
    "",
    " ",
    "  ",
    " a",
    "a ",
    " a ",
    "a  b",
    "\t",
    "a\t",
    "\ta",
    "a\tb",
    "\n",
    "a\n",
    "\na",
    "a\nb",
    "a\n\nb",
    "a\r\nb",
]
UNSEEN = [
    *("\u00a0", "\u202f", "\u2007", "\u2000", "\u1680", "\u3000", "\u205f"),  # blanks
    *("\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u2060", "\u2064", "\ufeff", "\u00ad", "\u180e"),  # no width
    *("\x85", "\u2028", "\u2029", "\x1c", "\x7f", "\x00", "\t"),  # ends of lines, controls
    *("\u202a", "\u202e", "\u2066", "\u2069", "\u061c"),  # other directions
    *("\u034f", "\u115f", "\u3164", "\uffa0", "\u2800", "\ufe0f", "\U000e0100", "\U000e0041", "\U0001d173", "\ufff9"),
    *("\ue000", "\U000f0000", "\ufffe", "\uffff", "\u0378", "\U0010ffff"),  # nobody's, or only somebody's
]
UNUSUAL = [chr(code) for code in (*range(0x21), *range(0x7F, 0xA1), *(map(ord, UNSEEN)))]
UNUSUAL += [
    "\uffff",
    "\ufffe",
    "\ufffd",
    "\ue000",
    "\ud7ff",
    "\U0001f600",
    "\U0010ffff",
    "é",
    "e\u0301",
    "日本語",
    "Zürich",
    "№ 5",
]
UNUSUAL += [f"a{each}b" for each in UNUSUAL]
LONG = ["a" * 5000, "word " * 400 + "end", "1" * 500, "a: " * 300 + "b", "é" * 600]
NASTY = [
    *(case for word in WORDS for case in (word, word.upper(), word.title(), word + "x", word[:-1] + word[-1].upper())),
    *(*NUMBERS.split(), *DATES.split(), *INDICATORS, *PUNCTUATION, *BLANKS, *UNUSUAL, *LONG),
]


def random_texts(count: int) -> list[str]:
    generator = random.Random(4711)
    alphabets = [
        "0123456789",
        "0123456789._:eE+-xob",
        "truefalsynoTRUEFALSYNO",
        "ab01 :#-?,[]{}&*!|>'\"%@`\\~=<.\t\n",
        "a é\x00\x07\x1b\x7f\x85\xa0\u2028\u2029\ufeff\ufffe\U0001f600",
        "0123456789,.'_:-+eE xob/",
        '019\u00a0\u200b\u2028\ufe0f\U000e0041é"\\',
    ]
    return ["".join(generator.choices(generator.choice(alphabets), k=generator.randint(1, 12))) for _ in range(count)]


def texts() -> list[str]:
    return list(dict.fromkeys([*NASTY, *random_texts(1000)]))


@pytest.mark.parametrize("reader", READERS)
def test_every_text_is_read_back_as_it_was(reader: str) -> None:
    report = "items:\n" + "".join(f"  - id: {scalar(text)}\n    version: 1\n" for text in texts())
    read = READERS[reader](report)
    assert [item["id"] for item in read["items"]] == texts()


def test_ruby_reads_every_text_back_as_it_was() -> None:
    plain = [text for text in texts() if scalar(text) == text]
    assert len(plain) > 200
    assert [text for text in plain if not is_text_for_ruby(text)] == []


@pytest.mark.parametrize("text", ["1,000", "12,5", "007,1", "1_000", "1.000,5", ":a", "0b1", "1:30", "+1", "yes", "~"])
def test_ruby_would_misread_these_texts_without_quotes(text: str) -> None:
    assert is_text_for_ruby(text) == (text == "1.000,5")
    assert scalar(text) == f'"{text}"'


@pytest.mark.parametrize("character", UNSEEN)
def test_what_cannot_be_seen_is_escaped_wherever_it_stands(character: str) -> None:
    for text in (f"DOC{character}1", f"{character}DOC", f"DOC{character}", character, f'é "{character}'):
        written = scalar(text)
        assert character not in written
        assert written.startswith('"')
        assert yaml.safe_load(written) == text


@pytest.mark.parametrize("text", ["1'000", "1/2", "50%", "1 000", "12-E5", "1,000.5e+3", "٣", "(1)", "+", ".a.1", "1e"])
def test_digits_and_their_separators_are_in_quotes(text: str) -> None:
    assert scalar(text) == (text if text == ".a.1" else f'"{text}"')


def test_the_readers_would_misread_these_texts_without_quotes() -> None:
    assert READERS["PyYAML"]("yes") is True
    assert READERS["ruamel YAML 1.1"]("1:20") == 80
    assert READERS["ruamel YAML 1.2"]("0o7") == 7


def test_a_text_stands_on_one_line_of_printable_characters() -> None:
    written = [scalar(text) for text in texts()]
    assert [line.splitlines() for line in written] == [[line] for line in written]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "DOC-2024-001",
            "John Doe",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "urn:isbn:123",
            "a#b",
            "it's",
            "O'Neill, Ann",
        ),
        *(
            "Failed reading artifact from source service",
            "Zürich",
            "日本語",
            "1st",
            "2024-0001",
            "nothing",
            "a/b?c=d&e",
        ),
        *(
            "88dbb65f-9634-4685-bc86-17b72d715d3e",
            "cancelled by Jane (4 attempts)",
            "\U0001f600",
            "https://example.org/x",
        ),
    ],
)
def test_a_text_that_nobody_misreads_has_no_quotes(text: str) -> None:
    assert scalar(text) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("287365", '"287365"'),
        ("yes", '"yes"'),
        ("12345678901234567890123456789012", '"12345678901234567890123456789012"'),
        ("1234567890123456789012345678e123", '"1234567890123456789012345678e123"'),
        ("HTTP: 404", '"HTTP: 404"'),
        ('say: "a\\b"', '"say: \\"a\\\\b\\""'),
        ("1,000", '"1,000"'),
        ("12,5", '"12,5"'),
        ("007,1", '"007,1"'),
        ("a\u200bb", '"a\\u200Bb"'),
        ("a\u00a0b", '"a\\xA0b"'),
        ("a\U000e0001", '"a\\U000E0001"'),
        ("❤\ufe0f", '"❤\\uFE0F"'),
        ("a\nb\x07\x85\u2028\ufeff", '"a\\nb\\x07\\x85\\u2028\\uFEFF"'),
        ("é: ü", '"é: ü"'),
    ],
)
def test_other_texts_are_in_double_quotes(text: str, written: str) -> None:
    assert scalar(text) == written


def test_a_reference_without_version_has_no_version_line() -> None:
    task = ReportedTask(0, Reference("DOC-1"), TaskState.OPEN, None, None)
    assert report_tasks([task]) == b"  - id: DOC-1\n    state: open\n"


def test_only_failed_tasks_show_an_error() -> None:
    task = ReportedTask(0, Reference("DOC-1"), TaskState.OPEN, "put back", "0af7651916cd43dd8448eb211c80319c")
    assert b"error" not in report_tasks([task])


def test_a_trace_id_is_shown_where_there_is_one() -> None:
    task = ReportedTask(0, Reference("DOC-1"), TaskState.FAILED, "cancelled by Jane: too many", None)
    assert report_tasks([task]).decode().endswith('    error:\n      message: "cancelled by Jane: too many"\n')


def test_a_trace_id_of_digits_is_a_text() -> None:
    task = ReportedTask(0, Reference("DOC-1"), TaskState.FAILED, "cause", "12345678901234567890123456789012")
    assert yaml.safe_load(report_tasks([task]))[0]["error"]["traceId"] == "12345678901234567890123456789012"


def test_pages_can_be_put_one_after_the_other() -> None:
    tasks = [ReportedTask(place, Reference(f"DOC-{place}", 1), TaskState.SUCCEEDED, None, None) for place in range(6)]
    assert report_tasks(tasks[:2]) + report_tasks(tasks[2:]) == report_tasks(tasks)
    assert report_tasks([]) == b""
