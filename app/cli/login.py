"""`pas login`, `logout` and `whoami`."""

import json
import os
import time
from base64 import urlsafe_b64decode
from binascii import Error as NoBase64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import Parameter

from app.cli import oauth, token_store
from app.cli.exact import read_json
from app.cli.exchange import http_client, reached
from app.cli.exits import Ended, NoAnswer, wrong_usage
from app.cli.oauth import LoginIssuer, Refusal
from app.cli.options import ANY, Output, ServiceOptions
from app.cli.show import thing
from app.cli.streams import say, tell
from app.cli.token_store import StoredLogin
from app.cli.tokens import find_tokens, read_piped

METADATA = "/.well-known/oauth-protected-resource"

POLL = 5.0
"""Seconds between two questions whether the person has logged in, where the issuer says none (RFC 8628)."""

DEV_ISSUER = "urn:pas:dev:"
"""Begin of the issuers of embedded services."""


def login(
    *,
    issuer: Annotated[str | None, Parameter(help="Where one logs in. [default: the service says it]")] = None,
    client_id: Annotated[
        str | None,
        Parameter(
            help="Client of the issuer; with its secret on standard input or in PAS_CLIENT_SECRET, the client itself."
        ),
    ] = None,
    scope: Annotated[str | None, Parameter(help="Scopes to ask for, separated by blanks.")] = None,
    service: ServiceOptions = ANY,
) -> None:
    """Log in to the service, once: tokens are kept and renewed by themselves."""
    url, profile = service.address(), service.chosen()
    named, client = issuer or profile.issuer, client_id or profile.client_id
    if named is None or client is None:
        metadata = _login_metadata(url, service.debug)
        named = named or _only_issuer(metadata, url)
        client = client or metadata.get("cli_client_id")
    if named.startswith(DEV_ISSUER):
        raise Ended(
            "This is an embedded service: it trusts its own tokens only.", "Take one: export PAS_TOKEN=$(pas dev-token)"
        )
    if not client:
        wrong_usage("As which client? The service names none: give --client-id.")
    found = oauth.find_issuer(named, service.debug)
    secret = _secret() if client_id or profile.client_id else ""
    if secret:
        made = oauth.with_secret(found, client, secret, scope, service.debug)
    else:
        made = by_device(found, client, scope, service.debug)
    where = token_store.keep(url, made)
    say(f"Logged in to {url} as {_name(made)}.")
    tell(f"The login is kept in {where}; `pas logout` forgets it.")


def _secret() -> str:
    return os.environ.get("PAS_CLIENT_SECRET", "").strip() or read_piped()


def _login_metadata(url: str, debug: bool) -> dict[str, Any]:
    """The OAuth metadata of the service (RFC 9728). Raises Ended."""
    with http_client(debug) as http, reached(url):
        response = http.get(url + METADATA)
    try:
        body = read_json(response.text) if response.is_success else None
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Ended(
            f"{url} does not say where one logs in (HTTP {response.status_code}).",
            "Give both: --issuer and --client-id.",
        )
    return body


def _only_issuer(metadata: dict[str, Any], url: str) -> str:
    issuers = metadata.get("authorization_servers")
    if not isinstance(issuers, list) or not issuers:
        raise Ended(f"{url} names no issuer.", "Give it: --issuer.")
    if len(issuers) > 1:
        wrong_usage("The service trusts several issuers; name one with --issuer:", *(f"  {each}" for each in issuers))
    return str(issuers[0])


def by_device(
    issuer: LoginIssuer, client_id: str, scope: str | None, debug: bool, pause: Callable[[float], None] = time.sleep
) -> StoredLogin:
    """Device authorization grant (RFC 8628): the person logs in somewhere else. Raises Ended."""
    if issuer.device_endpoint is None:
        raise Ended(
            f"The issuer {issuer.name} has no login by device code.",
            "Log in as a client: --client-id with the secret on standard input, or give a token with PAS_TOKEN.",
        )
    wanted = scope or " ".join(["openid", *(["offline_access"] if "offline_access" in issuer.scopes else [])])
    asked = oauth.ask(issuer.device_endpoint, {"client_id": client_id, "scope": wanted}, debug)
    _show_code(asked)
    form = {"grant_type": oauth.DEVICE_CODE, "device_code": str(asked.get("device_code")), "client_id": client_id}
    wait, left = float(asked.get("interval") or POLL), float(asked.get("expires_in") or 600)
    while left > 0:
        pause(wait)
        left -= wait
        try:
            return oauth.login_of(issuer.name, client_id, oauth.ask(issuer.token_endpoint, form, debug))
        except NoAnswer:
            wait += POLL  # the person is still at it; RFC 8628 asks for less after a timeout
        except Refusal as refusal:
            if refusal.error == "slow_down":
                wait += POLL
            elif refusal.error == "access_denied":
                raise Ended("The login was refused.") from refusal
            elif refusal.error == "expired_token":
                break
            elif refusal.error != "authorization_pending":
                raise
    raise Ended("Nobody logged in in time.", "Try again: pas login")


def _show_code(asked: dict[str, Any]) -> None:
    tell(f"Open  {asked.get('verification_uri')}\nand enter the code  {asked.get('user_code')}")
    if asked.get("verification_uri_complete"):
        tell(f"or open  {asked['verification_uri_complete']}")
    tell("Waiting until that is done; Ctrl-C gives up …")


def logout(*, service: ServiceOptions = ANY) -> None:
    """Forget the login to the service."""
    url = service.address()
    if token_store.kept(url) is None:
        say(f"There was no login to {url}.")
        return
    token_store.forget(url)
    say(f"The login to {url} is forgotten.")


def whoami(*, output: Output = "table", service: ServiceOptions = ANY) -> None:
    """Show what your token says of you; the service is not asked."""
    url = service.address()
    tokens = find_tokens(service, url)
    claims = claims_of(tokens.token())
    expires = claims.get("exp")
    ends = datetime.fromtimestamp(expires, UTC) if isinstance(expires, int) else None
    found = {
        "service": url,
        "name": claims.get("name"),
        "extId": claims.get("ext_id"),
        "subject": claims.get("sub"),
        "client": claims.get("azp") or claims.get("client_id"),
        "issuer": claims.get("iss"),
        "audience": claims.get("aud"),
        "roles": _roles(claims),
        "expires": None if ends is None else ends.isoformat().replace("+00:00", "Z"),
        "from": tokens.source,
    }
    shown = {name: "\n".join(text) if isinstance(text, list) else str(text or "") for name, text in found.items()}
    if ends is not None:
        expired = " (it has expired)" if ends.timestamp() < time.time() else ""
        shown["expires"] = f"{ends.astimezone():%Y-%m-%d %H:%M:%S}{expired}"
    names = {"extId": "ext id", "from": "token from"}
    thing(found, [(names.get(name, name), text) for name, text in shown.items()], output)


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a JWT, not verified: the service verifies them. Raises Ended for a text that is no JWT."""
    try:
        _, payload, _ = token.split(".")
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, NoBase64):
        claims = None
    if not isinstance(claims, dict):
        raise Ended("The token is no JWT, so it does not say who you are.")
    return claims


def _roles(claims: dict[str, Any]) -> list[str]:
    """The roles, from all claims in which issuers put them."""
    access = claims.get("realm_access")
    partners = claims.get("bproles")
    places = [
        *(claims.get(name) for name in ("userroles", "roles", "permissions", "scope", "scp")),
        access.get("roles") if isinstance(access, dict) else None,
        *(partners.values() if isinstance(partners, dict) else ()),
    ]
    words = (place.split() if isinstance(place, str) else place for place in places)
    return list(dict.fromkeys(str(word) for each in words if isinstance(each, list) for word in each))


def _name(made: StoredLogin) -> str:
    try:
        claims = claims_of(made.access_token)
    except Ended:
        return made.client_id
    return str(claims.get("name") or claims.get("sub") or made.client_id)
