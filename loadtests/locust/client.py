"""Between Locust's HTTP session and the socket: no more than the phones use.

Locust's own user agent looks for cookies, redirects and retries, takes each URL apart and merges headers
four times: a third of the test's CPU time, on cores that the service under test needs. What a latency is
stays Locust's business: from sending to the whole answer read.
"""

from typing import Any, Final
from urllib.parse import urlsplit

from gevent import socket  # type: ignore[import-untyped]
from geventhttpclient.response import HTTPSocketResponse
from locust.contrib.fasthttp import FastResponse, LocustUserAgent

#: An answer is there with one system call: ten popups are some 8 KB.
_BLOCK_BYTES: Final = 32 * 1024
_COMMON: Final = "User-Agent: Tayang's load test\r\nAccept: application/json\r\n"


class Agent(LocustUserAgent):
    """One connection, opened when it is needed. Nothing is sent twice: if it breaks, the request failed."""

    def __init__(self, host: str, timeout_seconds: float) -> None:
        super().__init__()
        parts = urlsplit(host)
        self._address = parts.hostname, parts.port or 80
        self._timeout_seconds = timeout_seconds
        self._host_characters = len(host)
        self._common = f"Host: {parts.netloc}\r\n{_COMMON}"
        self._connection: Any = None

    def urlopen(  # type: ignore[override]  # as `FastHttpSession` calls it
        self, url: str, method: str, headers: dict[str, str], payload: str | None, **_: Any
    ) -> FastResponse:
        """Raises what Locust counts as a failure."""
        response = self._exchange(method, self._request(url, method, headers, payload))
        answer = FastResponse(response)  # type: ignore[arg-type]  # it needs no pool
        try:
            self._verify_status(answer.status_code, url)  # type: ignore[no-untyped-call]
        except Exception as error:
            error.response = answer  # type: ignore[attr-defined]  # where Locust looks for it
            raise
        return answer

    def _request(self, url: str, method: str, headers: dict[str, str], body: str | None) -> bytes:
        fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = f"{method} {url[self._host_characters :]} HTTP/1.1\r\n{self._common}{fields}"
        if body is None:
            return f"{head}\r\n".encode()
        content = body.encode()
        return b"%bContent-Length: %d\r\n\r\n%b" % (head.encode(), len(content), content)

    def _exchange(self, method: str, request: bytes) -> HTTPSocketResponse:
        connection = self._connection
        if connection is None or connection.closed:
            connection = socket.create_connection(self._address, self._timeout_seconds)
            self._connection = connection
        try:
            # `sendall` asks for the size of the socket's buffer each time; most requests fit.
            if (sent := connection.send(request)) < len(request):
                connection.sendall(request[sent:])
            return HTTPSocketResponse(connection, block_size=_BLOCK_BYTES, method=method)
        except BaseException:
            connection.close()
            raise
