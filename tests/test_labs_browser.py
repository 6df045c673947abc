"""Every lab in a real JupyterLab and a real browser: what the sliders show is what the pure functions give."""

import os
import re
import time
from pathlib import Path

import browser as tools
import pytest

from s3rec_lite import labs
from s3rec_lite.errors import DataError
from s3rec_lite.labs.view import Choice, Slider

pytestmark = pytest.mark.skipif(tools.CHROMIUM is None, reason="chromium is not installed")
SLIDER_LABS = [name for name in labs.LABS if name != "train"]
PICTURES = Path(__file__).resolve().parents[1] / "figures" / "labs"
ANSWER_MS = 30_000
TEXT = """html => { const box = document.createElement('div'); box.innerHTML = html;
  return box.textContent.replace(/\\s+/g, ' ').trim(); }"""


@pytest.fixture(scope="module")
def material():
    try:
        return labs.material()
    except DataError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def lab_server(tmp_path_factory, material):
    folder = tmp_path_factory.mktemp("lab")
    for name in labs.LABS:
        tools.write_notebook(folder / f"{name}.ipynb", f"from s3rec_lite import labs\n\nview = labs.show({name!r})")
    with tools.jupyterlab(folder) as (address, token), tools.chromium() as browser:
        yield browser, address, token


class Shown:
    """What a page shows of one lab."""

    def __init__(self, page, name):
        self.page, self.name = page, name
        self.root = page.locator(f".s3rec-lab-{name}")

    def run(self):
        self.page.evaluate(tools.RUN_ALL)
        self.root.wait_for(timeout=120_000)
        self.root.locator("img.widget-image").first.wait_for(timeout=60_000)

    def numbers(self):
        return re.sub(r"\s+", " ", self.root.locator(".s3rec-numbers").first.text_content() or "").strip()

    def picture(self):
        return self.root.locator("img.s3rec-picture, .s3rec-picture img").first.get_attribute("src")

    def wait_for_numbers(self, html):
        wanted = self.page.evaluate(TEXT, html)
        end = time.monotonic() + ANSWER_MS / 1000
        while self.numbers() != wanted:
            assert time.monotonic() < end, f"shown: {self.numbers()!r}\nexpected: {wanted!r}"
            self.page.wait_for_timeout(10)

    def move(self, control):
        """One step with the keyboard, or the next option of a list; returns the new value."""
        box = self.root.locator(f".s3rec-control-{control.name}")
        if isinstance(control, Choice):
            values = [value for _, value in control.options]
            place = values.index(control.value)
            step = 1 if place + 1 < len(values) else -1
            box.locator("select").select_option(index=place + step)
            return values[place + step]
        step = 1 if control.value + control.step <= control.high else -1
        box.locator(".noUi-handle").focus()
        self.page.keyboard.press("ArrowRight" if step == 1 else "ArrowLeft")
        return control.value + step * control.step

    def change_of_picture(self, before):
        end = time.monotonic() + ANSWER_MS / 1000
        while self.picture() == before:
            assert time.monotonic() < end, "the picture did not change"
            self.page.wait_for_timeout(10)


def screenshot(shown):
    """Kept with the figures when those are made anew."""
    if os.environ.get("S3REC_WRITE_FIGURES") == "1":
        PICTURES.mkdir(parents=True, exist_ok=True)
        shown.root.screenshot(path=str(PICTURES / f"{shown.name}.png"))


@pytest.mark.parametrize("name", SLIDER_LABS)
def test_every_control_answers_with_what_the_pure_function_gives(lab_server, material, name, record_property):
    browser, address, token = lab_server
    lab = labs.make_lab(name, material)
    seconds = []
    with tools.notebook_page(browser, address, token, f"{name}.ipynb") as page:
        shown = Shown(page, name)
        shown.run()
        settings = dict(lab.defaults)
        shown.wait_for_numbers(lab.answer(**settings).numbers)
        screenshot(shown)
        for control in lab.controls:
            assert isinstance(control, Slider | Choice)
            before, begin = shown.picture(), time.perf_counter()
            settings[control.name] = shown.move(control)
            expected = lab.answer(**settings).numbers
            shown.wait_for_numbers(expected)
            seconds.append(time.perf_counter() - begin)
            shown.change_of_picture(before)
        shown.root.locator(".s3rec-reset").click()
        shown.wait_for_numbers(lab.answer(**lab.defaults).numbers)
        page.evaluate(tools.RESTART)
        shown.run()
        shown.wait_for_numbers(lab.answer(**lab.defaults).numbers)
        assert page.errors == []
    record_property("slowest_answer_seconds", round(max(seconds), 3))
    print(f"{name}: slowest answer {max(seconds):.3f} s")
