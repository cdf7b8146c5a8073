"""An S3 that costs next to nothing, for benchmarks: keeps small and the first objects whole, checks no signature."""

import argparse
import hashlib
import sys
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import boto3
from typing_extensions import override

from tests.servers.fetch import REPOSITORY
from tests.servers.http import Answer, Request, serve
from tests.servers.ports import connectable, free_ports
from tests.servers.process import ServerProcess

XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
CONFIGURATIONS = {
    "versioning": f"<VersioningConfiguration {XMLNS}><Status>Enabled</Status></VersioningConfiguration>",
    "object-lock": f"<ObjectLockConfiguration {XMLNS}><ObjectLockEnabled>Enabled</ObjectLockEnabled>"
    "</ObjectLockConfiguration>",
    "location": f"<LocationConstraint {XMLNS}/>",
}
KEPT_HEADERS = ("content-type", "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date")
CHECKSUM = "x-amz-checksum-sha256"
SMALL = 1024
"""Bytes of the largest body whose checksum is looked at, and which is always kept whole: what the service tries a store
with is smaller."""


@dataclass(slots=True)
class Stored:
    etag: str
    version_id: str
    size: int
    headers: dict[str, str]
    body: bytes | None
    """None beyond the first objects, where it is not small; then only HEAD knows them."""


class Sink:
    """Any bucket is there, versioned and with object lock; each key has one version, conditional writes hold."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._objects: dict[str, Stored] = {}
        self._settings: dict[tuple[str, str], bytes] = {}
        self._versions = 0

    def answer(self, request: Request) -> Answer:
        path, _, query = request.target.partition("?")
        bucket, _, key = path.lstrip("/").partition("/")
        if key:
            return self._object(request, path, query)
        return self._bucket(request, bucket, query)

    def _object(self, request: Request, path: str, query: str) -> Answer:
        if query and query.partition("=")[0] in ("tagging", "retention", "legal-hold"):
            return Answer(200)
        match request.method:
            case "PUT":
                return self._put(request, path)
            case "GET" | "HEAD":
                return self._get(path, with_body=request.method == "GET")
            case "DELETE":
                self._objects.pop(path, None)
                return Answer(204)
            case _:
                return error(405, "MethodNotAllowed")

    def _put(self, request: Request, path: str) -> Answer:
        if CHECKSUM in request.headers and len(request.body) <= SMALL:
            digest = b64encode(hashlib.sha256(request.body).digest()).decode()
            if request.headers[CHECKSUM] != digest:
                return error(400, "BadDigest")
        present = self._objects.get(path)
        if present is not None and request.headers.get("if-none-match") == "*":
            return error(412, "PreconditionFailed")
        wanted = request.headers.get("if-match")
        if wanted is not None and (present is None or wanted != present.etag):
            return error(404, "NoSuchKey") if present is None else error(412, "PreconditionFailed")
        self._versions += 1
        whole = self._versions <= self._keep or len(request.body) <= SMALL
        kept = {name: value for name, value in request.headers.items() if whole and is_kept(name)}
        stored = Stored(
            etag=f'"{hashlib.md5(request.body, usedforsecurity=False).hexdigest()}"',
            version_id=f"v{self._versions:09}",
            size=len(request.body),
            headers=kept,
            body=request.body if whole else None,
        )
        self._objects[path] = stored
        return Answer(200, {"ETag": stored.etag, "x-amz-version-id": stored.version_id})

    def _get(self, path: str, *, with_body: bool) -> Answer:
        stored = self._objects.get(path)
        if stored is None:
            return error(404, "NoSuchKey")
        if with_body and stored.body is None:
            return error(501, "NotImplemented")
        headers = {"ETag": stored.etag, "x-amz-version-id": stored.version_id, **stored.headers}
        headers["Content-Length"] = str(stored.size)
        headers["Last-Modified"] = "Thu, 01 Jan 2026 00:00:00 GMT"
        return Answer(200, headers, stored.body if with_body and stored.body else b"")

    def _bucket(self, request: Request, bucket: str, query: str) -> Answer:
        name = query.partition("=")[0].partition("&")[0]
        if request.method in ("PUT", "DELETE"):
            if request.method == "PUT":
                self._settings[bucket, name] = request.body
            else:
                self._settings.pop((bucket, name), None)
            return Answer(200 if request.method == "PUT" else 204)
        if request.method == "HEAD":
            return Answer(200)
        if name == "lifecycle":
            rules = self._settings.get((bucket, name))
            return xml(rules.decode()) if rules else error(404, "NoSuchLifecycleConfiguration")
        if name in CONFIGURATIONS:
            return xml(CONFIGURATIONS[name])
        return self._listing(bucket, parse_qs(query, keep_blank_values=True))

    def _listing(self, bucket: str, query: dict[str, list[str]]) -> Answer:
        """The first thousand objects or versions below a prefix, no pages."""
        below = f"/{bucket}/{query.get('prefix', [''])[0]}"
        found = [(path, stored) for path, stored in self._objects.items() if unquote(path).startswith(below)][:1000]
        kind, item = ("ListVersionsResult", "Version") if "versions" in query else ("ListBucketResult", "Contents")
        items = "".join(
            f"<{item}><Key>{unquote(path).split('/', 2)[2]}</Key><VersionId>{stored.version_id}</VersionId>"
            f"<IsLatest>true</IsLatest><ETag>{stored.etag}</ETag><Size>{stored.size}</Size>"
            f"<LastModified>2026-01-01T00:00:00.000Z</LastModified></{item}>"
            for path, stored in found
        )
        return xml(f"<{kind} {XMLNS}><IsTruncated>false</IsTruncated>{items}</{kind}>")


class S3Sink(ServerProcess):
    """The sink in a process of its own; any credentials do."""

    name = "s3-sink"
    region, access_key, secret_key = "us-east-1", "sink", "sink-secret"

    def __init__(self, *, keep: int = 10_000) -> None:
        super().__init__()
        self.keep = keep
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Any:
        keys = (self.access_key, self.secret_key)
        return boto3.Session(*keys, region_name=self.region).client("s3", endpoint_url=self.url)

    @override
    def prepare(self, data: Path) -> None:
        self.port = free_ports(1)

    @override
    def command(self) -> list[str]:
        options = ["--port", str(self.port), "--keep", str(self.keep)]
        return [sys.executable, "-m", "tests.servers.s3_sink", *options]

    @override
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(REPOSITORY)}

    @override
    def check(self) -> None:
        connectable(self.port)


def is_kept(name: str) -> bool:
    return name in KEPT_HEADERS or name.startswith("x-amz-meta-")


def xml(text: str) -> Answer:
    return Answer(200, {"Content-Type": "application/xml"}, text.encode())


def error(status: int, code: str) -> Answer:
    body = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
    return Answer(status, {"Content-Type": "application/xml"}, body)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.servers.s3_sink", description=__doc__)
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--keep", type=int, default=10_000, help="objects to keep whole; later ones only by size")
    arguments = parser.parse_args()
    serve(Sink(arguments.keep).answer, arguments.port)
