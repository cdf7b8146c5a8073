"""How a scripted source answers: rules by glob of the id, and the documents it serves without one."""

import base64
import fnmatch
import gzip
import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.http import Answer

HEADERS = {
    "Content-Type": "application/json",
    "Archive-Data-System": "PSF",
    "Archive-Data-Schema": "OsvRecord",
    "Archive-Data-Schema-Version": "1",
}
_changes = itertools.count(1)


@dataclass(kw_only=True)
class Rule:
    """What happens to requests whose id fits `match`. The first fitting rule counts, in the order they were added."""

    match: str = "*"
    times: int | None = None
    """So many requests, then the rule is used up; None: for ever."""
    over: int = 0
    """Only while more than so many requests are in flight (for 429 and the like); 0: always."""
    status: int = 200
    delay_ms: float = 0
    retry_after: int | str | None = None
    location: str | None = None
    headers: dict[str, str | None] = field(default_factory=dict)
    """Added to the standard ones; None takes a standard one away."""
    body: str | None = None
    body_base64: str | None = None
    """Binary bodies, such as Avro."""
    empty: bool = False
    gzip: bool = False
    changing: bool = False
    """A different document each time."""
    endless: bool = False
    trickle_ms: float = 0
    """One byte of the body in so many milliseconds."""
    drop: str = ""
    """`connection`: closed instead of an answer; `body`: closed in the middle of the body."""

    def applies(self, identifier: str, in_flight: int) -> bool:
        if self.times == 0 or in_flight <= self.over > 0:
            return False
        return self.match == "*" or fnmatch.fnmatchcase(identifier, self.match)

    def answer(self, document: bytes) -> Answer:
        headers = {**HEADERS, **self.headers} if self.status < 300 else dict(self.headers)
        if self.status == 204 or self.status >= 300:
            document = b""
        if self.body is not None:
            document = self.body.encode()
        elif self.body_base64 is not None:
            document = base64.b64decode(self.body_base64)
        elif self.changing and document:
            document = document[:-1] + b', "database_specific": {"change": %d}}' % next(_changes)
        if self.empty:
            document = b""
        if self.gzip:
            document = gzip.compress(document)
            headers["Content-Encoding"] = "gzip"
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if self.location is not None:
            headers["Location"] = self.location
        return Answer(
            status=self.status,
            headers={name: value for name, value in headers.items() if value is not None},
            body=document,
            delay=self.delay_ms / 1000,
            drop=self.drop,
            endless=self.endless,
            trickle=self.trickle_ms / 1000,
        )


class Documents:
    """`<id>.json` of a directory where it exists, else a generated, valid OSV record of about `size` bytes.

    The same id and version give the same bytes.
    """

    def __init__(self, directory: Path | None = None, size: int = 1024) -> None:
        self._files = {path.stem: path.read_bytes() for path in directory.glob("*.json")} if directory else {}
        self._details = json.dumps("x" * max(size - 150, 1)).encode()

    def of(self, identifier: str, version: str | None) -> bytes:
        if identifier in self._files:
            return self._files[identifier]
        name = json.dumps(identifier if identifier.startswith("PSF-") else f"x_{identifier}").encode()
        summary = json.dumps(f"version {version}" if version else "no version").encode()
        return b'{"id": %b, "modified": "2026-01-01T00:00:00Z", "summary": %b, "details": %b}' % (
            name,
            summary,
            self._details,
        )
