"""References from a CSV file."""

from collections.abc import Callable
from pathlib import Path

from app.cli import jeap_texts
from app.cli.exits import Ended
from app.cli.files import read_bytes
from app.domain.references_csv import CsvMistake, FromCsv, references_of

__all__ = ["FromCsv", "read_references"]


def read_references(path: Path, warn: Callable[[str], None]) -> FromCsv:
    """As `references_of`. Raises Ended."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Ended(jeap_texts.not_parsed(path, f"it is not UTF-8 (byte {error.start})")) from error
    try:
        return references_of(text, warn)
    except CsvMistake as mistake:
        raise Ended(*mistake.lines) from mistake
