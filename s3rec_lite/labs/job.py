"""A training run in a thread of its own: started, paused, resumed and stopped from outside."""

import threading
from collections.abc import Sequence

from s3rec_lite.labs.material import Material
from s3rec_lite.labs.run_figures import runs_table
from s3rec_lite.labs.runs import Run, Settings, StopRun, train_once


class Job:
    """One run in a thread of its own. Every method returns at once, but for `join`."""

    def __init__(self, material: Material, settings: Settings, earlier: Sequence[Run] = ()):
        self.run: Run | None = None
        """the run so far; it never changes, the next step brings another one"""
        self.paused = False
        """whether it stands still"""
        self.error = ""
        """what went wrong"""
        self._material, self._settings, self._earlier = material, settings, tuple(earlier)
        self._stop, self._go = threading.Event(), threading.Event()
        self._go.set()
        # A daemon: a kernel that shuts down does not wait for it.
        self._thread = threading.Thread(target=self._work, name="s3rec-lite-lab-train", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            run = train_once(self._material, self._settings, self._watch)
            if run.finished:
                runs_table([*self._earlier, run])  # the comparisons take a while here, and are remembered
            self.run = run
        except Exception as error:  # shown in the status line
            self.error = f"{type(error).__name__}: {error}"

    def _watch(self, run: Run) -> None:
        self.run = run
        self._hold()
        if self._stop.is_set():
            raise StopRun

    def _hold(self) -> None:
        """Stand still while a pause is asked for."""
        if not self._go.is_set():
            self.paused = True
            self._go.wait()
            self.paused = False

    @property
    def alive(self) -> bool:
        """Whether the thread is still there."""
        return self._thread.is_alive()

    @property
    def pausing(self) -> bool:
        """Whether a pause was asked for; it begins after the batch in hand."""
        return not self._go.is_set()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stop.is_set()

    def pause(self) -> None:
        """Stand still after the batch in hand; a run that was told to stop ends instead."""
        if not self._stop.is_set():
            self._go.clear()

    def resume(self) -> None:
        """Go on."""
        self._go.set()

    def stop(self) -> None:
        """End after the batch in hand, also out of a pause."""
        self._stop.set()
        self._go.set()

    def join(self) -> None:
        """Wait for the end."""
        self._thread.join()
