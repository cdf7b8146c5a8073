"""Time and audience of a token whose signature is verified: PyJWT's checks, at a clock that is given."""

from collections.abc import Mapping
from math import ceil, isfinite
from typing import Any

from jwt import (
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAudienceError,
    MissingRequiredClaimError,
    PyJWT,
)

LEEWAY = 30
"""Seconds by which the clocks of issuer and service may differ."""


class ClaimRefused(Exception):
    """The text is one of a few fixed ones and contains nothing of the token."""


class _Checks(PyJWT):
    """PyJWT's checks of claims alone.

    `PyJWT.decode` knows only the clock of the system, and would verify the signature with one key only.
    """

    def check(self, times: dict[str, Any], audiences: list[str], audience: str | None, now: float) -> None:
        self._validate_exp(times, now, LEEWAY)
        if "nbf" in times:
            self._validate_nbf(times, now, LEEWAY)
        if audience is not None:
            self._validate_aud({"aud": audiences}, audience)


_CHECKS = _Checks()


def check_claims(claims: Mapping[str, Any], audience: str | None, now: float) -> None:
    """`exp` is required, `nbf` is not; both in seconds since the epoch, as `now`. `iat` says nothing about validity.

    `audience`: None for anyone. Raises ClaimRefused.
    """
    if "exp" not in claims:
        raise ClaimRefused("token without expiry")
    times = {name: _seconds(claims[name]) for name in ("exp", "nbf") if name in claims}
    audiences = claims.get("aud")
    texts = [each for each in (audiences if isinstance(audiences, list) else [audiences]) if isinstance(each, str)]
    try:
        _CHECKS.check(times, texts, audience, now)
    except ExpiredSignatureError:
        raise ClaimRefused("token expired") from None
    except ImmatureSignatureError:
        raise ClaimRefused("token not valid yet") from None
    except (InvalidAudienceError, MissingRequiredClaimError):
        raise ClaimRefused("audience does not match") from None


def _seconds(value: object) -> int:
    """A time as a whole number, rounded up: PyJWT cuts fractions off, and takes texts and true for numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and isfinite(value):
        return ceil(value)
    raise ClaimRefused("malformed token")
