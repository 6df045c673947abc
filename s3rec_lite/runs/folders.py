"""Folders of training runs: what tells two runs apart, and how a longer run is kept from a shorter one."""

import dataclasses
from pathlib import Path
from typing import Any

from s3rec_lite.runs.checkpoints import read_checkpoint

CONTINUABLE = ("epochs", "save_step")
"""settings that may change between two calls that continue one run"""


def lasting_settings(config: Any) -> dict[str, Any]:
    """All settings but the `CONTINUABLE` ones: runs that agree in these may continue each other."""
    return {name: value for name, value in dataclasses.asdict(config).items() if name not in CONTINUABLE}


def epochs_done(folder: Path, name: str) -> int:
    """Finished epochs of the run ``name`` in a folder; 0 if there is none."""
    state = folder / f"{name}-last.pth"
    return int(read_checkpoint(state)["epoch"]) if state.is_file() else 0


def folder_for(folder: Path, name: str, epochs: int) -> Path:
    """The folder for a run of that many epochs: ``folder``, or one beside it if the run there is longer already.

    More epochs continue a run. Fewer cannot be taken back, and the longer run must not be overwritten.
    """
    return folder.with_name(f"{folder.name}-{epochs}-epochs") if epochs_done(folder, name) > epochs else folder
