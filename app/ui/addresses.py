"""Addresses as the browser sees them: below the context path, on loopback or beyond."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import Request

START = "/ui/"
"""The first address of the page, behind the context path."""


def at(request: Request, path: str) -> str:
    """The path with the context path before it."""
    return f"{request.scope.get('root_path', '')}{path}"


def host_of(request: Request) -> str:
    """The host that the browser named, without its port."""
    return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""


def on_loopback(request: Request) -> bool:
    """Whether the browser named this machine: then nobody else's name leads here, whatever a name server says."""
    host = host_of(request)
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def from_loopback(request: Request) -> bool:
    """Whether the connection is from this machine."""
    try:
        return request.client is not None and ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def address_of(request: Request, given: str | None) -> str:
    """Scheme, host and context path as the browser sees them: `given`, else as the request says.

    Beyond loopback it is https: the cookie of the session is sent over nothing else.
    """
    if given is not None:
        return given.rstrip("/")
    scheme = request.url.scheme if on_loopback(request) else "https"
    return f"{scheme}://{request.headers.get('host', '')}{request.scope.get('root_path', '')}"


def inside(request: Request, address: str | None) -> str:
    """The address, where it is one of this page; else its start. Nobody is led elsewhere by a link."""
    start = at(request, START)
    if address is None or not address.startswith(start) or any(c in address for c in "\\\r\n\t") or "//" in address:
        return start
    return start if urlsplit(address).path.startswith(at(request, "/ui/login")) else address
