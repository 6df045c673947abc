"""Locks: one process at a time works on the files of a run, of a search or of a campaign."""

import contextlib
import os
import platform
import warnings
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from s3rec_lite.support.errors import SettingError


@contextlib.contextmanager
def locked(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock ``.NAME.lock`` of a folder that exists.

    The system releases it when the process ends in whatever way, so a lock is never left by a process that was
    killed, although its file may be. Raises SettingError that names the process and the machine that hold it.
    """
    path = folder / f".{name}.lock"
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise SettingError(
            f"{folder}: {name} is in use by {_owner(path)}; wait until it has ended, or choose another folder"
        ) from None
    except OSError as error:  # network drives without locks
        reason = error.strerror or error
        warnings.warn(f"{folder} cannot be locked ({reason}): let only one process work there", stacklevel=3)
        yield
        return
    try:
        with contextlib.suppress(OSError):  # Windows lets nobody write to a locked file
            path.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        lock.release()


def _owner(path: Path) -> str:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        owner = path.read_text(encoding="utf-8")[:200]
        if owner.isprintable() and owner:
            return owner
    return "another process"
