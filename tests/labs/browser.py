"""A real JupyterLab and a real Chromium for the tests of the labs."""

import ast
import base64
import contextlib
import io
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
RUN_ALL = """async () => {
  const app = window.jupyterapp; await app.restored;
  const w = app.shell.currentWidget; await w.context.ready; await w.sessionContext.ready;
  await w.sessionContext.session.kernel.info;
  return await app.commands.execute('notebook:run-all-cells'); }"""
RESTART = """async () => {
  const app = window.jupyterapp; await app.restored;
  const w = app.shell.currentWidget; await w.context.ready; await w.sessionContext.ready;
  await window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs');
  await w.sessionContext.session.kernel.restart(); await w.sessionContext.session.kernel.info; }"""
TEXT = """html => { const box = document.createElement('div'); box.innerHTML = html;
  return box.textContent.replace(/\\s+/g, ' ').trim(); }"""
BYTES = """async img => {
  const bytes = new Uint8Array(await (await fetch(img.src)).arrayBuffer());
  return btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), '')); }"""
ASK_KERNEL = """async expression => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const reply = await kernel.requestExecute({code: '', silent: true, user_expressions: {asked: expression}}).done;
  return reply.content.user_expressions.asked.data['text/plain']; }"""
PICTURES = Path(__file__).resolve().parents[2] / "figures" / "labs"
SECONDS = 180
OVERRIDES = {
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none", "autoStartDefaultKernel": True},
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
}


def write_notebook(path: Path, *cells: str) -> None:
    """A notebook of code cells without outputs."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(notebook, path)


def free_port() -> int:
    """A port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def jupyterlab(folder: Path) -> Iterator[tuple[str, str]]:
    """JupyterLab on ``folder``: its address and token. Everything it writes stays below ``folder``."""
    port, token = free_port(), secrets.token_hex(16)
    settings = folder / "config"
    (settings / "labconfig").mkdir(parents=True)
    (settings / "labconfig" / "default_setting_overrides.json").write_text(json.dumps(OVERRIDES))
    environment = {
        **os.environ, "JUPYTER_CONFIG_DIR": str(settings), "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    environment.pop("MPLBACKEND", None)
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
        "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}",
        "--LabApp.expose_app_in_browser=True",
    ]  # fmt: skip
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/api?token={token}", server, folder / "server.log")
        yield address, token
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(20)
        server.kill()


def wait_for(url: str, server: subprocess.Popen, log: Path, seconds: float = 90) -> None:
    """Until the server answers; raises with its log if it does not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.3)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


@contextlib.contextmanager
def chromium() -> Iterator:
    """The browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def notebook_page(browser, address: str, token: str, name: str) -> Iterator:
    """A page with the notebook open; what the console calls an error is in ``page.errors``."""
    page = browser.new_page(viewport={"width": 1280, "height": 1500})
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda entry: page.errors.append(entry.text) if entry.type == "error" else None)
    local = (address, address.replace("http", "ws"), "data:", "blob:")
    page.route("**/*", lambda route: route.continue_() if route.request.url.startswith(local) else route.abort())
    page.goto(f"{address}/lab/tree/{name}?reset&token={token}")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
    try:
        yield page
    finally:
        page.close()


def pixels(picture: bytes) -> np.ndarray:
    """A picture as uint8 [height, width, 4]."""
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGBA"))


class Shown:
    """What a page shows of one lab, and its controls by keyboard and mouse."""

    def __init__(self, page, name):
        self.page, self.name = page, name
        self.root = page.locator(f".s3rec-lab-{name}")
        self.image = self.root.locator("img.s3rec-picture, .s3rec-picture img").first

    def run(self):
        """Run the notebook and wait until the lab is there."""
        self.page.evaluate(RUN_ALL)
        self.image.wait_for(timeout=1000 * SECONDS)

    def run_again(self):
        """Restart the kernel and run the notebook in it."""
        self.page.evaluate(RESTART)
        self.root.wait_for(state="detached")
        self.run()

    def wait(self, wanted, what=lambda: ""):
        """Until ``wanted()``; then fail with ``what()``."""
        end = time.monotonic() + SECONDS
        while not wanted():
            assert time.monotonic() < end, what()
            self.page.wait_for_timeout(10)

    def text(self, part):
        """What stands in a part of the lab, blanks made one."""
        return re.sub(r"\s+", " ", self.root.locator(f".s3rec-{part}").first.text_content() or "").strip()

    def kernel(self, expression):
        """The value of an expression in the kernel."""
        return ast.literal_eval(self.page.evaluate(ASK_KERNEL, expression))

    def wait_for_numbers(self, html):
        """Until the numbers are these."""
        wanted = self.page.evaluate(TEXT, html)
        self.wait(lambda: self.text("numbers") == wanted, lambda: f"{self.text('numbers')!r}\nexpected: {wanted!r}")

    def wait_for_picture(self, picture):
        """Until the picture is this one, pixel by pixel."""
        looked_at, wanted = None, pixels(picture)

        def there():
            nonlocal looked_at
            if (source := self.image.get_attribute("src")) == looked_at:
                return False
            looked_at = source
            return np.array_equal(pixels(base64.b64decode(self.image.evaluate(BYTES))), wanted)

        self.wait(there, lambda: "not the picture that the pure function draws")

    def key(self, control, key):
        """Press a key on a slider."""
        self.root.locator(f".s3rec-control-{control} .noUi-handle").focus()
        self.page.keyboard.press(key)

    def press(self, button):
        """Press a button by keyboard."""
        self.root.locator(f".s3rec-{button}").focus()
        self.page.keyboard.press("Enter")

    def screenshot(self):
        """Kept with the figures when those are made anew."""
        if os.environ.get("S3REC_WRITE_FIGURES") == "1":
            PICTURES.mkdir(parents=True, exist_ok=True)
            self.root.screenshot(path=str(PICTURES / f"{self.name}.png"))
