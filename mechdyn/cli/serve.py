"""`mechdyn app`."""

import sys
import webbrowser
from importlib.util import find_spec
from typing import Annotated

import typer

from mechdyn.cli.app import app
from mechdyn.cli.options import takes
from mechdyn.errors import MechdynError
from mechdyn.runs.configs import AppConfig


@app.command("app")
@takes(AppConfig)
def serve(
    config: AppConfig,
    show: Annotated[bool, typer.Option("--show/--no-show", help="Open the page in a browser (in a terminal only).")] = True,
) -> None:
    """Serve a local page: type a needle, watch heads as they fire, switch them off."""
    if find_spec("dash") is None:
        raise MechdynError("mechdyn app needs Dash, which is not installed; run: pip install 'mechdyn[app]'")
    from mechdyn.app.bench import Bench
    from mechdyn.app.server import address, is_loopback, listen, make_app, make_http_server
    from mechdyn.models.fetch import models_here
    from mechdyn.models.load import load_model
    from mechdyn.models.threads import parse_threads, use_threads

    parse_threads(config.threads)
    listener = listen(config.host, config.port)
    try:
        model = load_model(config.model)
        use_threads(config.threads, model)
        page = make_app(Bench(model, others=models_here()), dark=config.dark)
    except BaseException:
        listener.close()
        raise
    server = make_http_server(page, config.host, listener)
    url = address(server, config.host)
    if not is_loopback(config.host):
        print(f"warning: no password guards the page; whoever can reach {config.host} can use the model on this machine", file=sys.stderr)
    print(f"{config.model} is at {url} (Ctrl-C ends it)", flush=True)
    if show and sys.stdout.isatty():
        webbrowser.open(url)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        server.server_close()
