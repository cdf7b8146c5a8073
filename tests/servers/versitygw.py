"""Versity S3 Gateway, built by Go from its module: a second real S3, with versioning, object lock and conditions.

It has no lifecycle rules (501), and a key cannot be an object and a folder at once.
"""

import os
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from typing_extensions import override

from tests.servers.fetch import ServerUnavailable, fetched, need, run
from tests.servers.ports import connectable, free_ports
from tests.servers.process import NotReady, ServerProcess

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
        once = Config(
            retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20, s3={"addressing_style": "path"}
        )
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=once,
        )

    def create_bucket(self, name: str) -> str:
        """Makes a bucket with versioning and object lock, and returns its name."""
        s3 = self.client()
        s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

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
