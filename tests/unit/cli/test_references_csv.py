"""CSV files of references: the rules and texts of jeap-cli, and files without versions."""

from pathlib import Path

import pytest

from app.cli.exits import Ended
from app.cli.references_csv import read_references

HEADER = "Error: CSV file must start with header line: id,version"


def read(tmp_path: Path, content: bytes | str) -> tuple[list[tuple[str, int | None]], list[int], list[str]]:
    path = tmp_path / "references.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    warnings: list[str] = []
    found = read_references(path, warnings.append)
    return found.references, found.lines, warnings


@pytest.mark.parametrize(
    "content",
    [
        "id,version\na,1\nb,2\n",
        "\ufeffid,version\na,1\nb,2",
        " id , version \r\n\r\n a ,\t1 \r\n# c,3\r\n  # d,4\r\nb,2\r\n",
        'id,version\n"a","1"\n"b", 2\n',
        "id,version\ra,01\rb,+2\r",
    ],
)
def test_rows_are_trimmed_and_blank_lines_and_comments_skipped(content: str, tmp_path: Path) -> None:
    assert read(tmp_path, content)[0] == [("a", 1), ("b", 2)]


def test_each_line_is_parsed_alone_and_quotes_work(tmp_path: Path) -> None:
    content = 'id,version\n"a,b",1\n"say ""x""",2\nä\u2028b,3\n'
    assert read(tmp_path, content)[0] == [("a,b", 1), ('say "x"', 2), ("ä\u2028b", 3)]


def test_of_equal_rows_the_first_is_kept_and_the_others_are_warned_of(tmp_path: Path) -> None:
    references, lines, warnings = read(tmp_path, "id,version\na,1\n\na,2\na,01\na,1\n")
    assert references == [("a", 1), ("a", 2)]
    assert lines == [2, 4]
    assert warnings == [
        "Warning: Duplicate reference id=a version=1 on line 5. Will be sent once.",
        "Warning: Duplicate reference id=a version=1 on line 6. Will be sent once.",
    ]


def test_data_without_versions_has_one_column(tmp_path: Path) -> None:
    references, _, warnings = read(tmp_path, "id\na\n b\na\n")
    assert references == [("a", None), ("b", None)]
    assert warnings == ["Warning: Duplicate reference id=a on line 4. Will be sent once."]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", HEADER),
        ("\nid,version\na,1", HEADER),
        ("ID,version\n", HEADER),
        ("id,version,x\n", HEADER),
        ("id;version\n", HEADER),
        ("# c\nid,version\n", HEADER),
        ("id,version\na", "Error: Invalid CSV row on line 2. Expected 2 columns: id,version."),
        ("id,version\n\na,1,2", "Error: Invalid CSV row on line 3. Expected 2 columns: id,version."),
        ('id,version\n"a\n",1', "Error: Invalid CSV row on line 2. Expected 2 columns: id,version."),
        ('id,version\n"a"b,1', "Error: Invalid CSV row on line 2. Expected 2 columns: id,version."),
        ("id\na,1", "Error: Invalid CSV row on line 2. Expected 1 column: id."),
        ("id,version\n ,1", "Error: Empty id on line 2."),
        ('id\n""', "Error: Empty id on line 2."),
        ("id,version\na,", "Error: Invalid version '' on line 2. Must be a positive integer."),
        ("id,version\na,x", "Error: Invalid version 'x' on line 2. Must be a positive integer."),
        ("id,version\na,0", "Error: Invalid version '0' on line 2. Must be a positive integer."),
        ("id,version\na,-1", "Error: Invalid version '-1' on line 2. Must be a positive integer."),
        ("id,version\na,1.0", "Error: Invalid version '1.0' on line 2. Must be a positive integer."),
        ("id,version\na,1_0", "Error: Invalid version '1_0' on line 2. Must be a positive integer."),
        ("id,version\na,2147483648", "Error: Invalid version '2147483648' on line 2. Must be a positive integer."),
    ],
)
def test_mistakes_are_said_as_jeap_cli_says_them(content: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(Ended) as ended:
        read(tmp_path, content)
    assert ended.value.lines[0] == said


def test_a_version_of_thousands_of_digits_is_a_mistake_like_another(tmp_path: Path) -> None:
    with pytest.raises(Ended, match="Invalid version"):
        read(tmp_path, "id,version\na," + "9" * 10_000)


def test_what_is_not_utf_8_is_said(tmp_path: Path) -> None:
    with pytest.raises(Ended, match="not UTF-8"):
        read(tmp_path, b"id,version\n\xff,1")


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(Ended, match="File not found: "):
        read_references(tmp_path / "nope", print)
