"""A reverse proxy on this machine in front of an HTTP server: it counts, delays and asks for names.

It stands for what is between a user and a team's MLflow server: a proxy that asks for a password,
a network that is slow. Kept apart from the tests because it knows nothing of them.
"""

import base64
import http.client
import re
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}
_VARYING = re.compile(r"[0-9a-f]{32}(\.\w+)?|(?<=/)\d+(?=/|$)")
REFUSAL = b"You are not authenticated."


class ReverseProxy:
    """Passes requests to a server on this machine.

    Args:
        port: The server's.
        user: ``name:password`` that each request has to give; None asks for none.

    Attributes:
        address: Where it listens.
        counts: Requests that were passed on, by method and path; ids are written as ``*``.
        refused: Requests that gave no or another name.
        seconds: How long each request waits before it is passed on.
    """

    def __init__(self, port: int, user: str | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self.refused = 0
        self.seconds = 0.0
        self._port = port
        self._expected = user and "Basic " + base64.b64encode(user.encode()).decode()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()

    def total(self) -> int:
        """Returns how many requests were passed on."""
        return sum(self.counts.values())

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if not proxy._lets_in(self.headers.get("Authorization")):
                    self._answer(401, [("Content-Type", "text/plain")], REFUSAL)
                    return
                proxy._count(f"{self.command} {self.path}")
                time.sleep(proxy.seconds)
                self._answer(*proxy._asked(self.command, self.path, self.headers, body))

            def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in _HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            setattr(Handler, f"do_{method}", Handler._pass)
        return Handler

    def _lets_in(self, given: str | None) -> bool:
        allowed = self._expected is None or given == self._expected
        if not allowed:
            with self._lock:
                self.refused += 1
        return allowed

    def _count(self, request: str) -> None:
        with self._lock:
            self.counts[_VARYING.sub("*", request.partition("?")[0])] += 1

    def _asked(
        self, method: str, path: str, headers: Any, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Returns the server's status, headers and body; 502 where it does not answer."""
        given = {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        except OSError:
            return 502, [], b""
        finally:
            connection.close()
