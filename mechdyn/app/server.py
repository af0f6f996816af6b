"""The page, served on this machine."""

import logging
import socket
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from dash import Dash
from flask import abort, request
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from mechdyn.app.bench import Bench
from mechdyn.app.callbacks import add_callbacks
from mechdyn.app.layout import index, layout
from mechdyn.errors import InputError

_MAX_REQUEST_BYTES = 4_000_000
_MOST_SILENT_SECONDS = 15.0
"""How long a connection may say nothing: each holds a thread."""
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


def listen(host: str, port: int) -> socket.socket:
    """Take an address, before the model that is to answer there is loaded; port 0 takes any free one.

    Raises:
        InputError: an address that cannot be taken.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot listen on {host}, port {port} ({reason}); choose another with --host and --port") from error
    return listener


def make_http_server(app: Dash, host: str, listener: socket.socket, *, silence: float = _MOST_SILENT_SECONDS) -> BaseWSGIServer:
    """Serve the page where `listen` listens: `serve_forever()` serves, `shutdown()` from another thread ends it.

    On a loopback address, requests that name another host are refused, so that no foreign page can reach this one through a name that it
    controls, and so are those that change something and were sent by another page. A connection that says nothing is closed after
    15 seconds (`silence`).
    """
    if is_loopback(host):
        app.server.before_request(_refuse_other_names)
        app.server.before_request(_refuse_other_pages)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with listener:  # the server works on a copy
        port, handler = listener.getsockname()[1], type("Handler", (WSGIRequestHandler,), {"timeout": silence})
        return make_server(host, port, app.server, threaded=True, request_handler=handler, fd=listener.fileno())


def _refuse_other_names() -> None:
    if not is_loopback(urlsplit(f"//{request.host}").hostname or ""):
        abort(400, "this page answers to the names of this machine only")


def _refuse_other_pages() -> None:
    """A browser names the page that sent a request; what names none is no browser's page."""
    origin = request.headers.get("Origin")
    if request.method not in ("GET", "HEAD", "OPTIONS") and origin is not None and urlsplit(origin).netloc != request.host:
        abort(403, "this page takes requests from itself only")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def address(server: BaseWSGIServer, host: str) -> str:
    """The page's URL."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{server.port}/"
