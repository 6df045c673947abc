"""Lab "train": pre-train with your own weights, in the background, and lay the runs over each other.

A thread trains; it never touches a widget. The view looks at what the thread left, about twice a second, from the
kernel's own event loop.
"""

import asyncio
import contextlib
import html
from functools import partial
from typing import Any

import ipywidgets as widgets

from s3rec_lite.labs.job import Job
from s3rec_lite.labs.lab import Answer, Lab, Preset, Slider, png
from s3rec_lite.labs.loss_weights import FIXED_PRESETS, WEIGHTS, equal_tooltip, equal_weights, probe
from s3rec_lite.labs.material import INIT, Material
from s3rec_lite.labs.run_figures import MAX_RUNS, draw_runs, in_words, runs_table
from s3rec_lite.labs.runs import Run, Settings, train_once
from s3rec_lite.labs.view import View, button, named, row_of
from s3rec_lite.support.errors import SettingError

POLL = 0.5  # seconds between two looks at the thread
SETTLE = 0.2  # seconds between a click on Start and the start: a click can overtake the last move of a slider


def make_lab(material: Material) -> Lab:
    """The lab on the labs' data; no training before Start is pressed."""
    equal = equal_weights(probe(material.models[INIT], material.some).gram)
    return Lab(
        "train",
        "Train with your weights",
        "Set the weights, press Start and watch the four losses fall; then the model is fine-tuned and tested. "
        "Try RecBole's swapped weights, or one objective alone: which differences from your first run are clear?",
        (
            *WEIGHTS,
            Slider("epochs", "Pre-training epochs", 1, 8, 3),
            Slider("share", "Users to learn from", 20, 100, 100, 10, "%"),
        ),
        partial(_answer, material),
        (*FIXED_PRESETS, Preset("Equal shares at the start", equal, equal_tooltip(INIT))),
        partial(TrainView, material),
    )


def _answer(material: Material, **settings: Any) -> Answer:
    """The whole run for these settings, which takes a while: what the view shows at its end."""
    run = train_once(material, Settings(**settings))
    return Answer(runs_table([run]), partial(draw_runs, [run]), in_words([run]), {"results": run.results})


class TrainView(View):
    """Widgets around the runs."""

    def __init__(self, material: Material, lab: Lab):
        super().__init__(lab)
        self.runs: list[Run] = []
        """finished ones"""
        self.current: Run | None = None
        """under way, or stopped"""
        self.job: Job | None = None
        self._material = material
        self._task: asyncio.Task | None = None
        self._starting: asyncio.TimerHandle | None = None
        self._dropped: list[Job] = []  # told to stop, perhaps still at their last batch
        self._note, self._outcome = "", "idle"
        self._shown: tuple[Any, ...] = ()
        self.status = named(widgets.HTML(), "status")
        self.buttons = {
            "start": button("start", "Start", self._start_soon, "Train with these settings", "play"),
            "pause": button("pause", "Pause", self.pause, "Stand still after this batch, or go on", "pause"),
            "stop": button("stop", "Stop", self.stop, "End after this batch; the curves stay, no row is added", "stop"),
            "reset": button("reset", "Reset", self.reset, "Forget all runs and set the sliders back", "undo"),
        }
        self.lay_out(row_of(self.presets), row_of(list(self.buttons.values())), self.status, self.image, self.numbers)
        self.poll()

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
        self._take_back_start()
        self._starting = loop.call_later(SETTLE, self.start)

    def _take_back_start(self) -> bool:
        """Forget a click on Start of a moment ago; whether there was one."""
        waiting, self._starting = self._starting, None
        if waiting is not None:
            waiting.cancel()
        return waiting is not None

    def start(self) -> None:
        """Begin a run with the present settings; refused with a line while another is under way."""
        self._take_back_start()
        self.poll()
        self._note = ""
        if self.running:
            self._note = "One run is under way; wait for its end or press Stop before starting another."
        elif len(self.runs) >= MAX_RUNS:
            self._note = f"{MAX_RUNS} runs are kept at most; press Reset to begin anew."
        else:
            try:
                self.job = Job(self._material, Settings(**self.settings()), self.runs)
                self.job.start()
            except SettingError as error:
                self._note = f"Not started: {error}."
            else:
                self.current = None
                self._watch()
        self.poll()

    def pause(self) -> None:
        """Pause the run, or resume it."""
        if self._take_back_start():
            self.start()
        self._note = "" if self.job else "Nothing to pause: no run is under way."
        if self.job:
            (self.job.resume if self.job.pausing else self.job.pause)()
        self.poll()

    def stop(self) -> None:
        """End the run; its curves stay, and no row is added to the table."""
        taken_back = self._take_back_start()
        self._note = "" if self.job or taken_back else "Nothing to stop: no run is under way."
        if self.job:
            self.job.stop()
        self.poll()

    def reset(self) -> None:
        """End the run, forget all runs, set the sliders back. Does not wait for the batch in hand."""
        self._drop_job()
        self.runs, self.current, self._note, self._outcome = [], None, "", "idle"
        self.set(**self.lab.defaults)
        self.poll()

    def poll(self) -> None:
        """Show where the thread is. The event loop of a kernel calls it; without one, call it yourself."""
        job = self.job
        if job is not None:
            alive = job.is_alive()  # before looking: what a thread that has ended left is complete
            self.current = job.latest
            if not alive:
                self.job = None
                self._finish(job)
        self._show_status()
        shown = (len(self.runs), self.current and (len(self.current.losses), self.current.stopped))
        if shown != self._shown:
            self.image.value = png(draw_runs(self.runs, self.current))
            self.alt = in_words(self.runs, self.current)
            self.show_numbers(runs_table(self.runs))
            self._shown = shown

    def _finish(self, job: Job) -> None:
        """Take over what a thread that has ended left."""
        self._note, run = "", job.latest
        if job.error or run is None:
            self._outcome, self.current = f"failed: {job.error}", None
        elif run.finished:
            self.runs, self.current = [*self.runs, run], None
            self._outcome = f"done: run {len(self.runs)} is in the table below"
        else:
            self._outcome = f"stopped ({run.where}); no row was added to the table"

    def _show_status(self) -> None:
        text, job = self._outcome, self.job
        if job is not None:
            where = self.current.where if self.current is not None else "starting"
            if job.paused:
                text = f"paused at {where}"
            elif job.stopping or job.pausing:
                text = f"{'stopping' if job.stopping else 'pausing'} after this step ({where})"
            else:
                text = where
        pausing = job is not None and job.pausing
        self.buttons["pause"].description = "Resume" if pausing else "Pause"
        self.buttons["pause"].icon = "play" if pausing else "pause"
        note = f"<br>{html.escape(self._note)}" if self._note else ""
        self.status.value = f"<b>{html.escape(text)}</b>{note}"

    def _watch(self) -> None:
        """Poll from the event loop until the run ends. Outside of a kernel there is none: `poll` by hand."""
        self._stop_watching()
        with contextlib.suppress(RuntimeError):
            self._task = asyncio.get_running_loop().create_task(self._poll_until_done())

    def _stop_watching(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _poll_until_done(self) -> None:
        while self.running:
            await asyncio.sleep(POLL)
            try:
                self.poll()
            except Exception as error:  # a view must not die silently in a task
                self.status.value = f"<b>{type(error).__name__}:</b> {html.escape(str(error))}"

    def _drop_job(self) -> None:
        """Stop the run and look at it no more: what its thread still leaves behind is never shown."""
        self._take_back_start()
        self._stop_watching()
        if self.job is not None:
            self.job.stop()
            self._dropped = [job for job in (*self._dropped, self.job) if job.is_alive()]
            self.job = None

    def close(self) -> None:
        """End the thread, wait for it (a batch at most, or the evaluation), and close all widgets."""
        self._drop_job()
        for job in self._dropped:
            job.join()
        self._dropped = []
        super().close()
