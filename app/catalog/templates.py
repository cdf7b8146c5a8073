"""Checks source endpoint templates: the addresses with `{id}` and `{version}` in archive type configurations."""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

PLACEHOLDERS = ("id", "version")


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


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
