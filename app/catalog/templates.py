"""Checks of what an archive type configuration writes in small languages: source templates and extraction paths."""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

PLACEHOLDERS = ("id", "version")
MAX_PATH = 1000
NAME = r"[^.\[\]\"\s\x00-\x1f]+(?: +[^.\[\]\"\s\x00-\x1f]+)*"
QUOTED = r"\[\"(?:[^\"\\\x00-\x1f]|\\[\"\\])+\"\]"
PATH = re.compile(rf"(?:{NAME}|{QUOTED})(?:\.{NAME}|\[(?:[0-9]{{1,6}}|\*)\]|\.?{QUOTED})*")
"""`customer.id`, `items[0].id`, `items[*].id`, `["a.b"].c`; in quotes `\\"` and `\\\\` are escapes."""


def template_mistakes(uri: str, *, allow_insecure: bool) -> Iterator[str]:
    """What is wrong with a source endpoint template, each as one sentence without the template itself."""
    if not re.fullmatch(r"[!-~]+", uri):
        yield "must be a URL of printable ASCII characters; percent-encode others"
        return
    names = re.findall(r"\{([^{}]*)\}", uri)
    if re.search(r"[{}]", re.sub(r"\{[^{}]*\}", "", uri)):
        yield "has an unbalanced brace"
    for name in dict.fromkeys(names):
        if name not in PLACEHOLDERS:
            yield f"has the unknown placeholder {{{name}}}; there are {{id}} and {{version}}"
    if "id" not in names:
        yield "has no placeholder {id}"
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        yield "is not a URL"
        return
    if "{" in parts.scheme + parts.netloc:
        yield "may have placeholders in path and query only"
        return
    if parts.fragment or "#" in uri:
        yield "must not have a fragment (#)"
    if "@" in parts.netloc:
        yield "must not contain credentials; name an OAuth client in oauthClientId"
    if parts.scheme not in ("https", "http") or not host:
        yield "must be an absolute https URL"
    elif parts.scheme == "http" and not allow_insecure and not is_loopback(host):
        yield "must be https; http is accepted for loopback, or with jeap.processarchive.http.allow-insecure"
    segments = re.sub(r"\{[^{}]*\}", "x", parts.path).split("/")
    if {".", ".."} & {segment.lower().replace("%2e", ".") for segment in segments}:
        yield "must not have '.' or '..' as a part of its path"


def path_mistake(path: str) -> str | None:
    """Why a path cannot be read, or None where it can."""
    if not path.strip():
        return "must not be empty"
    if len(path) > MAX_PATH:
        return f"must have at most {MAX_PATH:,} characters"
    if path == "$" or path.startswith(("$.", "$[")):
        return "is written without $, for example customer.id"
    if not PATH.fullmatch(path):
        return 'must look like customer.id, items[0].id, items[*].id or ["a.b"].c'
    return None


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
