"""Verification of a bearer token: form, issuer, signature, then time and audience."""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from app.api.auth.claims import ClaimRefused, check_claims
from app.api.auth.jwks import ALGORITHMS, VerificationKey
from app.api.auth.key_sets import KeySets, KeySource

MAX_TOKEN = 16 * 1024
"""Characters of a token."""
TYPES = frozenset({"jwt", "at+jwt"})
"""Accepted `typ`; other tokens of the same issuer (logout, DPoP, introspection) are not for a resource server."""

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class InvalidToken(Exception):
    """The token is refused; `reason` is one of a few fixed texts and contains nothing of the token."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ParsedToken:
    """The parts of a token; none of them is verified."""

    algorithm: str
    kid: str | None
    issuer: str
    claims: dict[str, Any]
    signed: bytes
    signature: bytes


async def verify(token: str, key_sets: KeySets, audience: str | None, now: Callable[[], float]) -> dict[str, Any]:
    """The claims of a token that is signed by a trusted issuer, meant for `audience` (None: for anyone) and valid now.

    `now` is in seconds since the epoch. Raises InvalidToken, or Unavailable before the issuer's first keys are there.
    """
    parsed = parse(token)
    source = key_sets.of(parsed.issuer)
    if source is None:
        raise InvalidToken("issuer not trusted")
    await check_signature(parsed, source)
    try:
        check_claims(parsed.claims, audience, now())
    except ClaimRefused as refused:
        raise InvalidToken(str(refused)) from None
    return parsed.claims


def parse(token: str) -> ParsedToken:
    """Splits a token into its parts. Raises InvalidToken for a token that no key could make valid."""
    if len(token) > MAX_TOKEN or _COMPACT.fullmatch(token) is None:
        raise InvalidToken("malformed token")
    head, body, signature = token.split(".")
    header, claims = _json_object(head), _json_object(body)
    algorithm, kid, typ, issuer = header.get("alg"), header.get("kid"), header.get("typ"), claims.get("iss")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise InvalidToken("algorithm not accepted")
    if not (typ is None or (isinstance(typ, str) and typ.lower().removeprefix("application/") in TYPES)):
        raise InvalidToken("type of token not accepted")
    # No extension is understood, so that every critical one is a reason to refuse (RFC 7515, 4.1.11).
    if "crit" in header or not isinstance(kid, str | None) or not isinstance(issuer, str):
        raise InvalidToken("malformed token")
    return ParsedToken(algorithm, kid, issuer, claims, f"{head}.{body}".encode(), _decode(signature))


async def check_signature(parsed: ParsedToken, source: KeySource) -> None:
    """Raises InvalidToken, Unavailable.

    When no known key fits, the keys are fetched again, as often as `source` allows: a token without key id may be
    signed with a new key, and an issuer may give a new key the id of its old one.
    """

    def fits(keys: Sequence[VerificationKey]) -> bool:
        return any(key.verifies(parsed.algorithm, parsed.signed, parsed.signature) for key in keys)

    keys = await source.candidates(parsed.kid, parsed.algorithm)
    if keys is None:
        raise InvalidToken("unknown key")
    if fits(keys):
        return
    if await source.renewed():
        keys = await source.candidates(parsed.kid, parsed.algorithm)
        if keys is None:
            raise InvalidToken("unknown key")
        if fits(keys):
            return
    raise InvalidToken("signature invalid")


def _json_object(part: str) -> dict[str, Any]:
    try:
        value = json.loads(_decode(part), parse_constant=_no_constant)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise InvalidToken("malformed token") from None
    if not isinstance(value, dict):
        raise InvalidToken("malformed token")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _decode(part: str) -> bytes:
    if len(part) % 4 == 1:
        raise InvalidToken("malformed token")
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))
