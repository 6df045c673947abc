"""Every lab in a real JupyterLab and a real browser: what the controls show is what the pure functions give."""

import time

import browser as tools
import pytest

from s3rec_lite import labs
from s3rec_lite.labs.lab import Choice, Slider, png
from s3rec_lite.support.errors import DataError

pytestmark = pytest.mark.skipif(tools.CHROMIUM is None, reason="chromium is not installed")
SLIDER_LABS = [name for name in labs.LABS if name != "train"]


@pytest.fixture(scope="module")
def material():
    try:
        return labs.material()
    except DataError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def lab_server(tmp_path_factory, material):
    folder = tmp_path_factory.mktemp("lab")
    for name in SLIDER_LABS:
        tools.write_notebook(folder / f"{name}.ipynb", f"from s3rec_lite import labs\n\nview = labs.show({name!r})")
    with tools.jupyterlab(folder) as (address, token), tools.chromium() as browser:
        yield browser, address, token


def neighbour(control):
    """The value one step on, or back at the end of the control."""
    if isinstance(control, Choice):
        values = [value for _, value in control.options]
        place = values.index(control.value)
        return values[place + 1 if place + 1 < len(values) else place - 1]
    return control.value + (control.step if control.value + control.step <= control.high else -control.step)


def move(shown, control):
    """Go there with the keyboard, or by choosing from the list."""
    assert isinstance(control, Slider | Choice)
    wanted = neighbour(control)
    if isinstance(control, Slider):
        shown.key(control.name, "ArrowRight" if wanted > control.value else "ArrowLeft")
    else:
        place = [value for _, value in control.options].index(wanted)
        shown.root.locator(f".s3rec-control-{control.name} select").select_option(index=place)


def answered(shown, lab, settings, act):
    """Act, wait for the answer to the settings, and return the seconds until its numbers were there."""
    expected = lab.answer(**settings)
    begin = time.perf_counter()
    act()
    shown.wait_for_numbers(expected.numbers)
    seconds = time.perf_counter() - begin
    shown.wait_for_picture(png(expected.draw()))
    return seconds


@pytest.mark.parametrize("name", SLIDER_LABS)
def test_every_control_answers_with_what_the_pure_function_gives(lab_server, material, name, record_property):
    lab, seconds = labs.make_lab(name, material), []
    browser, address, token = lab_server
    with tools.notebook_page(browser, address, token, f"{name}.ipynb") as page:
        shown, settings = tools.Shown(page, name), dict(lab.defaults)
        answered(shown, lab, settings, shown.run)
        shown.screenshot()
        for control in lab.controls:
            settings[control.name] = neighbour(control)
            seconds.append(answered(shown, lab, settings, lambda control=control: move(shown, control)))
        for place, preset in enumerate(lab.presets):
            settings.update(preset.settings)
            answered(shown, lab, settings, lambda place=place: shown.root.locator(f".s3rec-preset-{place}").click())
        answered(shown, lab, lab.defaults, lambda: shown.press("reset"))
        in_kernel = shown.kernel("view.seconds[1:]")
        answered(shown, lab, lab.defaults, shown.run_again)
        assert page.errors == []
    record_property("slowest_numbers_in_the_page_seconds", round(max(seconds), 3))
    record_property("median_answer_in_the_kernel_seconds", round(sorted(in_kernel)[len(in_kernel) // 2], 3))
    print(f"{name}: slowest numbers {max(seconds):.3f} s; answers in the kernel {min(in_kernel):.3f} s and more")
