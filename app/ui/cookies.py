"""The cookies of the page: the key of the session, and the state of a login that is under way."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Literal, TypedDict

from fastapi import Request, Response

from app.sessions.store import LASTS
from app.ui.addresses import at, on_loopback

UNDER_WAY = 600
"""Seconds that a login may take."""


def session_key(request: Request) -> str | None:
    return request.cookies.get(_name(request, "session"))


def keep_session(request: Request, response: Response, key: str) -> None:
    _set(request, response, "session", key, int(LASTS.total_seconds()))


def forget_session(request: Request, response: Response) -> None:
    response.delete_cookie(_name(request, "session"), **_attributes(request))


def login_state(request: Request) -> bytes | None:
    """The sealed state of the login; None where there is none."""
    text = request.cookies.get(_name(request, "login"), "")
    try:
        return urlsafe_b64decode(text) or None
    except ValueError:
        return None


def keep_login_state(request: Request, response: Response, sealed: bytes) -> None:
    _set(request, response, "login", urlsafe_b64encode(sealed).decode(), UNDER_WAY)


def forget_login_state(request: Request, response: Response) -> None:
    response.delete_cookie(_name(request, "login"), **_attributes(request))


def _set(request: Request, response: Response, name: str, value: str, age: int) -> None:
    response.set_cookie(_name(request, name), value, max_age=age, **_attributes(request))


class _Attributes(TypedDict):
    path: str
    httponly: bool
    samesite: Literal["lax"]
    secure: bool


def _attributes(request: Request) -> _Attributes:
    return {"path": at(request, "/ui/"), "httponly": True, "samesite": "lax", "secure": not on_loopback(request)}


def _name(request: Request, name: str) -> str:
    """On loopback with the port: browsers send the cookies of one host to all its ports, where others may listen."""
    host, colon, port = request.headers.get("host", "").rpartition(":")
    return f"pas_{name}_{port}" if colon and host and port.isdigit() and on_loopback(request) else f"pas_{name}"
