"""Command lines as text that can be pasted into the shell of this system."""

import os
import shlex
import subprocess
from collections.abc import Sequence


def quoted(words: Sequence[str]) -> str:
    """Words as one line, quoted where this system's shell needs it."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
