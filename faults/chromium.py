"""A headless Chromium, controlled over the W3C WebDriver protocol."""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests

#: Seconds.
START, REQUEST = 20.0, 60.0
ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server", "--hide-scrollbars",
    # It calls nobody but the page.
    "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic",
)  # fmt: skip


def has_chromium() -> bool:
    """Whether Chromium and its driver are installed (on Debian: ``chromium`` and ``chromium-driver``)."""
    return bool(shutil.which("chromedriver") and (shutil.which("chromium") or shutil.which("google-chrome")))


class Chromium:
    """
    One tab of a browser.

    :param session: the address of the driver's session.
    """

    def __init__(self, http: requests.Session, session: str) -> None:
        self._http = http
        self._session = session

    def open(self, url: str) -> None:
        """Open an address, and wait until the page is loaded."""
        self._ask("url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run the body of a JavaScript function, and return its value."""
        return self._ask("execute/sync", {"script": script, "args": arguments})

    def show(self, theme: str, width: int, height: int = 900) -> None:
        """Use a width in pixels, and the theme ``light`` or ``dark``."""
        phone = width < 600
        self._devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        self._devtools(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}]
        )

    def click(self, element: str) -> None:
        """
        Click an element, as a mouse does.

        :param element: JavaScript of which the value is the element.
        """
        box = self.box(element)
        at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        for event in ("mousePressed", "mouseReleased"):
            self._devtools("Input.dispatchMouseEvent", type=event, **at, button="left", clickCount=1)

    def type(self, element: str, text: str) -> None:
        """Focus an element, and type a text."""
        self.run(f"({element}).focus()")
        self._devtools("Input.insertText", text=text)

    def press_enter(self) -> None:
        """Press the Enter key."""
        for event in ("keyDown", "keyUp"):
            self._devtools(
                "Input.dispatchKeyEvent", type=event, key="Enter", code="Enter", windowsVirtualKeyCode=13
            )

    def box(self, element: str) -> dict[str, float]:
        """Return ``x``, ``y``, ``width`` and ``height`` of an element, in pixels of the page in sight."""
        found: dict[str, float] = self.run(f"return ({element}).getBoundingClientRect().toJSON()")
        return found

    def picture(self, file: Path, *, whole: bool = True, of: dict[str, float] | None = None) -> None:
        """
        Save a picture of the page as PNG; the whole of it, or what is in sight.

        :param of: the part of what is in sight, as :meth:`box` returns it.
        """
        options: dict[str, Any] = {"captureBeyondViewport": whole}
        if of is not None:
            part = {name: of[name] for name in ("x", "y", "width", "height")}
            options = {"clip": {**part, "scale": 1}}
        taken = self._devtools("Page.captureScreenshot", format="png", **options)
        file.write_bytes(base64.b64decode(taken["data"]))

    def errors(self) -> list[str]:
        """Return what the browser's console has logged as an error since the last call."""
        return [
            line["message"] for line in self._ask("se/log", {"type": "browser"}) if line["level"] == "SEVERE"
        ]

    def _devtools(self, command: str, **parameters: Any) -> Any:
        return self._ask("goog/cdp/execute", {"cmd": command, "params": parameters})

    def _ask(self, command: str, body: dict[str, Any]) -> Any:
        response = self._http.post(f"{self._session}/{command}", json=body, timeout=REQUEST)
        value = response.json()["value"]
        if not response.ok:
            raise RuntimeError(f"{command}: {value['message']}")
        return value


@contextmanager
def running_chromium() -> Iterator[Chromium]:
    """Start a browser, and end it on exit."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    driver = subprocess.Popen(
        ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    http = requests.Session()
    # Bypass a proxy of the environment.
    http.trust_env = False
    url = f"http://127.0.0.1:{port}"
    session = ""
    try:
        _wait(http, url)
        options = {"goog:chromeOptions": {"args": ARGUMENTS}, "goog:loggingPrefs": {"browser": "ALL"}}
        answer = http.post(
            f"{url}/session", json={"capabilities": {"alwaysMatch": options}}, timeout=REQUEST
        ).json()
        session = f"{url}/session/{answer['value']['sessionId']}"
        yield Chromium(http, session)
    finally:
        if session:
            with suppress(requests.RequestException):
                http.delete(session, timeout=REQUEST)
        driver.terminate()
        driver.wait()


def _wait(http: requests.Session, url: str) -> None:
    deadline = time.monotonic() + START
    while True:
        try:
            http.get(f"{url}/status", timeout=REQUEST)
        except requests.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
