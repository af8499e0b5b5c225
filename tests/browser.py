"""A page as Chromium lays it out: pictures of it, and what is measured on it.

``python tests/browser.py REPORT.html PICTURE.png [WIDTH HEIGHT]`` makes a picture. A frame of any
width holds the page, because a window of Chromium is at least 500 pixels wide.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-extensions",
    "--allow-file-access-from-files", "--virtual-time-budget=3000",
)  # fmt: skip

FRAME = """<!DOCTYPE html><html><body style="margin:0">
<iframe id="page" src="{address}" style="width:{width}px;height:{height}px;border:0"></iframe>
<script>
document.getElementById("page").onload = (event) => {{
  const page = event.target.contentDocument;
  const found = document.createElement("pre");
  found.id = "found";
  found.textContent = JSON.stringify({expression});
  document.body.append(found);
}};
</script></body></html>"""


def measured(page: Path, expression: str, width: int, height: int = 844):
    """Returns the value of a JavaScript expression on ``page``, the document, in JSON."""
    shown = _chromium(page, width, height, expression, "--dump-dom").stdout
    found = re.search(r'<pre id="found">(.*?)</pre>', shown, re.S)
    assert found is not None, shown[:500]
    return json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


def picture(page: Path, file: Path, width: int, height: int) -> None:
    """Writes a PNG of the upper part of a page."""
    _chromium(page, width, height, "null", f"--screenshot={file.absolute()}")
    with Image.open(file) as image:
        shown = image.convert("RGB").crop((0, 0, width, height))
    shown.save(file, optimize=True)


def _chromium(page: Path, width: int, height: int, expression: str, *asked: str):
    with tempfile.TemporaryDirectory() as folder:
        frame = Path(folder) / "frame.html"
        address = page.absolute().as_uri()
        frame.write_text(
            FRAME.format(address=address, width=width, height=height, expression=expression)
        )
        # The frame's own script writes below the page: the window must not be too small for it.
        window = f"--window-size={max(width, 500)},{height + 200}"
        command = [str(CHROMIUM), *OPTIONS, window, f"--user-data-dir={folder}/profile", *asked]
        return subprocess.run(
            [*command, frame.as_uri()], capture_output=True, text=True, check=True, timeout=120
        )


if __name__ == "__main__":
    size = [int(number) for number in sys.argv[3:5]] or [1280, 800]
    picture(Path(sys.argv[1]), Path(sys.argv[2]), *size)
