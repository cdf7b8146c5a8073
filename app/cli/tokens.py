"""Where the token of a command comes from: --access-token, PAS_TOKEN, the login, standard input when it is piped."""

import os
import sys
import time
from dataclasses import dataclass
from typing import Protocol

from app.cli import token_store
from app.cli.exits import Ended
from app.cli.jeap_texts import MISSING_TOKEN
from app.cli.options import ServiceOptions
from app.cli.token_store import StoredLogin

EARLY = 30
"""Seconds before its end at which a token is renewed: a request may take so long."""


class TokenSource(Protocol):
    @property
    def source(self) -> str:
        """Where the token comes from, as a text for people."""
        ...

    def token(self) -> str:
        """A token that should be valid now. Raises Ended."""
        ...

    def renew(self) -> bool:
        """Called after a 401; returns whether `token()` now gives another token."""
        ...


@dataclass(frozen=True)
class GivenToken:
    """One token that was given; it cannot be renewed."""

    value: str
    source: str

    def token(self) -> str:
        return self.value

    def renew(self) -> bool:
        return False


@dataclass
class OfLogin:
    """Tokens of the login to the service at `url`, renewed ahead of their end and shared by all processes."""

    url: str
    login: StoredLogin
    debug: bool = False
    source: str = "the login"

    def token(self) -> str:
        if self.login.expires - EARLY < time.time():
            self._renew(self.login)
        return self.login.access_token

    def renew(self) -> bool:
        before = self.login
        self._renew(before)
        return self.login.access_token != before.access_token

    def _renew(self, old: StoredLogin) -> None:
        from app.cli import oauth

        with token_store.one_at_a_time():
            now = token_store.kept(self.url)
            if now is not None and now.access_token != old.access_token:
                self.login = now  # another process was first
                if now.expires - EARLY >= time.time():
                    return
            self.login = oauth.renewed(self.login, self.debug)
            token_store.keep(self.url, self.login)


def find_tokens(service: ServiceOptions, url: str) -> TokenSource:
    """The tokens of the first place that has one. Raises Ended when there is no token."""
    if service.access_token is not None:
        return _given(service.access_token, "--access-token")
    if named := os.environ.get("PAS_TOKEN", "").strip():
        return _given(named, "PAS_TOKEN")
    if (login := token_store.kept(url)) is not None:
        return OfLogin(url, login, service.debug)
    if piped := read_piped():
        return _given(piped, "standard input")
    raise Ended(MISSING_TOKEN, f"Or set PAS_TOKEN, or log in once: pas login --url {url}")


def read_piped() -> str:
    """All of standard input without blanks, line breaks and a byte order mark around it; empty where that is a terminal
    or closed."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        return ""
    return sys.stdin.read().strip().removeprefix("\ufeff").strip()


def _given(token: str, source: str) -> GivenToken:
    token = token.strip().removeprefix("Bearer ").strip()
    if not token:
        raise Ended(MISSING_TOKEN)
    if not token.isascii() or any(character <= " " for character in token):
        raise Ended(f"What {source} gives is no token: it has blanks or characters that no token has.")
    return GivenToken(token, source)
