"""The issuer at which one logs in: its metadata (OpenID discovery), and the requests for tokens."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

import httpx
import orjson

from app.domain.errors import Unavailable
from app.domain.readiness import ISSUER

KEPT = 600.0
"""Seconds for which the metadata is kept."""

TIMEOUT = 10.0
"""Seconds for a request to the issuer."""

UNSAID_LIFE = 300
"""Seconds for which an access token counts as valid when the answer does not say it."""

PLACE = "/.well-known/openid-configuration"


class LoginRefused(Exception):
    """The issuer refuses; the text is its error code and description."""


@dataclass(frozen=True, slots=True)
class LoginClient:
    """The client with which the page logs people in. `secret`: None for a public client."""

    issuer: str
    id: str
    secret: str | None
    scope: str


@dataclass(frozen=True, slots=True)
class IssuerMetadata:
    authorization_endpoint: str
    token_endpoint: str
    end_session_endpoint: str | None
    in_body: bool
    """Whether the secret goes into the body, as the issuer takes no basic authentication."""
    names_itself: bool
    """Whether its answers name it (RFC 9207)."""


class IssuerClient:
    """`http` makes a client for each request. Every method raises Unavailable."""

    def __init__(
        self,
        client: LoginClient,
        http: Callable[[], httpx.AsyncClient],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self._http = http
        self._monotonic = monotonic
        self._metadata: IssuerMetadata | None = None
        self._read_at = 0.0

    async def metadata(self) -> IssuerMetadata:
        if self._metadata is None or self._monotonic() - self._read_at > KEPT:
            try:
                self._metadata = _metadata(self.client.issuer, await self._read())
                self._read_at = self._monotonic()
            except Unavailable:
                if self._metadata is None:
                    raise  # an older one is good for longer while the issuer is away
        return self._metadata

    async def tokens(self, form: dict[str, str]) -> dict[str, Any]:
        """The answer of the token endpoint. Raises LoginRefused."""
        metadata, client = await self.metadata(), self.client
        fields, headers = {**form, "client_id": client.id}, {"Accept": "application/json"}
        auth: Any = httpx.USE_CLIENT_DEFAULT
        if client.secret is not None and metadata.in_body:
            fields["client_secret"] = client.secret
        elif client.secret is not None:
            del fields["client_id"]
            auth = (quote_plus(client.id), quote_plus(client.secret))  # RFC 6749, 2.3.1
        try:
            async with self._http() as http:
                answer = await http.post(
                    metadata.token_endpoint, data=fields, headers=headers, auth=auth, timeout=TIMEOUT
                )
        except httpx.HTTPError as error:
            raise Unavailable(ISSUER, f"{client.issuer}: {str(error) or type(error).__name__}") from error
        body = _object(answer)
        if answer.is_success and body is not None:
            return body
        if body is not None and isinstance(body.get("error"), str):
            raise LoginRefused(f"{body['error']}: {body.get('error_description', '')}".rstrip(": "))
        raise Unavailable(ISSUER, f"{client.issuer}: HTTP {answer.status_code}")

    async def _read(self) -> dict[str, Any]:
        address = self.client.issuer.rstrip("/") + PLACE
        try:
            async with self._http() as http:
                answer = await http.get(address, headers={"Accept": "application/json"}, timeout=TIMEOUT)
        except httpx.HTTPError as error:
            raise Unavailable(ISSUER, f"{address}: {str(error) or type(error).__name__}") from error
        body = _object(answer)
        if not answer.is_success or body is None:
            raise Unavailable(ISSUER, f"{address}: HTTP {answer.status_code}")
        return body


def _metadata(issuer: str, body: dict[str, Any]) -> IssuerMetadata:
    """Raises Unavailable for the metadata of another issuer, or without what a login needs."""
    if body.get("issuer") != issuer:
        raise Unavailable(ISSUER, f"{issuer} calls itself {body.get('issuer')}")
    authorization, token = body.get("authorization_endpoint"), body.get("token_endpoint")
    if not isinstance(authorization, str) or not isinstance(token, str):
        raise Unavailable(ISSUER, f"{issuer} names no endpoints for a login")
    methods = body.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    end = body.get("end_session_endpoint")
    return IssuerMetadata(
        authorization,
        token,
        end if isinstance(end, str) else None,
        isinstance(methods, list) and "client_secret_basic" not in methods and "client_secret_post" in methods,
        body.get("authorization_response_iss_parameter_supported") is True,
    )


def _object(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        body = orjson.loads(answer.content)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
