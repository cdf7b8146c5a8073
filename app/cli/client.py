"""The HTTP client of all commands: requests with a token, answers as JSON, errors as readable lines."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import httpx

from app.cli.answers import Answer, read_answer
from app.cli.exact import read_json
from app.cli.exchange import http_client, reached, warn_if_plain
from app.cli.exits import Answered, Ended
from app.cli.options import ServiceOptions
from app.cli.tokens import TokenSource, find_tokens

_WAYS_OUT = {
    401: "Log in (again) with `pas login`, or give another token with --access-token or PAS_TOKEN.",
    403: "`pas whoami` shows the roles that your token has; docs/operations.md says which one is needed.",
    413: "Split it into several jobs; the limits are in the settings of the service.",
}


def path_of(*parts: str) -> str:
    """A path whose parts mean nothing but themselves: `path_of("api", "jobs", job)`."""
    return "/" + "/".join(quote(part, safe="", errors="replace") for part in parts)


@dataclass
class Client:
    """The service at one address, as one caller. Use it in `with`."""

    url: str
    tokens: TokenSource
    debug: bool = False
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = http_client(self.debug)
        warn_if_plain(self.url, "your token goes")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def get(self, path: str, params: "Params | None" = None) -> Answer:
        """The JSON of an answer. Raises Ended, Answered."""
        return self._json("GET", path, params=params)

    def post(self, path: str, body: Any = None, *, params: "Params | None" = None) -> Answer:
        """The JSON of an answer to a JSON body, or to none. Raises Ended, Answered."""
        return self._json("POST", path, json=body, params=params)

    def post_bytes(self, path: str, body: bytes, headers: Mapping[str, str], params: "Params | None" = None) -> Answer:
        """The JSON of an answer to a body of another type. Raises Ended, Answered."""
        return self._json("POST", path, content=body, headers=headers, params=params)

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """A whole answer of the statuses 2xx. Raises Ended, Answered."""
        with self.opened(method, path, **more) as response, reached(self.url):
            response.read()
            return response

    @contextmanager
    def opened(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        kind: str | None = None,
        **more: Any,
    ) -> Iterator[httpx.Response]:
        """An answer of the statuses 2xx whose body is still to come. Raises Ended, Answered.

        `kind` is the only media type that the service answers with: anything else comes from a proxy or a login page.
        A token of the login that is no longer taken is renewed once.
        """
        more = {name: value for name, value in more.items() if value is not None}
        response = self._send(method, path, headers or {}, more)
        try:
            if response.status_code == 401 and self.tokens.renew():
                response.close()
                response = self._send(method, path, headers or {}, more)
            if not response.is_success:
                with reached(self.url):
                    response.read()
                raise refusal(response)
            if kind not in (None, _kind(response)):
                raise self.no_service(response)
            yield response
        finally:
            response.close()

    def _send(self, method: str, path: str, headers: Mapping[str, str], more: dict[str, Any]) -> httpx.Response:
        with reached(self.url):
            authorization = {"Authorization": f"Bearer {self.tokens.token()}"}
            request = self.http.build_request(method, self.url + path, headers={**authorization, **headers}, **more)
            return self.http.send(request, stream=True)

    def _json(self, method: str, path: str, **more: Any) -> Answer:
        return read_answer(self.request(method, path, kind="application/json", **more).text)

    def no_service(self, response: httpx.Response) -> Ended:
        """The error of an answer of the statuses 2xx that the service does not give."""
        what = _kind(response) or "no content type"
        return Ended(
            f"What answers at {self.url} is not the service ({response.status_code}, {what}).",
            "Is the address right, with its context path?",
        )


def _kind(response: httpx.Response) -> str:
    """Its media type without parameters, in lower case; empty where there is none."""
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


Params = Mapping[str, Any] | list[tuple[str, str]]


def connect(service: ServiceOptions) -> Client:
    """The client that the options mean. Raises Ended."""
    url = service.address()
    return Client(url, find_tokens(service, url), service.debug)


class ProblemTexts(NamedTuple):
    """The texts of an error answer; `mistakes` are the `errors` of the problem."""

    title: str
    detail: str
    mistakes: tuple[dict[str, Any], ...]


def problem_of(response: httpx.Response) -> ProblemTexts:
    try:
        body = read_json(response.text)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return ProblemTexts(response.reason_phrase, "", ())
    errors = body.get("errors")
    mistakes = tuple(each for each in errors if isinstance(each, dict)) if isinstance(errors, list) else ()
    return ProblemTexts(str(body.get("title") or response.reason_phrase), str(body.get("detail") or ""), mistakes)


def refusal(response: httpx.Response) -> Answered:
    """The error of an answer as readable lines: detail, mistakes, way out."""
    problem = problem_of(response)
    status = response.status_code
    what = problem.detail or problem.title or "the service says no more"
    lines = [f"Error: {what} (HTTP {status})", *mistake_lines(problem.mistakes)]
    if status == 404 and not problem.detail:
        lines = [
            f"Error: The service has no {response.request.url.path} (HTTP 404)",
            "Is the address right, with its context path? Is the service older than this command line, or are its jobs "
            "switched off (jeap.processarchive.backfill.enabled)?",
        ]
    elif status in (429, 503) and (after := response.headers.get("retry-after")):
        lines.append(f"Try again in {after} s.")
    elif 300 <= status < 400:
        lines = [f"Error: {response.request.url} leads to another address; give that one with --url (HTTP {status})"]
    elif status in _WAYS_OUT:
        lines.append(_WAYS_OUT[status])
    return Answered(*lines, status=status, detail=problem.detail, mistakes=problem.mistakes)


def mistake_lines(mistakes: tuple[dict[str, Any], ...]) -> list[str]:
    """`  archiveDataReferences[3].id (line 9): is missing`, one for each mistake."""
    lines = []
    for mistake in mistakes:
        path, line = str(mistake.get("path") or ""), mistake.get("line")
        where = f"{path} (line {line})" if path and line else path or (f"line {line}" if line else "")
        lines.append(f"  {where}{': ' if where else ''}{mistake.get('message', '')}")
    return lines
