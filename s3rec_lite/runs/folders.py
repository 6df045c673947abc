"""Folders of training runs: what tells two runs apart, and how a longer run is kept from a shorter one."""

import dataclasses
from pathlib import Path
from typing import Any

from s3rec_lite.runs.checkpoints import read_checkpoint
from s3rec_lite.support.config import FinetuneConfig, PretrainConfig
from s3rec_lite.support.errors import CheckpointError

_CONTINUABLE = ("epochs", "save_step")
"""settings that may change between two calls that continue one run"""


def lasting_settings(config: PretrainConfig | FinetuneConfig) -> dict[str, Any]:
    """All settings but those in `_CONTINUABLE`: runs that agree in these may continue each other."""
    return {name: value for name, value in dataclasses.asdict(config).items() if name not in _CONTINUABLE}


def epochs_done(folder: Path, name: str) -> int:
    """Finished epochs of the run ``name`` in a folder; 0 if there is none."""
    state = folder / f"{name}-last.pth"
    if not state.is_file():
        return 0
    epochs = read_checkpoint(state).get("epoch")
    if type(epochs) is not int:
        raise CheckpointError(f"{state}: damaged state (no number of epochs); train again with --restart")
    return epochs


def folder_for(folder: Path, name: str, epochs: int) -> Path:
    """The folder for a run of that many epochs: ``folder``, or one beside it if the run there is longer already.

    More epochs continue a run. Fewer cannot be taken back, and the longer run must not be overwritten.
    """
    return folder.with_name(f"{folder.name}-{epochs}-epochs") if epochs_done(folder, name) > epochs else folder
