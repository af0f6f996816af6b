"""The page over HTTP and in Chromium, which can reach nothing but this machine."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from mechdyn.app.bench import Bench
from mechdyn.app.job import OnStep
from mechdyn.app.server import address, is_loopback, listen, make_app, make_http_server
from mechdyn.decoding.trace import trace as quick_trace
from mechdyn.errors import InputError
from mechdyn.models.load import load_model
from mechdyn.traces.trace import Trace
from tests.browser import needs_browser, open_browser


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = make_http_server(make_app(Bench(load_model("mini"))), "127.0.0.1", listen("127.0.0.1", 0))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield address(server, "127.0.0.1")
    server.shutdown()
    thread.join()
    server.server_close()


def ask(url: str, path: str = "/", host: str | None = None) -> tuple[http.client.HTTPResponse, str]:
    connection = http.client.HTTPConnection(url.removeprefix("http://").rstrip("/"), timeout=30)
    connection.request("GET", path, headers={"Host": host} if host else {})
    response = connection.getresponse()
    return response, response.read().decode()


def test_the_page_loads_nothing_from_elsewhere(url: str) -> None:
    response, text = ask(url)
    assert response.status == 200
    assert "default-src 'self'" in response.headers["Content-Security-Policy"]
    assert "//cdn" not in text and "https://" not in text and "_dash-component-suites" in text
    assert {"needle", "question", "haystack", "run", "cancel", "off"} <= set(
        json.dumps(json.loads(ask(url, "/_dash-layout")[1])).split('"')
    )


def test_requests_in_the_name_of_another_host_are_refused(url: str) -> None:
    for name in ("attacker.example", "127.0.0.1.attacker.example:8050", "localhost.attacker.example", "192.0.2.1", "a b"):
        assert ask(url, host=name)[0].status == 400


def test_requests_that_another_page_sent_are_refused(url: str) -> None:
    place = url.removeprefix("http://").rstrip("/")

    def post(**headers: str) -> int:
        connection = http.client.HTTPConnection(place, timeout=30)
        connection.request("POST", "/_dash-update-component", body="{}", headers={"Content-Type": "application/json", **headers})
        return connection.getresponse().status

    for origin in ("http://attacker.example", "null", "http://127.0.0.1:1", "http://localhost"):
        assert post(Origin=origin) == 403
    for own in ({}, {"Origin": f"http://{place}"}, {"Origin": "http://localhost:9999", "Host": "localhost:9999"}):
        assert post(**own) != 403
    assert ask(url)[0].status == 200


def test_a_connection_that_says_nothing_is_closed_and_its_thread_ends() -> None:
    server = make_http_server(make_app(Bench(load_model("mini"))), "127.0.0.1", listen("127.0.0.1", 0), silence=0.3)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    before = threading.active_count()
    silent = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(20)]
    silent[0].sendall(b"GET / HTTP/1.1\r\nHost: loc")  # half a request is none
    assert [connection.recv(1) for connection in silent] == [b""] * 20
    while threading.active_count() > before:
        time.sleep(0.01)
    assert ask(address(server, "127.0.0.1"))[0].status == 200
    server.shutdown()
    thread.join()
    server.server_close()
    for connection in silent:
        connection.close()


@pytest.mark.parametrize("name", ["[::1]", "localhost", "127.0.0.1"])
def test_every_name_of_this_machine_is_answered(url: str, name: str) -> None:
    assert ask(url, host=f"{name}:8050")[0].status == 200
    assert ask(url, host=name)[0].status == 200


def test_an_address_that_cannot_be_taken_is_one_line(url: str) -> None:
    with pytest.raises(InputError, match=r"cannot listen on 127\.0\.0\.1, port \d+ \(.*in use\); choose another with --host and --port"):
        listen("127.0.0.1", int(url.rsplit(":", 1)[1].rstrip("/")))
    with pytest.raises(InputError, match=r"cannot listen on 203\.0\.113\.1, port 0"):
        listen("203.0.113.1", 0)
    with pytest.raises(InputError, match="port 99999"):
        listen("127.0.0.1", 99999)


def test_closing_gives_the_port_back() -> None:
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    make_http_server(make_app(Bench(load_model("mini"))), "127.0.0.1", listener).server_close()
    listen("127.0.0.1", port).close()


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.0.0.9", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("name", False),
    ],
)
def test_what_only_this_machine_can_reach(host: str, local: bool) -> None:
    assert is_loopback(host) is local


@pytest.mark.slow
@needs_browser
def test_a_newcomer_runs_looks_switches_a_head_off_and_compares(url: str) -> None:
    with open_browser() as browser:
        browser.open(url, ready="document.querySelector('#run') !== null")
        browser.click("#run")
        browser.wait("document.querySelector('#status').textContent.startsWith('Done')", 60)
        n_steps = int(browser.text("#status").split()[1])
        browser.wait(f"document.querySelectorAll('#timeline .x2tick').length === {n_steps}")
        assert browser.run("document.documentElement.scrollHeight") <= 900
        assert browser.text("#answer") in browser.run("document.querySelector('#needle').value")
        choose = "document.querySelectorAll('#view input')[{}].click()"
        browser.run(choose.format(1))
        # All is drawn, and nothing above the map will move it any more.
        browser.wait(
            f"(document.querySelector('#map .nsewdrag') && document.querySelector('#map').textContent.includes('step {n_steps - 1}'))"
        )
        browser.wait("document.querySelector('#map .nsewdrag').getBoundingClientRect().width > 300")
        browser.click("#map .nsewdrag")
        browser.wait("!document.querySelector('#looks').hidden && document.querySelector('#switch').textContent.startsWith('Switch L2H')")
        assert "L2H" not in browser.text("#off")  # a click only looks
        browser.click("#switch")
        browser.wait("document.querySelector('#off').textContent.includes('L2H')")
        browser.wait("document.querySelector('#switch').textContent.endsWith('on again')")
        browser.click("#switch")
        browser.wait("!document.querySelector('#off').textContent.includes('L2H')")
        browser.run(choose.format(2))
        browser.click("#add")
        browser.wait("!document.querySelector('#without').disabled")
        browser.click("#without")
        browser.wait("document.querySelector('#status').textContent.includes('Without') && !document.querySelector('#ablated').hidden", 60)
        browser.wait("document.querySelector('#status').textContent.includes('Done')", 60)
        assert browser.text("#answer-without") != browser.text("#answer")
        browser.wait(f"document.querySelectorAll('#effects .xtick').length === {n_steps}")
        assert browser.run("document.querySelector('#effects').textContent.includes('Δ log p')")
        browser.run(choose.format(3))
        assert "without = md.trace(" in browser.text("#snippet") and not browser.run("document.querySelector('#download-without').disabled")
        # What was typed, chosen and generated is there again after a refresh.
        kept, answer = browser.text("#off"), browser.text("#answer-without")
        browser.click("#question")
        browser.press("?", "tab")
        question = browser.run("document.querySelector('#question').value")
        browser.run("location.reload()")
        browser.wait("document.querySelector('#ablated') !== null && !document.querySelector('#ablated').hidden")
        assert browser.run("document.querySelector('#question').value") == question and "?" in question
        assert (browser.text("#off"), browser.text("#answer-without")) == (kept, answer)
        assert not browser.run("document.querySelector('#view-export').hidden")
        for width in (1280, 400):
            browser.size(width)
            assert not browser.run("document.documentElement.scrollWidth > innerWidth")
        # And in another tab, from the address alone: what was asked and chosen, not what was generated.
        link = browser.run("location.href")
        browser.run("sessionStorage.clear()")
        browser.open(link, ready="document.querySelector('#run') !== null")
        browser.wait(f"document.querySelector('#off').textContent.startsWith('{kept[:4]}')")
        assert browser.text("#off") == kept and browser.text("#status") == "Nothing has run yet."
        loaded = browser.run("performance.getEntriesByType('resource').map(each => each.name)")
        assert [name for name in loaded if not name.startswith((url, "data:"))] == []
        assert browser.run("window.seen") == []
        assert [line for line in browser.log() if line.startswith("SEVERE")] == []


@pytest.mark.slow
@needs_browser
def test_bad_input_shows_one_line_and_a_run_can_be_cancelled(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow_trace(*arguments: Any, on_step: OnStep, **options: Any) -> Trace:
        def wait_then_step(trace: Trace) -> None:
            time.sleep(0.3)
            on_step(trace)

        return quick_trace(*arguments, on_step=wait_then_step, **options)

    monkeypatch.setattr("mechdyn.app.bench.trace", slow_trace)
    with open_browser() as browser:
        browser.open(url, ready="document.querySelector('#run') !== null")
        browser.click("#question")
        browser.run("document.querySelector('#question').select()")
        browser.press(" ", "tab")
        browser.click("#run")
        browser.wait("document.querySelector('#error').textContent.includes('the question is empty')")
        assert browser.run("document.querySelector('#results').hidden")
        browser.click("#question")
        browser.press("?", "tab")
        browser.click("#run")
        browser.wait("document.querySelector('#status').textContent.startsWith('Writing')")
        browser.wait("!document.querySelector('#cancel').disabled")
        browser.click("#cancel")
        browser.wait("document.querySelector('#status').textContent.startsWith('Cancelled')")
        assert browser.text("#error") == ""
        assert browser.run("document.querySelector('#cancel').disabled && document.querySelector('#timeline .main-svg') !== null")


def test_the_command_says_where_the_page_is(run, monkeypatch: pytest.MonkeyPatch) -> None:
    from werkzeug.serving import BaseWSGIServer

    def interrupted(_: BaseWSGIServer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(BaseWSGIServer, "serve_forever", interrupted)
    code, out, err = run("app", "--port", "0")
    assert (code, err) == (0, "")
    assert out.startswith("mini is at http://127.0.0.1:")
    code, _, err = run("app", "--port", "0", "--host", "0.0.0.0")
    assert code == 0 and err.startswith("warning: no password guards the page; whoever can reach 0.0.0.0")


def test_a_missing_extra_names_the_line_that_installs_it(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mechdyn.cli.serve.find_spec", lambda _: None)
    code, out, err = run("app")
    assert (code, out) == (2, "")
    assert err == "error: mechdyn app needs Dash, which is not installed; run: pip install 'mechdyn[app]'\n"


def test_a_taken_port_is_one_line(run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, out, err = run("app", "--port", taken.getsockname()[1])
    assert (code, out) == (2, "") and err.startswith("error: cannot listen on 127.0.0.1")
