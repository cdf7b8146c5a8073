"""Checks whether the library that reads a variable can use its value: numbers, words, URLs, files."""

import os
import re
from collections.abc import Callable
from configparser import Error as NotIni
from configparser import RawConfigParser
from importlib.metadata import entry_points
from math import isfinite
from pathlib import Path
from urllib.parse import urlsplit

Problem = str | None
Check = Callable[[str], Problem]
"""Why a value cannot be used; None when it can. The text never has the value: headers and URLs contain secrets."""


def one_of(*words: str) -> Check:
    return lambda value: None if value.strip().lower() in words else f"not one of {', '.join(words)}"


def several_of(*words: str) -> Check:
    return lambda value: (
        None
        if {word.strip().lower() for word in value.split(",")} <= set(words)
        else f"only {', '.join(words)} are known"
    )


def number(least: int, *, whole: bool = False) -> Check:
    def check(value: str) -> Problem:
        try:
            number = int(value) if whole else float(value)
        except ValueError:
            return "not a whole number" if whole else "not a number"
        return None if isfinite(number) and number >= least else f"not a number from {least} on"

    return check


def positive(value: str) -> Problem:
    return number(0)(value) or ("not more than 0" if float(value) == 0 else None)


def at_most_one(value: str) -> Problem:
    return number(0)(value) or ("more than 1" if float(value) > 1 else None)


def http_url(value: str) -> Problem:
    try:
        parts = urlsplit(value.strip())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    return None if usable else "not an absolute http or https URL"


def file(value: str) -> Problem:
    try:
        with Path(value).open("rb"):
            return None
    except (OSError, ValueError) as error:
        return f"the file cannot be read: {getattr(error, 'strerror', None) or 'no path'}"


def certificates(value: str) -> Problem:
    problem = file(value)
    if problem is not None:
        return problem
    return None if b"-----BEGIN " in Path(value).read_bytes() else "the file has no certificate in PEM"


def directories(value: str) -> Problem:
    """Divided as in PATH; one is enough."""
    return None if any(Path(each).is_dir() for each in value.split(os.pathsep) if each) else "no such directory"


def writable(value: str) -> Problem:
    path = Path(value)
    there = path if path.exists() else path.parent
    return None if os.access(there, os.W_OK) and not path.is_dir() else "the file cannot be written"


def ini_file(value: str) -> Problem:
    return "the file is not valid" if sections(value) is None else None


def pairs(value: str) -> Problem:
    return None if all("=" in pair for pair in value.split(",") if pair.strip()) else "not key=value, divided by commas"


def header_pairs(value: str) -> Problem:
    return "has a line break or control character" if re.search(r"[\x00-\x1f\x7f]", value.strip()) else pairs(value)


def installed(group: str, *more: str) -> Check:
    """Names of components that installed packages provide."""

    def check(value: str) -> Problem:
        names = {name.strip() for name in value.split(",") if name.strip()} - set(more)
        return None if names <= {entry.name for entry in entry_points(group=group)} else "names what is not installed"

    return check


def never(reason: str) -> Check:
    return lambda _value: reason


def sections(file: str) -> list[str] | None:
    """The sections of a file as botocore reads it; None for an invalid file.

    A file that cannot be opened counts as empty.
    """
    parser = RawConfigParser()
    try:
        parser.read(Path(os.path.expandvars(file)).expanduser(), encoding="utf-8")
    except (NotIni, ValueError):
        return None
    except RuntimeError:  # `~somebody` who is nobody
        return []
    return parser.sections()
