"""The requests of tests and helpers to what runs on this machine: each on a connection of its own, without cookies."""

from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

CLIENT = httpx.Client(
    verify=False,
    limits=httpx.Limits(max_keepalive_connections=0),
    cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
    timeout=60,
)
"""`httpx.get` makes a client for each request, and that reads all certificates of the machine: 20 to 60 ms of CPU."""
