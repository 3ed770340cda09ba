"""A real browser for tests: the few WebDriver commands that they need."""

from __future__ import annotations

import base64
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import requests

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Browser:
    """The few WebDriver commands that the tests need."""

    def __init__(self, profile: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.driver = subprocess.Popen(
            ["chromedriver", f"--port={self.port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.http = requests.Session()
        self.http.trust_env = False
        self._await()
        options = {"args": [*FLAGS, f"--user-data-dir={profile}", "--window-size=1280,900"]}
        wanted = {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}
        self.session = self._send("POST", "/session", capabilities=wanted)["sessionId"]

    def _await(self) -> None:
        for _ in range(100):
            try:
                self._send("GET", "/status")
            except requests.ConnectionError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError("chromedriver does not answer")

    def _send(self, method: str, path: str, **body: object) -> Any:
        answer = self.http.request(
            method, f"http://127.0.0.1:{self.port}{path}", json=body if method == "POST" else None, timeout=60
        )
        told = answer.json()["value"]
        assert answer.ok, told
        return told

    def open(self, file: Path, *, rest: float = 0.4) -> None:
        """Load a file and let its handlers have their time, in seconds."""
        self._send("POST", f"/session/{self.session}/url", url=file.as_uri())
        time.sleep(rest)

    def run(self, script: str) -> Any:
        """What a script returns."""
        return self._send("POST", f"/session/{self.session}/execute/sync", script=script, args=[])

    def run_async(self, script: str) -> Any:
        """What a script hands to its last argument, a function."""
        return self._send("POST", f"/session/{self.session}/execute/async", script=script, args=[])

    def tell(self, method: str, **parameters: object) -> Any:
        """A command of the DevTools protocol."""
        path = f"/session/{self.session}/goog/cdp/execute"
        return self._send("POST", path, cmd=method, params=parameters)

    def look(self, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """The size of the window and the wish for light or dark, from the next page on."""
        mode = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.tell("Emulation.setEmulatedMedia", media="", features=[mode])
        narrow = width < 600
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=narrow)

    def picture(self, file: Path) -> None:
        """The whole page as a PNG."""
        size = self.tell("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        told = self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        file.write_bytes(base64.b64decode(told["data"]))

    def complaints(self) -> list[str]:
        """Errors of the console since the last look."""
        lines = self._send("POST", f"/session/{self.session}/se/log", type="browser")
        return [line["message"] for line in lines if line["level"] == "SEVERE"]

    def close(self) -> None:
        """End browser and driver."""
        self._send("DELETE", f"/session/{self.session}")
        self.driver.terminate()
        self.driver.wait(10)
