"""The page, served on this machine."""

import logging
import socket
from typing import Any

from dash import Dash
from werkzeug.serving import BaseWSGIServer, make_server

from mechdyn.app.bench import Bench
from mechdyn.app.callbacks import add_callbacks
from mechdyn.app.layout import index, layout
from mechdyn.errors import InputError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_MAX_REQUEST_BYTES = 4_000_000
# Everything comes from this server: nothing else may be loaded or asked. Plotly compiles a piece of WebAssembly that it carries.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; frame-ancestors 'none'; form-action 'none'; base-uri 'none'"
)


def make_app(bench: Bench, *, dark: bool = False) -> Dash:
    """The Dash application; it serves its own scripts and asks nothing of the network."""
    app = Dash(
        "mechdyn.app",
        title=f"mechdyn: {bench.model.name}",
        update_title="",
        index_string=index(dark),
        serve_locally=True,
        assets_folder="",
        enable_mcp=False,
        add_log_handler=False,
    )
    app.layout = layout(bench)
    add_callbacks(app, bench, dark=dark)
    app.server.config["MAX_CONTENT_LENGTH"] = _MAX_REQUEST_BYTES

    @app.server.after_request
    def forbid_elsewhere(response: Any) -> Any:
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    return app


def make_http_server(app: Dash, host: str, port: int) -> BaseWSGIServer:
    """Bind the page to an address; port 0 takes any free one. `serve_forever()` serves, `shutdown()` from another thread ends it.

    On a loopback address, requests that name another host are refused, so that no foreign page can reach this one through a name that it
    controls.

    Raises:
        InputError: an address that cannot be bound.
    """
    if host in LOOPBACK:
        app.server.config["TRUSTED_HOSTS"] = ["127.0.0.1", "localhost", "[::1]"]
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot listen on {host}, port {port} ({reason}); choose another with --host and --port") from error
    return make_server(host, listener.getsockname()[1], app.server, threaded=True, fd=listener.detach())


def address(server: BaseWSGIServer, host: str) -> str:
    """The page's URL."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{server.port}/"
