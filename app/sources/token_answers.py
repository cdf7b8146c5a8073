"""Reads the answer of a token endpoint: unpacked, checked, and for how long the token may be used."""

import json
import re
import zlib
from dataclasses import dataclass, field

from app.sources.body import PACKED, Inflater

ASSUMED_LIFETIME = 60.0
"""Seconds a token is used for when the answer does not say how long it lives."""

LONGEST_LIFETIME = 86_400.0

EARLIEST_RENEWAL = 30.0
"""Seconds before its end a token is renewed; a tenth of its life where that is less."""

LARGEST_ANSWER = 64 * 1024

TOKEN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Token:
    """`expires_at` is a time of its cache's clock, already shortened: from then on the token is not used any more."""

    value: str = field(repr=False)
    expires_at: float


def unpacked(content: bytes, encoding: str) -> bytes:
    """The answer without gzip or deflate, at most `LARGEST_ANSWER` bytes of it; empty when it cannot be unpacked.

    The request does not allow compression, but some proxies compress anyway. A truncated or corrupt answer gives no
    token.
    """
    if not encoding or not content:
        return content
    if encoding not in PACKED:
        return b""
    parts, size = [], 0
    try:
        for piece in Inflater(encoding, content).feed(content):
            parts.append(piece)
            size += len(piece)
            if size > LARGEST_ANSWER:
                break
    except zlib.error:
        return b""
    return b"".join(parts)[:LARGEST_ANSWER]


def token_of(content: bytes, started: float) -> Token:
    """The token of an answer. Raises ValueError, which says what is wrong."""
    answer = parsed(content)
    value, kind = answer.get("access_token"), answer.get("token_type", "Bearer")
    if not isinstance(value, str) or not TOKEN.fullmatch(value):
        raise ValueError("the answer has no access token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise ValueError("the token is not a bearer token")
    lifetime = _lifetime(answer.get("expires_in"))
    return Token(value, started + lifetime - min(EARLIEST_RENEWAL, lifetime / 10))


def _lifetime(expires_in: object) -> float:
    if isinstance(expires_in, str) and expires_in.isascii() and expires_in.isdigit() and len(expires_in) < 10:
        expires_in = int(expires_in)
    if isinstance(expires_in, int | float) and not isinstance(expires_in, bool):
        return float(min(max(expires_in, 0), LONGEST_LIFETIME))
    return ASSUMED_LIFETIME


def parsed(content: bytes) -> dict[str, object]:
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}
