"""Versity S3 Gateway, built by Go from its module: a second real S3, with versioning, object lock and conditions.

It has no lifecycle rules (501), and a key cannot be an object and a folder at once.
"""

import os
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from typing_extensions import override

from tests.servers.fetch import ServerUnavailable, fetched, need, run
from tests.servers.ports import connectable, free_ports
from tests.servers.process import NotReady, ServerProcess
from tests.servers.s3_client import make_bucket, s3_client

VERSION = "1.8.0"
MODULE = f"github.com/versity/versitygw/cmd/versitygw@v{VERSION}"

BUILD = 900.0
"""Seconds for the download and the build of 80 modules; a minute on two idle cores."""


class VersityGateway(ServerProcess):
    """Objects are files, so its data directory needs a file system with extended attributes."""

    name = "versitygw"
    region = "us-east-1"
    access_key, secret_key = "pas-admin", "pas-admin-secret"

    def __init__(self) -> None:
        super().__init__()
        self.port = 0
        self._program = Path()

    @property
    def url(self) -> str:
        """The endpoint; buckets are in the path."""
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Any:
        return s3_client(self.url, self.region, self.access_key, self.secret_key)

    def create_bucket(self, name: str) -> str:
        """Makes a bucket with versioning and object lock, and returns its name."""
        return make_bucket(self.client(), name)

    @override
    def prepare(self, data: Path) -> None:
        self._program = fetch()
        self.port = free_ports(1)
        for name in ("objects", "versions"):
            (data / name).mkdir()
        try:
            os.setxattr(data / "objects", "user.pas", b"tried")
        except OSError as error:
            raise ServerUnavailable(f"no extended attributes below {data}: {error}") from error

    @override
    def command(self) -> list[str]:
        gateway = [str(self._program), "--port", f"127.0.0.1:{self.port}", "--quiet", "--keep-alive"]
        return [*gateway, "posix", "--versioning-dir", f"{self.data}/versions", f"{self.data}/objects"]

    @override
    def environment(self) -> dict[str, str]:
        return {"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key}

    @override
    def check(self) -> None:
        connectable(self.port)
        try:
            self.client().list_buckets()
        except (ClientError, BotoCoreError) as error:
            raise NotReady(str(error)) from error


def fetch() -> Path:
    """The program `versitygw`; its modules are checked against Go's checksum database."""
    go = need("go")

    def build(half: Path) -> None:
        run([go, "install", MODULE], env={**os.environ, "GOBIN": str(half)}, timeout=BUILD)

    return fetched(f"versitygw-{VERSION}", build) / "versitygw"
