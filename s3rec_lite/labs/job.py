"""A training run in a thread of its own: started, paused, resumed and stopped from outside, watched through a lock."""

import threading
from collections.abc import Sequence

from s3rec_lite.labs.material import Material
from s3rec_lite.labs.run_figures import runs_table
from s3rec_lite.labs.runs import Run, Settings, train_once


class Job:
    """One run in a thread of its own. Every method returns at once, but for `join`."""

    def __init__(self, material: Material, settings: Settings, earlier: Sequence[Run] = ()):
        self._material, self._settings, self._earlier = material, settings, tuple(earlier)
        self._lock = threading.Lock()
        self._run: Run | None = None
        self._error = ""
        self._paused = False
        self._stop, self._go = threading.Event(), threading.Event()
        self._go.set()
        # A daemon: a kernel that shuts down does not wait for it.
        self._thread = threading.Thread(target=self._work, name="s3rec-lite-lab-train", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            run = train_once(self._material, self._settings, self._keep, self._stop.is_set, self._wait)
            if run.finished:
                runs_table([*self._earlier, run])  # the comparisons take a while here, and are remembered
            self._keep(run)
        except Exception as error:  # shown in the status line
            with self._lock:
                self._error = f"{type(error).__name__}: {error}"

    def _keep(self, run: Run) -> None:
        with self._lock:
            self._run = run

    def _wait(self) -> None:
        if not self._go.is_set():
            with self._lock:
                self._paused = True
            self._go.wait()
            with self._lock:
                self._paused = False

    def look(self) -> tuple[Run | None, bool, str]:
        """The run so far, whether it stands still in a pause, and what went wrong."""
        with self._lock:
            return self._run, self._paused, self._error

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
