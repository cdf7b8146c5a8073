"""The HTTP client of all commands: its settings, the output of `--debug`, and its failures as readable errors."""

import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlsplit

import httpx

from app.cli.exits import Ended, NoAnswer
from app.cli.streams import tell

CONNECT = 10.0
"""Seconds until a connection must stand."""

READ = 120.0
"""Seconds without a byte of an answer: a preflight asks the source up to 50 times before it answers."""

SHOWN_BODY = 4000
"""Characters of a body that `--debug` shows."""

_SECRET = ("authorization", "cookie", "set-cookie", "proxy-authorization")
_PUBLIC_FIELDS = ("grant_type", "client_id", "scope")
"""Fields of a token request whose values may be shown."""

FORM = "application/x-www-form-urlencoded"


def http_client(debug: bool, transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """Trusts whom the system trusts; proxies of the environment are used, as curl does. No redirect is followed: a
    token goes to the address that was given, and nowhere else."""
    hooks: dict[str, list[Callable[..., None]]] = {}
    if debug:
        hooks = {"request": [_show_request], "response": [_show_response]}
    try:
        return httpx.Client(
            verify=ssl.create_default_context(),
            timeout=httpx.Timeout(READ, connect=CONNECT),
            headers={"User-Agent": "pas"},
            event_hooks=hooks,
            transport=transport,
        )
    except (ValueError, ImportError) as error:
        raise Ended(f"A proxy of the environment (HTTPS_PROXY, ALL_PROXY, …) cannot be used: {error}") from error


@contextmanager
def reached(url: str, what: str = "The service") -> Iterator[None]:
    """Failures of the connection as NoAnswer, with what can be done."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise NoAnswer(
            f"{what} at {url} did not answer in time.", "Try again; --debug shows how far it came."
        ) from error
    except (httpx.InvalidURL, UnicodeError) as error:  # the latter for what cannot be the name of a host
        if isinstance(error, UnicodeEncodeError) and error.encoding == "utf-8":  # bytes of an argument
            raise Ended(f"{error.object[error.start : error.end]!r} is not UTF-8, and cannot be sent.") from error
        raise Ended(f"{url} is no address: {error}") from error
    except httpx.DecodingError as error:
        raise Ended(
            f"{what} at {url} sends what cannot be read: {error}.", "Is there a proxy that packs what it sends?"
        ) from error
    except httpx.RemoteProtocolError as error:
        raise NoAnswer(
            f"{what} at {url} broke the connection off.", "Try again; --debug shows how far it came."
        ) from error
    except httpx.TransportError as error:
        raise NoAnswer(
            f"{what} at {url} cannot be reached: {reason(error)}.", "Is the address right, and is it running?"
        ) from error


def reason(error: Exception) -> str:
    """Why a connection failed, in the words of the system."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message})"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error).rstrip(".") or type(error).__name__


def _show_request(request: httpx.Request) -> None:
    tell(f"> {request.method} {request.url}")
    _show_headers(">", request.headers)
    try:
        body = request.content
    except httpx.RequestNotRead:
        return
    if request.headers.get("content-type") == FORM:
        tell("> " + ", ".join(f"{key}={_field(key, value)}" for key, value in parse_qsl(body.decode())))
    elif body:
        _show_body(">", body.decode("utf-8", "replace"))


def _show_response(response: httpx.Response) -> None:
    tell(f"< {response.status_code} {response.reason_phrase}")
    _show_headers("<", response.headers)
    kind = response.headers.get("content-type", "").partition(";")[0]
    if not kind.endswith(("json", "yaml")) or response.headers.get("content-disposition"):
        return
    if response.request.headers.get("content-type") == FORM:
        tell("< (the body has tokens and is not shown)")
        return
    if int(response.headers.get("content-length", SHOWN_BODY * 4 + 1)) <= SHOWN_BODY * 4:
        response.read()
        _show_body("<", response.text)


def _show_headers(mark: str, headers: httpx.Headers) -> None:
    for name, value in headers.items():
        tell(f"{mark} {name}: {'…' if name.lower() in _SECRET else value}")


def _show_body(mark: str, text: str) -> None:
    more = "" if len(text) <= SHOWN_BODY else f" … ({len(text)} characters)"
    for line in (text[:SHOWN_BODY] + more).splitlines():
        tell(f"{mark} {line}")


def _field(key: str, value: str) -> str:
    return value if key in _PUBLIC_FIELDS else "…"


def warn_if_plain(url: str, what: str) -> None:
    """One line where a secret leaves this machine unencrypted."""
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        tell(f"Warning: {what} unencrypted to {parts.hostname}; use https.")
        sys.stderr.flush()
