"""Signatures of puts and reads, with as little CPU as possible."""

import hmac
from collections.abc import Mapping
from typing import Any

from botocore.auth import S3SigV4Auth
from botocore.credentials import ReadOnlyCredentials
from typing_extensions import override


class Signers:
    """Keeps the signer while the credentials stay the same."""

    def __init__(self) -> None:
        self._signer: RequestSigner | None = None

    def of(self, credentials: ReadOnlyCredentials, region: str) -> "RequestSigner":
        signer = self._signer
        if signer is None or signer.credentials != credentials or signer.region != region:
            signer = self._signer = RequestSigner(credentials, region)
        return signer


class RequestSigner(S3SigV4Auth):
    """botocore's signer over a plain dict of headers, with nothing computed twice: 15 µs instead of 97.

    Its steps and their order are untouched; a test compares the signatures with the original's.
    """

    def __init__(self, credentials: ReadOnlyCredentials, region: str) -> None:
        super().__init__(credentials, "s3", region)
        self.region = region
        self._key: tuple[str, bytes] = ("", b"")

    def sign(self, method: str, url: str, host: str, headers: dict[str, str], sha256: str) -> None:
        """Adds host, date, content hash, session token and signature to the headers of a request."""
        headers["host"] = host
        self.add_auth(_Request(method, url, headers, sha256))  # type: ignore[arg-type]

    @override
    def payload(self, request: Any) -> str:
        """Hex SHA-256 of the body, which the caller has computed already."""
        return str(request.context["sha256"])

    @override
    def headers_to_sign(self, request: Any) -> Any:
        chosen = request.context.get("headers_to_sign")
        if chosen is None:  # asked for once more after the signature, with nothing changed
            lower = ((name.lower(), value) for name, value in request.headers.items())
            chosen = request.context["headers_to_sign"] = dict(sorted(lower))
        return chosen

    @override
    def canonical_headers(self, headers_to_sign: Any) -> str:
        return "\n".join([f"{name}:{' '.join(value.split())}" for name, value in headers_to_sign.items()])

    @override
    def signed_headers(self, headers_to_sign: Any) -> str:
        return ";".join(headers_to_sign)

    @override
    def signature(self, string_to_sign: str, request: Any) -> str:
        day: str = request.context["timestamp"][:8]
        of_day, key = self._key
        if of_day != day:
            key = f"AWS4{self.credentials.secret_key}".encode()
            for part in (day, self.region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key = (day, key)
        return hmac.digest(key, string_to_sign.encode(), "sha256").hex()


class _Request:
    """The parts of a request that the signer reads; botocore's own request keeps headers in an e-mail message, its
    largest cost."""

    params: Mapping[str, str] = {}

    def __init__(self, method: str, url: str, headers: dict[str, str], sha256: str) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.context: dict[str, Any] = {"sha256": sha256}
