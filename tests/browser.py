"""Headless Chromium with no network but this machine, driven through chromedriver by the W3C WebDriver protocol: JSON over HTTP."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER), reason="needs Chromium and chromedriver (Debian: chromium chromium-driver)"
)

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--hide-scrollbars",
)
_KEYS = {"left": "\ue012", "up": "\ue013", "right": "\ue014", "down": "\ue015", "space": " ", "tab": "\ue004", "enter": "\ue007"}
# Before any script of a page: what it asks the network for, what it runs that it should not.
_WATCH = """
window.seen = [];
window.alert = text => seen.push("alert " + text);
addEventListener("error", event => seen.push("error " + event.message), true);
addEventListener("unhandledrejection", event => seen.push("rejected " + event.reason));
addEventListener("securitypolicyviolation", event => seen.push("blocked " + event.violatedDirective + " " + event.blockedURI));
"""


class Browser:
    """One window."""

    def __init__(self, port: int, profile: Path) -> None:
        self._address = f"http://127.0.0.1:{port}"
        options = {"binary": CHROMIUM, "args": [*_FLAGS, f"--user-data-dir={profile}"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{session['sessionId']}"
        self.command("Page.addScriptToEvaluateOnNewDocument", source=_WATCH)

    def open(
        self, page: Path | str, fragment: str = "", *, width: int = 1280, height: int = 900, dark: bool = False, ready: str = "true"
    ) -> None:
        """Load a file, or a page of this machine by its URL, and wait until the JavaScript expression `ready` holds."""
        self.size(width, height)
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self._call("POST", f"{self._session}/url", {"url": "about:blank"})
        self.log()
        self._call("POST", f"{self._session}/url", {"url": (page if isinstance(page, str) else page.resolve().as_uri()) + fragment})
        # Where an earlier test left the pointer it would hover over something.
        self.command("Input.dispatchMouseEvent", type="mouseMoved", x=0, y=0)
        self.wait(ready)

    def size(self, width: int, height: int = 900) -> None:
        """The page's width and height in CSS pixels."""
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of a JavaScript expression; `arguments[i]` are what was given."""
        return self._call("POST", f"{self._session}/execute/sync", {"script": f"return ({script})", "args": list(arguments)})

    def wait(self, condition: str, seconds: float = 30) -> None:
        """Until a JavaScript expression holds."""
        end = time.monotonic() + seconds
        while not self.run(condition):
            if time.monotonic() > end:
                raise AssertionError(f"{condition} did not come to hold in {seconds} s; seen: {self.run('window.seen')}; log: {self.log()}")
            time.sleep(0.02)

    def click(self, selector: str) -> None:
        """A real click in the middle of an element."""
        element = self._call("POST", f"{self._session}/element", {"using": "css selector", "value": selector})
        self._call("POST", f"{self._session}/element/{next(iter(element.values()))}/click", {})

    def press(self, *keys: str) -> None:
        """Real key presses, to whatever has the focus."""
        actions = [{"type": kind, "value": _KEYS.get(key, key)} for key in keys for kind in ("keyDown", "keyUp")]
        self._call("POST", f"{self._session}/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def back(self) -> None:
        self._call("POST", f"{self._session}/back", {})

    def texts(self, selector: str) -> list[str]:
        """The text of every element that matches."""
        return self.run("[...document.querySelectorAll(arguments[0])].map(each => each.textContent)", selector)

    def text(self, selector: str) -> str:
        return self.run("document.querySelector(arguments[0]).textContent", selector)

    def log(self) -> list[str]:
        """What came to the console since it was last asked for."""
        return [f"{entry['level']} {entry['message']}" for entry in self._call("POST", f"{self._session}/se/log", {"type": "browser"})]

    def trouble(self) -> list[str]:
        """Everything that a page must not do: errors, alerts, blocked or made requests, sideways scrolling."""
        loaded = self.run("performance.getEntriesByType('resource').map(each => each.name).filter(name => !name.startsWith('data:'))")
        wide = self.run("document.documentElement.scrollWidth > innerWidth")
        errors = [line for line in self.log() if line.startswith("SEVERE")]
        return [*self.run("window.seen"), *errors, *(f"loaded {name}" for name in loaded), *(["wider than the window"] if wide else [])]

    def cpu_seconds(self) -> float:
        """Processor time of the open page's main thread so far, which other processes do not lengthen."""
        self.command("Performance.enable", timeDomain="threadTicks")
        metrics = {each["name"]: each["value"] for each in self.command("Performance.getMetrics")["metrics"]}
        return metrics["TaskDuration"]

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("GET", f"{self._session}/screenshot")))

    def command(self, name: str, **parameters: Any) -> Any:
        """A command of the Chrome DevTools protocol."""
        return self._call("POST", f"{self._session}/goog/cdp/execute", {"cmd": name, "params": parameters})

    def close(self) -> None:
        self._call("DELETE", self._session)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._address + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {json.load(error)['value'].get('message', error)}") from error


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser for as long as the block lasts."""
    assert CHROMEDRIVER is not None
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as folder:
        driver = subprocess.Popen([CHROMEDRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
        try:
            browser = Browser(_port(driver), Path(folder, "profile"))
            try:
                yield browser
            finally:
                browser.close()
        finally:
            driver.terminate()
            driver.wait(timeout=20)


def _port(driver: "subprocess.Popen[str]") -> int:
    assert driver.stdout is not None
    for line in driver.stdout:
        if "started successfully on port " in line:
            return int(line.split("on port ")[1].split()[0].rstrip("."))
    raise AssertionError("chromedriver did not start")
