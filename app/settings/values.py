"""Parsers of settings: durations, sizes, URLs, names. They raise ValueError with a reason."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import SecretStr

from app.domain.database_url import database_options
from app.domain.notes import is_key_name, read_private_key, read_verifier_key

T = TypeVar("T")
Parser = Callable[[str], T]

DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SIZE_UNITS = {
    "": 1,
    "B": 1,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
}
TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
BUCKET = re.compile(r"(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9](?:[a-z0-9]|[.-](?![.])){1,61}[a-z0-9]")
LONGEST = 365 * 86400.0


AROUND = " \t\n\r\v\f\x85\u2028\u2029\ufeff"
"""What editors and `echo` leave around a value in a file: blanks, line breaks, a byte order mark."""

_LINE_BREAKS = "\n\r\v\f\x85\u2028\u2029"
_INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u2060"
"""Zero width and direction: they come along when text is copied from a page or a chat."""


def stray(value: str) -> str | None:
    """The problem of a text with characters that no setting may have, None when there is none.

    Says which kind of character and where, never the text: `ends with a line break; …`.
    """
    for position, char in enumerate(value):
        if (kind := _kind_of(char)) is None:
            continue
        if kind == "bytes":
            return "is not UTF-8"
        where = "has {} inside"
        if not value[:position].strip(AROUND):
            where = "begins with {}"
        elif not value[position:].strip(AROUND):
            where = "ends with {}"
        return f"{where.format(kind)}; take it away"
    return None


def _kind_of(char: str) -> str | None:
    if char in _LINE_BREAKS:
        return "a carriage return" if char == "\r" else "a line break"
    if char == "\ufeff":
        return "a byte order mark"
    if 0xD800 <= ord(char) < 0xE000:
        return "bytes"  # so Python shows those of a variable that are not UTF-8
    if ord(char) < 32 or 127 <= ord(char) < 160:
        return f"a control character (U+{ord(char):04X})"
    return f"an invisible character (U+{ord(char):04X})" if char in _INVISIBLE else None


def text(value: str) -> str:
    """Without surrounding blanks."""
    return value.strip()


def boolean(value: str) -> bool:
    match value.strip().lower():
        case "true":
            return True
        case "false":
            return False
        case _:
            raise ValueError("must be true or false")


def integer(least: int, most: int) -> Parser[int]:
    """A whole number; `1_000` is accepted, as Java developers write it."""

    def parse(value: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9][0-9_]{0,18}", value.strip()):
            raise ValueError("must be a whole number")
        number = int(value.strip().replace("_", ""))
        if not least <= number <= most:
            raise ValueError(f"must be from {least:,} to {most:,}")
        return number

    return parse


def share(value: str) -> float:
    """A number above 0 and at most 1."""
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 < number <= 1:
        raise ValueError("must be a number above 0 and at most 1, for example 0.5")
    return number


def price(value: str) -> float:
    """An amount of money, 0 or more."""
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1e9:
        raise ValueError("must be a number from 0 to 1,000,000,000, for example 0.025")
    return number


def currency(value: str) -> str:
    if not 1 <= len(value.strip()) <= 20:
        raise ValueError("must be a text of 1 to 20 characters, for example CHF")
    return value.strip()


def duration(value: str) -> float:
    """Seconds, above 0; a unit is required so that nobody has to guess it."""
    found = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*(ms|s|m|h|d)", value.strip())
    if found is None:
        raise ValueError("must be a duration with a unit (ms, s, m, h, d), for example 500ms or 5s")
    seconds = float(found[1]) * DURATION_UNITS[found[2]]
    if not 0 < seconds <= LONGEST:
        raise ValueError("must be longer than 0 and at most 365d")
    return seconds


def size(value: str) -> int:
    """Bytes, at least 1; without a unit the number is bytes."""
    found = re.fullmatch(r"([0-9][0-9_]{0,15})\s*(|B|KiB|MiB|GiB|KB|MB|GB)", value.strip())
    if found is None:
        raise ValueError("must be a size, for example 32MiB (B, KiB, MiB, GiB, KB, MB, GB)")
    number = int(found[1].replace("_", "")) * SIZE_UNITS[found[2]]
    if not 1 <= number <= 1024**4:
        raise ValueError("must be from 1 byte to 1024 GiB")
    return number


def choice(*words: str) -> Parser[str]:
    """One of the words; upper and lower case are the same."""

    def parse(value: str) -> str:
        for word in words:
            if word.lower() == value.strip().lower():
                return word
        raise ValueError(f"must be one of {', '.join(words)}")

    return parse


def secret(value: str) -> SecretStr:
    """Kept as it is; never shown."""
    if value != value.strip():
        raise ValueError("begins or ends with a blank; take it away")
    return SecretStr(value)


def signing_key(value: str) -> SecretStr:
    """An Ed25519 private key in PKCS#8 PEM."""
    read_private_key(value)
    return SecretStr(value)


def key_name(value: str) -> str:
    """A name of a key that C2SP's signed notes allow."""
    if not is_key_name(value.strip()):
        raise ValueError("must be a name of a key: at most 255 characters, no blanks, no + and no comma")
    return value.strip()


def verifier_key(value: str) -> str:
    """A C2SP verifier key, `<name>+<id>+<key>`."""
    return str(read_verifier_key(value))


def path(value: str) -> Path:
    return Path(text(value))


def topic(value: str) -> str:
    """A topic name Kafka accepts."""
    if not TOPIC.fullmatch(value) or value in (".", ".."):
        raise ValueError("must be a topic name: at most 249 of the characters A-Z a-z 0-9 . _ -")
    return value


def bucket(value: str) -> str:
    """A bucket name S3 accepts."""
    if not BUCKET.fullmatch(value):
        raise ValueError("must be a bucket name: 3 to 63 of the characters a-z 0-9 . -, a letter or digit at both ends")
    return value


def prefix(value: str) -> str:
    """A prefix of object keys that a source may ask for."""
    if value.startswith("/") or "\\" in value or {"..", "."} & set(value.split("/")):
        raise ValueError("must be an object key prefix without a leading slash, '.', '..' or backslash")
    if not re.fullmatch(r"[A-Za-z0-9!_.*'()/-]{1,512}", value):
        raise ValueError("must be an object key prefix of the characters A-Z a-z 0-9 ! _ . * ' ( ) / -")
    return value


def several(parse: Parser[T]) -> Parser[tuple[T, ...]]:
    """Values separated by commas (a YAML list arrives in the same form)."""

    def parse_all(value: str) -> tuple[T, ...]:
        return tuple(dict.fromkeys(parse(part.strip()) for part in value.split(",") if part.strip()))

    return parse_all


def servers(value: str) -> str:
    """`host:port,host:port`."""
    hosts = [part.strip() for part in value.split(",") if part.strip()]
    for host in hosts:
        found = re.fullmatch(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})", host)
        if found is None or not 0 < int(found[1]) < 65536:
            raise ValueError("must be host:port, several separated by commas")
    if not hosts:
        raise ValueError("must be host:port, several separated by commas")
    return ",".join(hosts)


def context_path(value: str) -> str:
    """`/pas`, or empty for none; never with a slash at the end."""
    if value in ("", "/"):
        return ""
    if not re.fullmatch(r"(?:/[A-Za-z0-9._~-]+)+/?", value):
        raise ValueError("must start with / and hold only letters, digits and . _ ~ - between slashes")
    if {".", ".."} & set(value.split("/")):
        raise ValueError("must not have the segments . and .., which browsers and proxies take out of addresses")
    return value.rstrip("/")


def http_url(value: str) -> str:
    """An absolute http or https URL without credentials and fragment."""
    parts = split_url(value)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an absolute http or https URL")
    if "@" in parts.netloc:
        raise ValueError("must not contain credentials")
    if parts.fragment:
        raise ValueError("must not have a fragment (#)")
    return value.strip()


def database_url(value: str) -> SecretStr:
    """`postgresql://user:password@host:port/name`; a secret because of the password."""
    parts = split_url(value)
    if parts is None or parts.scheme not in ("postgresql", "postgres"):
        hint = "; drop the leading jdbc: and put the user into the URL" if value.startswith("jdbc:") else ""
        raise ValueError(f"must look like postgresql://user:password@host:port/name{hint}")
    if not parts.hostname and "host=" not in parts.query:
        raise ValueError("names no host")
    if not parts.path.strip("/"):
        raise ValueError("names no database")
    database_options(parts.query)
    for what, encoded in (("user", parts.username), ("password", parts.password)):
        if wrong := stray(unquote(encoded or "")):
            raise ValueError(f"has a {what} that {wrong} (%0A is a line break, %0D a carriage return)")
    return SecretStr(value.strip())


def split_url(value: str) -> SplitResult | None:
    """The parts of a URL, or None when it is not a URL (blanks, a port that is not a number)."""
    if not value.strip() or re.search(r"[\s\x00-\x1f]", value.strip()):
        return None
    try:
        parts = urlsplit(value.strip())
        _ = parts.port
    except ValueError:
        return None
    return parts
