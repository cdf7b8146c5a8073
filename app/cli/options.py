"""The options of every command that talks to a service: its address, the token, the profile."""

import os
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from cyclopts import Group, Parameter

from app.cli.exits import wrong_usage
from app.cli.profiles import Profile, read_profile

Format = Literal["table", "json", "yaml", "csv", "ndjson"]

Output = Annotated[Format, Parameter(help="How it is shown.")]


@Parameter(name="*", group=Group("Service", sort_key=100))
@dataclass(frozen=True, kw_only=True)
class ServiceOptions:
    """Which service, and as whom."""

    url: Annotated[str | None, Parameter(help="Address of the service with its context path. [$PAS_URL]")] = None
    access_token: Annotated[
        str | None, Parameter(help="Bearer token. [$PAS_TOKEN, the login, standard input when piped]")
    ] = None
    profile: Annotated[str | None, Parameter(help="Profile of ~/.config/pas/config.toml.")] = None
    debug: Annotated[
        bool, Parameter(negative="", show_default=False, help="Show the exchange with the service, tokens left out.")
    ] = False

    def chosen(self) -> Profile:
        """The profile; raises Ended."""
        return read_profile(self.profile)

    def address(self) -> str:
        """The URL without a slash at its end. Raises Ended where none is given, or what is given is none."""
        named = self.chosen().url if self.profile is not None else None
        url = self.url or named or os.environ.get("PAS_URL") or self.chosen().url
        if not url:
            wrong_usage(
                "Which service? Give --url, or set PAS_URL.",
                'To keep it: [profiles.default] with url = "https://…" in ~/.config/pas/config.toml.',
            )
        return checked_url(url, "The address of the service")


ANY = ServiceOptions()


def checked_url(url: str, what: str) -> str:
    """The URL in the form that is used as a key too. Raises Ended for what is no http(s) address."""
    url = url.strip().rstrip("/")
    wrong = f"{what} must be like https://pas.example.org/context, not {url!r}."
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        wrong_usage(wrong)
    if not valid:
        wrong_usage(wrong)
    if parts.username is not None or parts.query or parts.fragment:
        wrong_usage(f"{what} must have no user, query or fragment: those do not belong into an address.")
    return url
