"""The issuer: how it is found, and the grants that give tokens (client credentials, refresh, device code)."""

import time
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote_plus

import httpx

from app.cli.exact import read_json
from app.cli.exchange import http_client, reached, warn_if_plain
from app.cli.exits import Ended
from app.cli.options import checked_url
from app.cli.token_store import StoredLogin

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"

UNSAID_LIFE = 300
"""Seconds for which a token counts as valid when the answer does not say it."""

_PLACES = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")


@dataclass(frozen=True, slots=True)
class LoginIssuer:
    name: str
    token_endpoint: str
    device_endpoint: str | None
    scopes: tuple[str, ...]


class Refusal(Ended):
    """A token endpoint refused; `error` is its error code (RFC 6749)."""

    def __init__(self, error: str, *lines: str) -> None:
        super().__init__(*lines)
        self.error = error


def find_issuer(name: str, debug: bool) -> LoginIssuer:
    """The issuer from its metadata (OpenID discovery, else RFC 8414). Raises Ended."""
    if not name.startswith(("http://", "https://")):
        raise Ended(f"The issuer {name} has no address, so nobody can log in there.")
    name = checked_url(name, "The issuer")
    warn_if_plain(name, "secrets go")
    with http_client(debug) as http, reached(name, "The issuer"):
        for place in _PLACES:
            response = http.get(name + place)
            if response.is_success:
                return _issuer(name, _object(response))
    raise Ended(f"{name} does not say how to log in (no {_PLACES[0]}).", "Is this the issuer?")


def _issuer(name: str, metadata: dict[str, Any]) -> LoginIssuer:
    if str(metadata.get("issuer", "")).rstrip("/") != name:
        raise Ended(f"The issuer {name} calls itself {metadata.get('issuer')}: it is not trusted.")
    endpoint = metadata.get("token_endpoint")
    if not isinstance(endpoint, str):
        raise Ended(f"The issuer {name} names no token endpoint.")
    scopes = metadata.get("scopes_supported")
    return LoginIssuer(
        name, endpoint, metadata.get("device_authorization_endpoint"), tuple(scopes) if isinstance(scopes, list) else ()
    )


def with_secret(issuer: LoginIssuer, client_id: str, secret: str, scope: str | None, debug: bool) -> StoredLogin:
    """Client credentials. Raises Ended."""
    form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
    answer = ask(
        issuer.token_endpoint, form, debug, auth=(quote_plus(client_id), quote_plus(secret))
    )  # RFC 6749, 2.3.1
    return replace(login_of(issuer.name, client_id, answer), client_secret=secret, scope=scope)


def renewed(login: StoredLogin, debug: bool) -> StoredLogin:
    """A login with another token. Raises Ended where it takes a person to log in again."""
    issuer = find_issuer(login.issuer, debug)
    try:
        if login.client_secret is not None:
            return with_secret(issuer, login.client_id, login.client_secret, login.scope, debug)
        if login.refresh_token is None:
            raise Ended("The login has expired.", "Log in again: pas login")
        form = {"grant_type": "refresh_token", "refresh_token": login.refresh_token, "client_id": login.client_id}
        fresh = login_of(login.issuer, login.client_id, ask(issuer.token_endpoint, form, debug))
    except Refusal as refusal:
        raise Ended("The login is no longer good.", *refusal.lines, "Log in again: pas login") from refusal
    return fresh if fresh.refresh_token else replace(fresh, refresh_token=login.refresh_token)


def ask(endpoint: str, form: dict[str, str], debug: bool, auth: tuple[str, str] | None = None) -> dict[str, Any]:
    """One request to a token or device endpoint. Raises Refusal for an error of OAuth, Ended for any other."""
    with http_client(debug) as http, reached(endpoint, "The issuer"):
        response = http.post(
            endpoint, data=form, headers={"Accept": "application/json"}, auth=auth or httpx.USE_CLIENT_DEFAULT
        )
    if response.is_success:
        return _object(response)
    try:
        body = read_json(response.text)
    except ValueError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("error"), str):
        raise Ended(f"The issuer answered with HTTP {response.status_code} ({endpoint}).")
    about = f": {body['error_description']}" if body.get("error_description") else ""
    raise Refusal(body["error"], f"The issuer refused: {body['error']}{about}")


def _object(response: httpx.Response) -> dict[str, Any]:
    try:
        body = read_json(response.text)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Ended(f"{response.request.url} does not answer with JSON.", "Is this the issuer?")
    return body


def login_of(issuer: str, client_id: str, answer: dict[str, Any]) -> StoredLogin:
    token = answer.get("access_token")
    if not isinstance(token, str):
        raise Ended(f"The issuer {issuer} answered without a token.")
    life = answer.get("expires_in", UNSAID_LIFE)
    expires = time.time() + (life if isinstance(life, int | float) else UNSAID_LIFE)
    return StoredLogin(issuer, client_id, token, expires, answer.get("refresh_token"))
