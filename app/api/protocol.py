"""HTTP/1.1 as uvicorn speaks it, with a bound on what comes before a body; what is no HTTP is a problem too."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api.problems import problem

MAX_HEAD = 64 * 1024
"""Bytes of a request line with its headers, or of trailers. The parser takes any number, in quadratic time: 100 MB of
one header, which need no token, would keep the event loop busy for half a minute."""


class BoundedHttp(HttpToolsProtocol):
    """Counts the bytes that came since the parser last got anywhere; one read of the socket more may pass."""

    _since = 0

    def data_received(self, data: bytes) -> None:
        self._since += len(data)
        super().data_received(data)
        if self._since > MAX_HEAD and not self.transport.is_closing():
            self.logger.warning("a request with more than %d bytes of headers was refused", MAX_HEAD)
            self._refuse(431, "Request Header Fields Too Large", f"At most {MAX_HEAD} bytes of headers are read.")

    def on_headers_complete(self) -> None:
        self._since = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._since = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._since = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "Bad Request", msg)

    def _refuse(self, status: int, title: str, detail: str) -> None:
        answer = problem(status, title, detail, headers={"Connection": "close"})
        head = [f"HTTP/1.1 {status} {title}".encode(), *(b"%b: %b" % header for header in answer.raw_headers)]
        self.transport.write(b"\r\n".join([*head, b"", bytes(answer.body)]))
        self.transport.close()
