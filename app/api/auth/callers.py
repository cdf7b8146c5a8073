"""Who may call: makes a Caller of a bearer token, and checks the roles of the caller."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from app.api.auth.key_sets import IssuerOptions, KeySets, RefreshIntervals, RemoteKeys, StaticKeys
from app.api.auth.roles import Caller, caller_of
from app.api.auth.tokens import InvalidToken, verify
from app.api.http.problems import ApiProblem

__all__ = [
    "Authenticator",
    "Caller",
    "IssuerOptions",
    "KeySets",
    "RefreshIntervals",
    "RemoteKeys",
    "ResourceServerOptions",
    "StaticKeys",
]


@dataclass(frozen=True, slots=True)
class ResourceServerOptions:
    """`system_name`: semantic roles of this system count, None: of no system. `audience`: None accepts any audience."""

    system_name: str | None = None
    audience: str | None = None
    issuers: tuple[IssuerOptions, ...] = ()


class Authenticator:
    """Identifies callers by their tokens. `now` is in seconds since the epoch."""

    def __init__(self, options: ResourceServerOptions, key_sets: KeySets, now: Callable[[], float] = time.time) -> None:
        self.options = options
        self.key_sets = key_sets
        self._now = now

    async def caller(self, headers: list[str]) -> Caller:
        """The caller of a request with these `Authorization` headers.

        Raises ApiProblem 401 with its challenge, or Unavailable before the issuer's first keys are there.
        """
        try:
            if len(headers) > 1:
                raise InvalidToken("more than one authorization header")
            scheme, _, token = (headers[0] if headers else "").strip(" ").partition(" ")
            if scheme.lower() != "bearer" or not token:
                raise unauthorized(None)
            claims = await verify(token.strip(" "), self.key_sets, self.options.audience, self._now)
        except InvalidToken as error:
            raise unauthorized(error.reason) from None
        return caller_of(claims, self.options.system_name)

    def check(self, caller: Caller, resource: str, operation: str) -> None:
        """Raises ApiProblem 403 that names the missing role."""
        if not caller.has(resource, operation):
            raise forbidden(resource, operation, self.options.system_name)


def unauthorized(reason: str | None) -> ApiProblem:
    """A 401. `reason` is None when no token was sent; then the challenge has no error (RFC 6750, 3.1)."""
    if reason is None:
        return ApiProblem(401, "A bearer token is required.", headers={"WWW-Authenticate": "Bearer"})
    challenge = f'Bearer error="invalid_token", error_description="{reason}"'
    return ApiProblem(401, f"The token is not accepted: {reason}.", headers={"WWW-Authenticate": challenge})


def forbidden(resource: str, operation: str, system: str | None) -> ApiProblem:
    role = f"{resource}:{operation}"
    semantic = f" ({system}_@{resource}_#{operation})" if system else ""
    return ApiProblem(
        403, f"The role {role}{semantic} is missing.", headers={"WWW-Authenticate": 'Bearer error="insufficient_scope"'}
    )
