"""A server's front door that a test can shut: open, slow, answering 503, or closed.

Kept apart from the tests because it knows nothing of them.
"""

import contextlib
import socket
import threading
import time

BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
SLOW_SECONDS = 0.4


class Gate:
    """Forwards connections to a server on this machine.

    Args:
        port: The server's.
    """

    def __init__(self, port: int) -> None:
        self._port, self._mode = port, "open"
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def set(self, mode: str) -> None:
        """Changes how requests fare from now on: open, slow, busy or closed."""
        with self._lock:
            self._mode = mode
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._connections.clear()

    def close(self) -> None:
        """Takes the door away."""
        self.set("closed")
        self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            if self._mode == "closed":
                return
            if self._mode == "busy":
                client.recv(2**16)
                client.sendall(BUSY)
                return
            with socket.create_connection(("127.0.0.1", self._port)) as server:
                with self._lock:
                    # Shut since it was looked at: a connection that is kept would stay open.
                    if self._mode in ("closed", "busy"):
                        return
                    self._connections |= {client, server}
                back = threading.Thread(target=self._copy, args=(server, client), daemon=True)
                back.start()
                self._copy(client, server)
                back.join()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(2**16):
                if self._mode == "slow":
                    time.sleep(SLOW_SECONDS)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
