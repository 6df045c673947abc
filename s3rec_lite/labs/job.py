"""A training run in a thread of its own: started, paused, resumed and stopped from outside."""

import threading
from collections.abc import Sequence

from s3rec_lite.labs.material import Material
from s3rec_lite.labs.run_figures import runs_table
from s3rec_lite.labs.runs import Run, Settings, StopRun, train_once


class Job(threading.Thread):
    """One run. Every method returns at once, but for `join`."""

    def __init__(self, material: Material, settings: Settings, earlier: Sequence[Run] = ()):
        super().__init__(name="s3rec-lite-lab-train", daemon=True)  # a kernel that shuts down does not wait for it
        self.latest: Run | None = None
        """the run so far; it never changes, the next step brings another one"""
        self.paused = False
        """whether it stands still"""
        self.error = ""
        """what went wrong"""
        self._material, self._settings, self._earlier = material, settings, earlier
        self._stop_asked, self._go = threading.Event(), threading.Event()
        self._go.set()

    def run(self) -> None:
        """What the thread does."""
        try:
            run = train_once(self._material, self._settings, self._watch)
            if run.finished:
                runs_table([*self._earlier, run])  # the comparisons take a while here, and are remembered
            self.latest = run
        except Exception as error:  # shown in the status line
            self.error = f"{type(error).__name__}: {error}"

    def _watch(self, run: Run) -> None:
        self.latest = run
        self._hold()
        if self.stopping:
            raise StopRun

    def _hold(self) -> None:
        if self.pausing:
            self.paused = True
            self._go.wait()
            self.paused = False

    @property
    def pausing(self) -> bool:
        """Whether a pause was asked for; it begins after the batch in hand."""
        return not self._go.is_set()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stop_asked.is_set()

    def pause(self) -> None:
        """Stand still after the batch in hand; a run that was told to stop ends instead."""
        if not self.stopping:
            self._go.clear()

    def resume(self) -> None:
        """Go on."""
        self._go.set()

    def stop(self) -> None:
        """End after the batch in hand, also out of a pause."""
        self._stop_asked.set()
        self._go.set()
