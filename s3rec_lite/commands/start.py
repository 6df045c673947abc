"""The way in: from the first moment on Ctrl-C is one line, also while Python still imports what a command needs."""

import os
import signal
from types import FrameType
from typing import Any, NoReturn

STOPPED = "stopped; the same command again goes on where it stopped"
INTERRUPTED = 130  # exit code


def main(**options: Any) -> None:
    """Run the command line and end the process with its exit code."""
    try:
        heed_ctrl_c()

        from s3rec_lite.commands.cli import main as command

        command(**options)
    except KeyboardInterrupt:  # before the command has its own answer to it
        _end()


def heed_ctrl_c() -> None:
    """Let Ctrl-C end the process as said above, unless it is ignored, as below nohup."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(_: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, as usual; within an import end at once.

    An import may swallow the exception, or make an ImportError of it. It leaves nothing half done.
    """
    while frame is not None:
        if "importlib._bootstrap" in frame.f_code.co_filename:
            _end()
        frame = frame.f_back
    raise KeyboardInterrupt


def _end() -> NoReturn:
    os.write(2, f"s3rec-lite: {STOPPED}\n".encode())
    os._exit(INTERRUPTED)
