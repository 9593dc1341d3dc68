"""Serve over Streamable HTTP on a free port of this machine's loopback, for as long as a `with` block lasts."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from mcp.server import MCPServer

__all__ = ["loopback_http"]

STARTS_WITHIN_S = 20.0
POLL_S = 0.005


@contextmanager
def loopback_http(server: MCPServer[None]) -> Iterator[str]:
    """Give the URL at which `server` answers; nothing beyond this machine reaches it.

    Raises
    ------
    OSError
        When it does not come up.
    """
    app = server.streamable_http_app(host="127.0.0.1")
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", timeout_graceful_shutdown=1)
    http = uvicorn.Server(config)
    thread = threading.Thread(target=http.run, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not http.started:
            if time.monotonic() > deadline or not thread.is_alive():
                raise OSError("the HTTP server did not come up on 127.0.0.1")
            time.sleep(POLL_S)
        port = http.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        http.should_exit = True
        thread.join(STARTS_WITHIN_S)
