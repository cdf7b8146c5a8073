"""The login at an issuer: authorization code with PKCE (RFC 7636), renewed by refresh tokens, ended at both sides."""

import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson

from app.api.auth.callers import KeySets
from app.api.auth.tokens import InvalidToken, verify
from app.domain.errors import Unavailable
from app.sessions.sealing import Sealing, UnreadableSeal
from app.sessions.store import SessionTokens
from app.ui.login.issuer import UNSAID_LIFE, IssuerClient, LoginRefused

PURPOSE = b"login"
"""Of what is sealed: the state of a login that is under way."""

LASTS = 600
"""Seconds that a login may take."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The state of a login, which the browser brings back. `address` is where the issuer sends it."""

    state: str
    nonce: str
    verifier: str
    address: str
    following: str
    at: float


class CodeFlow:
    one_click = False

    def __init__(
        self, issuer: IssuerClient, key_sets: KeySets, sealing: Sealing, now: Callable[[], float] = time.time
    ) -> None:
        self._issuer = issuer
        self._key_sets = key_sets
        self._sealing = sealing
        self._now = now
        parts = urlsplit(issuer.client.issuer)
        self.name = parts.netloc
        self.form_targets: tuple[str, ...] = (f"{parts.scheme}://{parts.netloc}",)

    async def begin(self, address: str, following: str) -> tuple[str, bytes]:
        """Where the browser goes, and the sealed state that it keeps. Raises Unavailable."""
        metadata, client = await self._issuer.metadata(), self._issuer.client
        random = [secrets.token_urlsafe(32) for _ in range(3)]
        begun = Begun(random[0], random[1], random[2], address, following, self._now())
        challenge = urlsafe_b64encode(sha256(begun.verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": client.id,
            "redirect_uri": address,
            "scope": client.scope,
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        joined = "&" if "?" in metadata.authorization_endpoint else "?"
        where = f"{metadata.authorization_endpoint}{joined}{urlencode(query)}"
        return where, self._sealing.seal(orjson.dumps(asdict(begun)), PURPOSE)

    async def end(self, sealed: bytes | None, answer: dict[str, str]) -> tuple[SessionTokens, str]:
        """The tokens of who has logged in, and where the browser wanted to go. `answer` is the query of the redirect.

        Raises LoginRefused, Unavailable.
        """
        begun = self._opened(sealed)
        if begun is None or not secrets.compare_digest(begun.state.encode(), answer.get("state", "").encode()):
            raise LoginRefused("the login was begun somewhere else, or took too long; begin it again")
        metadata, client = await self._issuer.metadata(), self._issuer.client
        if answer.get("iss", client.issuer) != client.issuer or (metadata.names_itself and "iss" not in answer):
            raise LoginRefused("the answer is not of this issuer")
        if "error" in answer:
            raise LoginRefused(f"{answer['error']}: {answer.get('error_description', '')}".rstrip(": "))
        body = await self._issuer.tokens(
            {
                "grant_type": "authorization_code",
                "code": answer.get("code", ""),
                "redirect_uri": begun.address,
                "code_verifier": begun.verifier,
            }
        )
        tokens = self._tokens(body, None)
        if tokens.identity is not None:
            await self._check(tokens.identity, begun.nonce)
        return tokens, begun.following

    async def renew(self, tokens: SessionTokens) -> SessionTokens | None:
        try:
            form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh or ""}
            return self._tokens(await self._issuer.tokens(form), tokens)
        except LoginRefused:
            return None

    async def end_session(self, tokens: SessionTokens | None, back: str) -> str | None:
        """Where the browser goes to end the session of the issuer too; None where the issuer has no such place."""
        try:
            metadata = await self._issuer.metadata()
        except Unavailable:
            return None
        place = metadata.end_session_endpoint
        if place is None or tokens is None:
            return None
        query = {"client_id": self._issuer.client.id, "post_logout_redirect_uri": back}
        if tokens.identity is not None:
            query["id_token_hint"] = tokens.identity
        target = "{0.scheme}://{0.netloc}".format(urlsplit(place))
        if target not in self.form_targets:
            self.form_targets = (*self.form_targets, target)
        return f"{place}{'&' if '?' in place else '?'}{urlencode(query)}"

    def _opened(self, sealed: bytes | None) -> Begun | None:
        try:
            begun = Begun(**orjson.loads(self._sealing.open(sealed or b"", PURPOSE)))
        except UnreadableSeal:
            return None
        return begun if self._now() - begun.at < LASTS else None

    def _tokens(self, body: dict[str, Any], before: SessionTokens | None) -> SessionTokens:
        access, life = body.get("access_token"), body.get("expires_in", UNSAID_LIFE)
        if not isinstance(access, str):
            raise LoginRefused("the issuer gave no access token")
        seconds = float(life) if isinstance(life, int | float) else UNSAID_LIFE
        refresh, identity = body.get("refresh_token"), body.get("id_token")
        return SessionTokens(
            access,
            self._now() + seconds,
            refresh if isinstance(refresh, str) else None if before is None else before.refresh,
            identity if isinstance(identity, str) else None if before is None else before.identity,
        )

    async def _check(self, identity: str, nonce: str) -> None:
        """The ID token must be of the issuer, for our client, and of this login. Raises LoginRefused, Unavailable."""
        try:
            claims = await verify(identity, self._key_sets, self._issuer.client.id, self._now)
        except InvalidToken as refused:
            raise LoginRefused(f"the ID token is not accepted: {refused.reason}") from refused
        if claims.get("iss") != self._issuer.client.issuer or claims.get("nonce") != nonce:
            raise LoginRefused("the ID token is of another login")
