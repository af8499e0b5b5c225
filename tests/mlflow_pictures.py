"""Pictures of MLflow's pages for the docs, as a browser shows them that was never there before.

``python tests/mlflow_pictures.py http://127.0.0.1:5000 EXPERIMENT RUN MODEL`` writes
``docs/pictures/mlflow-*.png``, of an MLflow server on this machine. Chromium is told what to do
over a pipe (``--remote-debugging-pipe``), so no package is needed for it.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

from browser import CHROMIUM
from PIL import Image

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
WIDTH, HEIGHT = 1280, 800
SECONDS = 10.0
"""A page of MLflow is left so long to load and draw."""
RUNS = "#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey="
PAGES = {
    "mlflow-experiment": "#/experiments/{experiment}/runs",
    "mlflow-trials": f"{RUNS}leastoverfit1",
    "mlflow-charts": f"{RUNS}leastoverfit1&compareRunsMode=CHART",
    "mlflow-study": "#/experiments/{experiment}/runs/{run}",
    "mlflow-model": "#/models/{model}/versions/1?workflowType=machine_learning",
}


class Browser:
    """Chromium with a new profile and one page."""

    def __init__(self, profile):
        read, self._write = os.pipe()
        self._read, write = os.pipe()
        command = (
            f"exec {CHROMIUM} --headless=new --no-sandbox --disable-gpu --hide-scrollbars "
            f"--user-data-dir={profile} --remote-debugging-pipe about:blank 3<&{read} 4>&{write}"
        )
        self._process = subprocess.Popen(
            ["bash", "-c", command], pass_fds=(read, write), stderr=subprocess.DEVNULL
        )
        os.close(read), os.close(write)
        self._sent, self._rest, self._page = 0, b"", {}
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        self._page = {"sessionId": session}
        size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def call(self, method, **params):
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": params, **self._page}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            text, end, rest = self._rest.partition(b"\0")
            if not end:
                self._rest += os.read(self._read, 1 << 20)
                continue
            self._rest = rest
            answer = json.loads(text)
            if answer.get("id") == self._sent:
                return answer["result"]

    def picture(self, address):
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=address)
        time.sleep(SECONDS)
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        return Image.open(BytesIO(data)).convert("RGB")

    def close(self):
        self._process.terminate()
        self._process.wait()


def take(server, **names):
    for name, page in PAGES.items():
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            browser = Browser(profile)
            shown = browser.picture(f"{server}/{page.format(**names)}")
            browser.close()
        few = shown.quantize(128, dither=Image.Dither.NONE)
        few.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    take(sys.argv[1], experiment=sys.argv[2], run=sys.argv[3], model=sys.argv[4])
