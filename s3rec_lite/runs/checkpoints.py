"""Checkpoints of this kit: a model with its settings, and runs that can be taken up where they stopped."""

import dataclasses
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from s3rec_lite.model import S3Rec
from s3rec_lite.support.config import ModelConfig
from s3rec_lite.support.errors import CheckpointError, SettingError
from s3rec_lite.support.files import load_tensors, save_tensors, write_text
from s3rec_lite.support.optimizer import Optimizer
from s3rec_lite.training import Keeper, Row

FORMAT = "s3rec_lite model 1"


def save_model(model: S3Rec, path: str | Path, **extra: Any) -> None:
    """Write a model and its settings; ``extra`` holds tensors and plain values to keep with it."""
    content = {
        "format": FORMAT,
        "config": json.dumps(dataclasses.asdict(model.config)),
        "num_items": model.num_items,
        "num_attributes": model.num_attributes,
        "model": {name: value.detach().cpu() for name, value in model.state_dict().items()},
        **extra,
    }
    save_tensors(path, content)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint of this kit. Raises CheckpointError when it is anything else."""
    content = load_tensors(path)
    if content.get("format") != FORMAT:
        hint = "; load it with s3rec_lite.runs.interop" if "item_embeddings.weight" in content else ""
        raise CheckpointError(f"{path}: not a checkpoint of this kit{hint}")
    return content


def load_model(path: str | Path) -> S3Rec:
    """The model that `save_model` wrote. Raises CheckpointError for any other file."""
    content = read_checkpoint(path)
    try:
        config = ModelConfig(**json.loads(content["config"]))
        model = S3Rec(content["num_items"], content["num_attributes"], config)
        model.load_state_dict(content["model"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path}: damaged checkpoint ({str(error).splitlines()[0]})") from error
    return model


def weights_fingerprint(model: S3Rec) -> str:
    """A short SHA-256 of all weights: equal if and only if every bit is."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


class Run(Keeper):
    """The files of one training run in one folder, or nothing on disk when ``folder`` is None.

    ``identity`` says what the run is (settings, data, starting weights); a folder that holds another run is refused.
    The state after an epoch is one file, renamed into place, so a kill at any moment leaves the last finished epoch.
    """

    def __init__(self, folder: Path | None, name: str, identity: dict[str, Any], save_step: int = 0):
        super().__init__()
        self.folder, self.name, self.identity, self.save_step = folder, name, identity, save_step
        self.num_epochs = 0

    def path(self, what: str | int) -> Path:
        """``S3Rec-ml-100k-20.pth``, ``...-last.pth``, ``...-best.pth``. Only a run on disk has paths."""
        if self.folder is None:
            raise SettingError(f"the run {self.name} has no folder")
        return self.folder / f"{self.name}-{what}.pth"

    def resume(self, model: S3Rec, optimizer: Optimizer) -> list[Row]:
        """Take up the last finished epoch if there is one: its history, empty for a fresh start.

        Raises SettingError when the folder holds another run, CheckpointError when the state is damaged.
        """
        super().resume(model, optimizer)
        if self.folder is None or not self.path("last").exists():
            return []
        path = self.path("last")
        content = read_checkpoint(path)
        try:
            stored, history = dict(json.loads(content["identity"])), list(json.loads(content["history"]))
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path}: damaged state ({error}); start over with --restart") from error
        if stored != json.loads(json.dumps(self.identity)):
            changed = sorted(key for key in {*stored, *self.identity} if stored.get(key) != self.identity.get(key))
            raise SettingError(
                f"{self.folder} holds another run (different: {', '.join(changed)}); "
                "choose another folder, or start over with --restart"
            )
        try:
            model.load_state_dict(content["model"])
            optimizer.load_state_dict(content["optimizer"])
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(f"{path}: damaged state ({reason}); start over with --restart") from error
        self.best = load_model(self.path("best")).state_dict()
        self.num_epochs = len(history)
        return history

    def save(self, model: S3Rec, optimizer: Optimizer, history: list[Row], is_best: bool) -> None:
        """Write the state after an epoch. The best model goes first: a kill in between repeats the epoch."""
        super().save(model, optimizer, history, is_best)
        if self.folder is None:
            return
        epoch = len(history)
        if is_best:
            save_model(model, self.path("best"), epoch=epoch)
        if self.save_step and epoch % self.save_step == 0:
            save_model(model, self.path(epoch), epoch=epoch)
        columns = list(history[0])
        lines = [",".join(columns)] + [",".join(str(row[name]) for name in columns) for row in history]
        write_text(self.folder / f"{self.name}-history.csv", "\n".join(lines) + "\n")
        save_model(
            model,
            self.path("last"),
            epoch=epoch,
            optimizer=optimizer.state_dict(),
            identity=json.dumps(self.identity),
            history=json.dumps(history),
        )
        self.num_epochs = epoch

    def forget(self) -> None:
        """Delete this run's files, and no other run's in the same folder, to start over."""
        if self.folder is not None and self.folder.is_dir():
            own = re.compile(rf"{re.escape(self.name)}-(last\.pth|best\.pth|\d+\.pth|history\.csv)")
            for path in self.folder.iterdir():
                if own.fullmatch(path.name):
                    path.unlink()
