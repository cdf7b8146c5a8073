"""What lies in a bucket, read back with boto3 and not with the service's own code."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.servers import SeaweedFS
from tests.servers.versitygw import VersityGateway

SCHEMAS = "archive-data-schema/"
TRIED = "archive-data-schema/pas-store-probe"
"""Objects that the service tries a store with lie there for some seconds."""


@dataclass(frozen=True, slots=True)
class Version:
    key: str
    version_id: str
    is_latest: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """Everything that one version says about itself."""

    content: bytes
    content_type: str
    metadata: dict[str, str]
    sha256: str | None
    """Of the checksum header, in base64; None where the object was put without."""
    last_modified: datetime
    lock_mode: str | None
    locked_until: datetime | None
    tags: dict[str, str]


def versions_in(s3: SeaweedFS | VersityGateway, bucket: str, prefix: str = "") -> list[Version]:
    """All versions of all keys but `TRIED…`; those of schemas only where the prefix asks for them."""
    client, found = s3.client(), list[Version]()
    marker: dict[str, str] = {}
    while True:
        page = client.list_object_versions(Bucket=bucket, Prefix=prefix, **marker)
        assert not page.get("DeleteMarkers")
        found += [Version(v["Key"], v["VersionId"], v["IsLatest"]) for v in page.get("Versions", [])]
        if not page.get("IsTruncated"):
            break
        marker = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
    found = [version for version in found if not version.key.startswith(TRIED)]
    return [version for version in found if prefix or not version.key.startswith(SCHEMAS)]


def read_version(s3: SeaweedFS | VersityGateway, bucket: str, key: str, version_id: str) -> Stored:
    client: Any = s3.client()
    where = {"Bucket": bucket, "Key": key, "VersionId": version_id}
    got = client.get_object(**where, ChecksumMode="ENABLED")
    tags = client.get_object_tagging(**where)["TagSet"]
    return Stored(
        content=got["Body"].read(),
        content_type=got["ContentType"],
        metadata=got["Metadata"],
        sha256=got.get("ChecksumSHA256"),
        last_modified=got["LastModified"],
        lock_mode=got.get("ObjectLockMode"),
        locked_until=got.get("ObjectLockRetainUntilDate"),
        tags={tag["Key"]: tag["Value"] for tag in tags},
    )
