"""Lab "train": pre-train with your own weights, in the background, and lay the runs over each other.

A thread trains; it never touches a widget. The view looks at what the thread left behind a lock, about twice a
second, from the kernel's own event loop.
"""

import asyncio
import contextlib
import html
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets

from s3rec_lite.labs.job import Job
from s3rec_lite.labs.loss_weights import WEIGHTS, equal_shares, fixed_presets, per_prefix
from s3rec_lite.labs.material import INIT, Material
from s3rec_lite.labs.run_figures import MAX_RUNS, draw_runs, in_words, runs_table
from s3rec_lite.labs.runs import Run, Settings
from s3rec_lite.labs.view import WIDTH, Preset, Slider, close_all, heading, picture_widget, png, preset_buttons, row_of
from s3rec_lite.support.errors import SettingError

POLL = 0.5  # seconds between two looks at the thread
SETTLE = 0.2  # seconds between a click on Start and the start: a click can overtake the last move of a slider
CONTROLS = (
    *WEIGHTS,
    Slider("epochs", "Pre-training epochs", 1, 8, 3),
    Slider("share", "Users to learn from", 20, 100, 100, 10, "%"),
)


class TrainView:
    """Widgets around the runs. ``root`` is what to display; ``close()`` ends the thread and removes everything."""

    def __init__(self, lab: "TrainLab"):
        self.lab = lab
        self.runs: list[Run] = []
        """finished ones"""
        self.current: Run | None = None
        """under way, or stopped"""
        self.job: Job | None = None
        self._task: asyncio.Task | None = None
        self._starting: asyncio.TimerHandle | None = None
        self._dropped: list[Job] = []  # told to stop, perhaps still at their last batch
        self._note = ""
        self._outcome = "idle"
        self._shown: tuple[Any, ...] = ()
        self.controls = {control.name: control.widget() for control in CONTROLS}
        for name, widget in self.controls.items():
            widget.add_class(f"s3rec-control-{name}")
        self.status, self.numbers = widgets.HTML(), widgets.HTML()
        self.image = picture_widget()
        self.status.add_class("s3rec-status")
        self.numbers.add_class("s3rec-numbers")
        self.buttons = self._make_buttons()
        self.presets = preset_buttons(lab.presets, self.set)
        self.root = widgets.VBox([
            heading(lab.title, lab.question), *self.controls.values(), row_of(self.presets),
            row_of(list(self.buttons.values())), self.status, self.image, self.numbers,
        ])  # fmt: skip
        self.root.add_class(f"s3rec-lab-{lab.name}")
        self.poll()

    def _make_buttons(self) -> dict[str, widgets.Button]:
        what = {
            "start": ("Start", "play", "Train with these settings", self._start_soon),
            "pause": ("Pause", "pause", "Stand still after this batch, or go on", self.pause),
            "stop": ("Stop", "stop", "End after this batch; the curves stay, no row is added", self.stop),
            "reset": ("Reset", "undo", "Forget all runs and set the sliders back", self.reset),
        }
        buttons = {}
        for name, (text, icon, tooltip, action) in what.items():
            buttons[name] = widgets.Button(description=text, icon=icon, tooltip=tooltip)
            buttons[name].add_class(f"s3rec-{name}")
            buttons[name].on_click(lambda _, action=action: action())
        return buttons

    def settings(self) -> dict[str, Any]:
        """What the controls say now."""
        return {name: widget.value for name, widget in self.controls.items()}

    def set(self, **settings: Any) -> "TrainView":
        """Move controls from a program."""
        for name, value in settings.items():
            self.controls[name].value = value
        return self

    @property
    def running(self) -> bool:
        """Whether a run is under way, paused or not."""
        return self.job is not None

    def _start_soon(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.start()
            return
        self._forget_start()
        self._starting = loop.call_later(SETTLE, self.start)

    def _forget_start(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            self._starting = None

    def start(self) -> None:
        """Begin a run with the present settings; refused with a line while another is under way."""
        self._forget_start()
        self.poll()
        self._note = ""
        if self.running:
            self._note = "One run is under way; wait for its end or press Stop before starting another."
        elif len(self.runs) >= MAX_RUNS:
            self._note = f"{MAX_RUNS} runs are kept at most; press Reset to begin anew."
        else:
            try:
                settings = Settings(**self.settings())
            except SettingError as error:
                self._note = f"Not started: {error}."
            else:
                self.current = None
                self.job = Job(self.lab.material, settings, self.runs)
                self._watch()
        self.poll()

    def pause(self) -> None:
        """Pause the run, or resume it."""
        if self._starting is not None:  # Start was clicked a moment ago
            self.start()
        self._note = "" if self.running else "Nothing to pause: no run is under way."
        if self.running:
            (self.job.resume if self.job.pausing else self.job.pause)()
        self.poll()

    def stop(self) -> None:
        """End the run; its curves stay, and no row is added to the table."""
        taken_back = self._starting is not None
        self._forget_start()
        self._note = "" if self.running or taken_back else "Nothing to stop: no run is under way."
        if self.running:
            self.job.stop()
        self.poll()

    def reset(self) -> None:
        """End the run, forget all runs, set the sliders back. Does not wait for the batch in hand."""
        self._drop_job()
        self.runs, self.current, self._note, self._outcome = [], None, "", "idle"
        self.set(**{control.name: control.value for control in CONTROLS})
        self.poll()

    def poll(self) -> None:
        """Show where the thread is. The event loop of a kernel calls it; without one, call it yourself."""
        paused = False
        if self.job is not None:
            alive = self.job.alive  # before looking: what a thread that has ended left is complete
            run, paused, error = self.job.look()
            self.current = run
            if not alive:
                self.job = None
                self._finish(run, error)
        self._show_status(paused)
        shown = (len(self.runs), self.current and (len(self.current.losses), self.current.stopped))
        if shown != self._shown:
            self.image.value = png(draw_runs(self.runs, self.current))
            self.alt = in_words(self.runs, self.current)
            self.numbers.value = f"<div style='max-width:{WIDTH};line-height:1.5'>{runs_table(self.runs)}</div>"
            self._shown = shown

    def _finish(self, run: Run | None, error: str) -> None:
        self._note = ""
        if error:
            self._outcome, self.current = f"failed: {error}", None
        elif run.finished:
            self.runs, self.current = [*self.runs, run], None
            self._outcome = f"done: run {len(self.runs)} is in the table below"
        else:
            self._outcome = f"stopped ({run.where}); no row was added to the table"

    def _show_status(self, paused: bool) -> None:
        text = self._outcome
        if self.job is not None:
            where = self.current.where if self.current is not None else "starting"
            text = f"paused at {where}" if paused else where
            if not paused and (self.job.stopping or self.job.pausing):
                text = f"{'stopping' if self.job.stopping else 'pausing'} after this step ({where})"
        pausing = self.job is not None and self.job.pausing
        self.buttons["pause"].description = "Resume" if pausing else "Pause"
        self.buttons["pause"].icon = "play" if pausing else "pause"
        note = f"<br>{html.escape(self._note)}" if self._note else ""
        self.status.value = f"<b>{html.escape(text)}</b>{note}"

    def _watch(self) -> None:
        self._forget_task()
        with contextlib.suppress(RuntimeError):  # outside of a kernel there is no loop: `poll` by hand
            self._task = asyncio.get_running_loop().create_task(self._poll_until_done())

    def _forget_task(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _poll_until_done(self) -> None:
        while self.job is not None:
            await asyncio.sleep(POLL)
            try:
                self.poll()
            except Exception as error:  # a view must not die silently in a task
                self.status.value = f"<b>{type(error).__name__}:</b> {html.escape(str(error))}"

    def _drop_job(self) -> None:
        """Stop the run and look at it no more: what its thread still leaves behind is never shown."""
        self._forget_start()
        self._forget_task()
        if self.job is not None:
            self.job.stop()
            self._dropped = [job for job in (*self._dropped, self.job) if job.alive]
            self.job = None

    def close(self) -> None:
        """End the thread, wait for it (a batch at most, or the evaluation), and close all widgets."""
        self._drop_job()
        for job in self._dropped:
            job.join()
        self._dropped = []
        close_all(self.root)


@dataclass(frozen=True, eq=False)
class TrainLab:
    """The lab's texts and what it trains on."""

    material: Material
    presets: tuple[Preset, ...] = ()
    name: str = "train"
    title: str = "Train with your weights"
    question: str = (
        "Set the weights, press Start and watch the four losses fall; then the model is fine-tuned and tested. "
        "Try RecBole's swapped weights, or one objective alone: which differences from your first run are clear?"
    )

    def make_view(self) -> TrainView:
        """The widgets."""
        return TrainView(self)


def make_lab(material: Material) -> TrainLab:
    """The lab on the labs' data; no training before Start is pressed."""
    start = per_prefix(material.models[INIT], material.some)
    return TrainLab(material, (*fixed_presets(), equal_shares(start, INIT, "Equal shares at the start")))
