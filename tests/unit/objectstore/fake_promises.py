"""A store of a few versioned objects that keeps what S3 promises, but for what a test switches off."""

import hashlib
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from aiohttp import web

MODE, UNTIL = "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"
CHECKSUM = "x-amz-checksum-sha256"


@dataclass
class Version:
    version_id: str
    etag: str
    headers: dict[str, str]
    modified: datetime


@dataclass
class FakePromises:
    """`ignores` are names of headers of puts that it does not look at; its clock is `ahead`."""

    ignores: set[str] = field(default_factory=set)
    ahead: timedelta = timedelta()
    may_delete: bool = True
    refuses: str = ""
    """Methods that are answered with `refusal`, with blanks between them."""
    refusal: tuple[int, str] = (403, "AccessDenied")
    requests: list[web.Request] = field(default_factory=list)
    objects: dict[str, list[Version]] = field(default_factory=dict)
    """Versions by path, the oldest first."""
    made: int = 0

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def answer(self, request: web.Request, body: bytes) -> web.Response:
        self.requests.append(request)
        answer = self._answer(request, body)
        answer.headers["Date"] = format_datetime(self.now(), usegmt=True)
        return answer

    def puts(self) -> int:
        return sum(request.method == "PUT" for request in self.requests)

    def versions(self) -> list[Version]:
        return [version for versions in self.objects.values() for version in versions]

    def _answer(self, request: web.Request, body: bytes) -> web.Response:
        if request.method in self.refuses.split():
            return error(*self.refusal)
        versions = self.objects.setdefault(request.path, [])
        wanted = request.query.get("versionId")
        found = [version for version in versions if wanted in (None, version.version_id)][-1:]
        if request.method == "PUT":
            return self._put(request, body, versions)
        if request.method == "DELETE":
            return self._delete(versions, found)
        if not found:
            return web.Response(status=404)
        headers = {"ETag": found[0].etag, "x-amz-version-id": found[0].version_id, **found[0].headers}
        return web.Response(headers={**headers, "Last-Modified": format_datetime(found[0].modified, usegmt=True)})

    def _put(self, request: web.Request, body: bytes, versions: list[Version]) -> web.Response:
        told = {name.lower(): value for name, value in request.headers.items() if name.lower() not in self.ignores}
        if told.get("if-none-match") == "*" and versions:
            return error(412, "PreconditionFailed")
        if (etag := told.get("if-match")) is not None:
            if not versions:
                return error(404, "NoSuchKey")
            if versions[-1].etag != etag:
                return error(412, "PreconditionFailed")
        if told.get(CHECKSUM, right := b64encode(hashlib.sha256(body).digest()).decode()) != right:
            return error(400, "BadDigest")
        if UNTIL in told and datetime.fromisoformat(told[UNTIL]) <= self.now():
            return error(400, "InvalidRequest")
        self.made += 1
        lock = {name: told[name] for name in (MODE, UNTIL) if name in told}
        version = Version(f"v{self.made}", f'"e{self.made}"', lock, self.now().replace(microsecond=0))
        versions.append(version)
        echoed = {CHECKSUM: request.headers[CHECKSUM]} if CHECKSUM in request.headers else {}
        return web.Response(headers={"ETag": version.etag, "x-amz-version-id": version.version_id, **echoed})

    def _delete(self, versions: list[Version], found: list[Version]) -> web.Response:
        for version in found:
            until = version.headers.get(UNTIL)
            if not self.may_delete or (until is not None and datetime.fromisoformat(until) > self.now()):
                return error(403, "AccessDenied")
            versions.remove(version)
        return web.Response(status=204)


def error(status: int, code: str) -> web.Response:
    return web.Response(status=status, text=f"<Error><Code>{code}</Code><Message>m</Message></Error>")
