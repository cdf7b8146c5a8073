"""A proxy before a real S3 that drops headers of requests, as proxies do that do not know them; it signs anew."""

import http.client
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from typing_extensions import override

from tests.servers.http import Answer, Request
from tests.servers.in_thread import InThread
from tests.servers.seaweedfs import SeaweedFS

HOP = ("host", "connection", "authorization", "x-amz-date", "x-amz-content-sha256", "content-length", "expect")
"""Headers of requests that are made anew."""

TAKEN = ("connection", "transfer-encoding", "keep-alive")
"""Headers of answers that are not passed on."""


class LyingS3(InThread):
    """Everything is as the store behind it has it, but for the headers in `drops` (lower case) of puts of objects."""

    def __init__(self, store: SeaweedFS) -> None:
        super().__init__()
        self.drops: frozenset[str] = frozenset()
        self.region, self.access_key, self.secret_key = store.region, store.access_key, store.secret_key
        self.client, self.create_bucket = store.client, store.create_bucket
        self._behind = urlsplit(store.url).netloc
        self._signer = S3SigV4Auth(Credentials(store.access_key, store.secret_key), "s3", store.region)

    @override
    def _answer(self, request: Request) -> Answer:
        path, _, query = request.target.partition("?")
        is_put = request.method == "PUT" and not query and path.count("/") > 1
        left_out = {*HOP, *(self.drops if is_put else ())}
        headers = {name: value for name, value in request.headers.items() if name not in left_out}
        url = f"http://{self._behind}{request.target}"
        signed: Any = AWSRequest(request.method, url, headers=headers, data=request.body)
        self._signer.add_auth(signed)
        connection = http.client.HTTPConnection(self._behind, timeout=30)
        try:
            connection.request(request.method, request.target, request.body, dict(signed.headers.items()))
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        told = {name: value for name, value in answer.getheaders() if name.lower() not in TAKEN}
        return Answer(answer.status, told, body)
