"""An HTTP proxy on loopback that misbehaves on request, between pyarrow and an S3 server.

It passes requests on, and between two of them a test can say what becomes of the next ones: an
error answer of S3, a slow one, a connection that breaks before the request arrives, after it, or
in the middle of the answer, or a bucket that is not there for a while.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Request = tuple[str, str]
"""Method, and path with its query."""
ERRORS = {
    "InternalError": 500,
    "ServiceUnavailable": 503,
    "SlowDown": 503,
    "NoSuchBucket": 404,
    "AccessDenied": 403,
}
_NOT_PASSED_ON = ("connection", "keep-alive", "transfer-encoding", "content-length", "expect")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to one request."""

    error: str = ""
    """A key of ERRORS: answered so; the server hears nothing."""
    drop: Literal["", "before", "after", "middle"] = ""
    """The connection breaks before the server hears, after it has, in the middle of its answer."""
    delay_s: float = 0.0
    """The answer comes so late."""


NO_FAULT = Fault()
Judge = Callable[[Request], Fault]


class FaultyProxy:
    """Serves on a free loopback port until it is closed.

    Args:
        port: the server's, on loopback.
    """

    def __init__(self, port: int) -> None:
        self.target_port = port
        self.judge: Judge = lambda request: NO_FAULT
        self.seen: list[Request] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fault_of(self, request: Request) -> Fault:
        """Note a request and say what becomes of it; one at a time."""
        with self._lock:
            self.seen.append(request)
            return self.judge(request)

    @contextmanager
    def judging(self, judge: Judge) -> Iterator[None]:
        """Faults as `judge` says, for a while."""
        self.judge = judge
        try:
            yield
        finally:
            self.judge = lambda request: NO_FAULT


def first(count: int, fault: Fault) -> Judge:
    """The next `count` requests have the fault."""
    left = [count]

    def judge(request: Request) -> Fault:
        left[0] -= 1
        return fault if left[0] >= 0 else NO_FAULT

    return judge


def every(period: int, *faults: Fault) -> Judge:
    """Each `period`-th request has a fault, the given ones in turn."""
    count = [0]

    def judge(request: Request) -> Fault:
        count[0] += 1
        turn, rest = divmod(count[0], period)
        return NO_FAULT if rest else faults[turn % len(faults)]

    return judge


def vanished(seconds: float) -> Judge:
    """The bucket is not there for so long, counted from the first request."""
    end: list[float] = []

    def judge(request: Request) -> Fault:
        if not end:
            end.append(time.monotonic() + seconds)
        return Fault(error="NoSuchBucket") if time.monotonic() < end[0] else NO_FAULT

    return judge


def _handler(proxy: FaultyProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits 40 ms

        def _serve(self) -> None:
            body = self._body()
            fault = proxy.fault_of((self.command, self.path))
            time.sleep(fault.delay_s)
            if fault.drop == "before":
                self.close_connection = True
            elif fault.error:
                self._answer(ERRORS[fault.error], {}, _error_body(fault.error))
            else:
                status, headers, content = self._forward(body)
                if fault.drop == "after":
                    self.close_connection = True
                else:
                    self._answer(status, headers, content, whole=fault.drop != "middle")

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            chunks = []
            while size := int(self.rfile.readline(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)

        def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            server = http.client.HTTPConnection("127.0.0.1", proxy.target_port, timeout=30)
            try:
                headers = {
                    k: v for k, v in self.headers.items() if k.lower() not in _NOT_PASSED_ON
                }
                server.request(self.command, self.path, body, headers)
                answer = server.getresponse()
                headers = dict(answer.getheaders())
                if self.command == "HEAD":
                    # http.client drops the body, not its length.
                    return answer.status, headers, b""
                return answer.status, headers, answer.read()
            finally:
                server.close()

        def _answer(
            self, status: int, headers: dict[str, str], content: bytes, *, whole: bool = True
        ) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in _NOT_PASSED_ON:
                    self.send_header(name, value)
            length = next(
                (value for name, value in headers.items() if name.lower() == "content-length"),
                str(len(content)),
            )
            self.send_header(
                "Content-Length", length if self.command == "HEAD" else str(len(content))
            )
            self.end_headers()
            if self.command == "HEAD":
                return
            if not whole:
                content = content[: len(content) // 2]
                self.close_connection = True
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    return Handler


def _error_body(code: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code>'
        f"<Message>injected</Message><RequestId>0</RequestId></Error>"
    ).encode()
