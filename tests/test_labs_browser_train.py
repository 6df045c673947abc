"""The lab "train" in a real JupyterLab and a real browser: start, pause, resume, stop, and a run to its end."""

import os
import re
import time
from pathlib import Path

import browser as tools
import pytest

from s3rec_lite import labs
from s3rec_lite.errors import DataError

pytestmark = pytest.mark.skipif(tools.CHROMIUM is None, reason="chromium is not installed")
PICTURES = Path(__file__).resolve().parents[1] / "figures" / "labs"
SECONDS = 180
ASK_KERNEL = """async code => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const begin = performance.now();
  const reply = await kernel.requestExecute({code: code, silent: true}).done;
  return [reply.content.status, (performance.now() - begin) / 1000]; }"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    try:
        labs.material()
    except DataError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("train")
    tools.write_notebook(folder / "train.ipynb", "from s3rec_lite import labs\n\nview = labs.show('train')")
    with (
        tools.jupyterlab(folder) as (address, token),
        tools.chromium() as browser,
        tools.notebook_page(browser, address, token, "train.ipynb") as page,
    ):
        page.evaluate(tools.RUN_ALL)
        page.locator(".s3rec-lab-train .s3rec-picture").first.wait_for(timeout=120_000)
        yield page


class Shown:
    """What the page shows of the lab, and its buttons by keyboard."""

    def __init__(self, page):
        self.page, self.root = page, page.locator(".s3rec-lab-train")

    def status(self):
        return self.root.locator(".s3rec-status").first.text_content().strip()

    def step(self):
        found = re.search(r"step (\d+) of", self.status())
        return int(found[1]) if found else -1

    def rows(self):
        return self.root.locator(".s3rec-numbers tr").count()

    def picture(self):
        return self.root.locator("img.s3rec-picture, .s3rec-picture img").first.get_attribute("src")

    def press(self, name):
        self.root.locator(f".s3rec-{name}").focus()
        self.page.keyboard.press("Enter")

    def wait(self, wanted):
        end = time.monotonic() + SECONDS
        while not wanted():
            assert time.monotonic() < end, self.status()
            self.page.wait_for_timeout(100)


def test_start_pause_resume_stop_and_a_run_to_its_end(page):
    shown = Shown(page)
    shown.wait(lambda: shown.status() == "idle")
    empty = shown.picture()
    shown.press("start")
    shown.wait(lambda: shown.status().startswith("pre-training: epoch") and shown.step() >= 1)
    shown.wait(lambda: shown.picture() != empty)
    status, seconds = page.evaluate(ASK_KERNEL, "1 + 1")
    assert status == "ok" and seconds < 5  # the kernel answers while the thread trains
    shown.press("pause")
    shown.wait(lambda: shown.status().startswith("paused at pre-training"))
    at = shown.step()
    page.wait_for_timeout(1500)
    assert shown.step() == at and shown.status().startswith("paused at")
    shown.press("start")
    shown.wait(lambda: "One run is under way" in shown.status())
    shown.press("pause")
    shown.wait(lambda: shown.status().startswith("pre-training") and shown.step() > at)
    shown.press("stop")
    shown.wait(lambda: shown.status().startswith("stopped"))
    assert shown.rows() == 0

    shown.root.locator(".s3rec-control-epochs .noUi-handle").focus()
    for epochs in (2, 1):
        page.keyboard.press("ArrowLeft")
        check = f"assert view.controls['epochs'].value == {epochs}"
        shown.wait(lambda check=check: page.evaluate(ASK_KERNEL, check)[0] == "ok")
    shown.press("start")
    shown.wait(lambda: shown.status().startswith(("pre-training: epoch 1 of 1", "fine-tuning", "evaluating", "done")))
    shown.wait(lambda: shown.status().startswith("done"))
    shown.wait(lambda: shown.rows() == 3)  # a head, and the run under two protocols
    cells = shown.root.locator(".s3rec-numbers td").all_text_contents()
    assert cells[:5] == ["1", "0.2 / 1 / 1 / 0.5", "1", "150", "all films"]
    if os.environ.get("S3REC_WRITE_FIGURES") == "1":
        PICTURES.mkdir(parents=True, exist_ok=True)
        shown.root.screenshot(path=str(PICTURES / "train.png"))
    assert page.errors == []
