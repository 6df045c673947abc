"""The lab "train" in a real JupyterLab and a real browser: start, pause, resume, stop, and runs to their end."""

import re
import time

import browser as tools
import pytest
import torch

from s3rec_lite import labs
from s3rec_lite.labs.lab import png
from s3rec_lite.labs.loss_weights import RECBOLE_DOCS
from s3rec_lite.labs.run_figures import draw_runs, runs_table
from s3rec_lite.labs.runs import Settings, train_once
from s3rec_lite.support.errors import DataError

pytestmark = pytest.mark.skipif(tools.CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def material():
    try:
        return labs.material()
    except DataError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def page(tmp_path_factory, material):
    folder = tmp_path_factory.mktemp("train")
    tools.write_notebook(folder / "train.ipynb", "from s3rec_lite import labs\n\nview = labs.show('train')")
    with (
        tools.jupyterlab(folder) as (address, token),
        tools.chromium() as browser,
        tools.notebook_page(browser, address, token, "train.ipynb") as page,
    ):
        yield page


@pytest.fixture
def one_thread():
    """As in the kernel, so that both compute the same numbers."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Shown(tools.Shown):
    """With the lab's status line."""

    def step(self):
        found = re.search(r"step (\d+) of", self.text("status"))
        return int(found[1]) if found else -1

    def wait_for_status(self, *begins):
        self.wait(lambda: self.text("status").startswith(begins), lambda: self.text("status"))

    def wait_for_settings(self, wanted):
        self.wait(lambda: self.kernel("view.settings()") == pytest.approx(wanted), lambda: f"not {wanted}")


def test_start_pause_resume_and_stop(page):
    shown = Shown(page, "train")
    shown.run()
    shown.wait_for_status("idle")
    shown.wait_for_picture(png(draw_runs([])))
    empty = shown.image.get_attribute("src")
    shown.press("start")
    shown.wait(lambda: shown.text("status").startswith("pre-training: epoch") and shown.step() >= 1)
    shown.wait(lambda: shown.image.get_attribute("src") != empty)
    begin = time.monotonic()
    assert shown.kernel("1 + 1") == 2
    assert time.monotonic() - begin < 5  # the kernel answers while the thread trains
    shown.press("pause")
    shown.wait_for_status("paused at pre-training")
    at = shown.step()
    page.wait_for_timeout(1200)
    assert shown.step() == at
    assert shown.text("status").startswith("paused at")
    shown.press("start")
    shown.wait(lambda: "One run is under way" in shown.text("status"))
    shown.press("pause")
    shown.wait(lambda: shown.text("status").startswith("pre-training") and shown.step() > at)
    shown.press("stop")
    shown.wait_for_status("stopped")
    shown.wait_for_numbers(runs_table([]))
    assert page.errors == []


def run_to_its_end(shown, material, settings, earlier):
    """Start with these settings, wait, and compare table and picture with those of the pure function."""
    shown.wait_for_settings(settings)
    shown.press("start")
    run = train_once(material, Settings(**shown.kernel("view.settings()")))
    shown.wait_for_status(f"done: run {len(earlier) + 1}")
    shown.wait_for_numbers(runs_table([*earlier, run]))
    shown.wait_for_picture(png(draw_runs([*earlier, run])))
    return run


def test_sliders_presets_two_runs_to_their_end_reset_and_a_new_kernel(page, material, one_thread):
    shown, lab = Shown(page, "train"), labs.make_lab("train", material)
    shown.run()
    shown.run_again()
    for place, preset in enumerate(lab.presets):
        shown.root.locator(f".s3rec-preset-{place}").click()
        shown.wait_for_settings({**lab.defaults, **preset.settings})
    shown.press("reset")
    shown.wait_for_settings(lab.defaults)

    wanted = dict(lab.defaults)
    for control in lab.controls:
        weight = control.name not in ("epochs", "share")
        wanted[control.name] = control.value + control.step if weight else control.low
        shown.key(control.name, "ArrowRight" if weight else "Home")
    shown.wait_for_settings(wanted)
    shown.key("share", "End")
    runs = [run_to_its_end(shown, material, {**wanted, "share": 100}, [])]
    shown.root.locator(".s3rec-preset-2").click()
    runs.append(run_to_its_end(shown, material, {**wanted, "share": 100, **RECBOLE_DOCS}, runs))
    shown.screenshot()

    shown.press("reset")
    shown.wait_for_settings(lab.defaults)
    shown.wait_for_status("idle")
    shown.wait_for_numbers(runs_table([]))
    shown.wait_for_picture(png(draw_runs([])))
    assert page.errors == []
