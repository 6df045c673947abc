"""Checkpoints of this kit: a model with its settings, and runs that can be taken up where they stopped."""

import contextlib
import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from s3rec_lite.model import S3Rec
from s3rec_lite.runs.locks import locked
from s3rec_lite.runs.states import check_history, check_weights, content_fingerprint, load_optimizer, outline
from s3rec_lite.support.config import ModelConfig
from s3rec_lite.support.errors import CheckpointError, SettingError
from s3rec_lite.support.files import files_like, load_tensors, remove_files, save_tensors, write_text
from s3rec_lite.support.keeper import Keeper, Row
from s3rec_lite.support.optimizer import Optimizer

FORMAT = "s3rec_lite model 2"
_FORMAT_WITHOUT_FINGERPRINT = "s3rec_lite model 1"
_DAMAGE = (ArithmeticError, AttributeError, LookupError, RecursionError, RuntimeError, TypeError, ValueError)
"""what content of a wrong kind can raise"""


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
    save_tensors(path, {**content, "fingerprint": content_fingerprint(content)})


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint of this kit, with every bit as it was written.

    Raises CheckpointError when it is anything else; the message names an undamaged checkpoint of the same run.
    """
    return _read(path, lambda: _way_out(Path(path)))


def _read(path: str | Path, fix: Callable[[], str]) -> dict[str, Any]:
    content = load_tensors(path, fix)
    if content.get("format") not in (FORMAT, _FORMAT_WITHOUT_FINGERPRINT):
        hint = "load it with s3rec_lite.runs.interop" if "item_embeddings.weight" in content else "give another file"
        raise CheckpointError(f"{path}: not a checkpoint of this kit; {hint}")
    if "fingerprint" in content or content["format"] == FORMAT:
        signed = {name: value for name, value in content.items() if name != "fingerprint"}
        with contextlib.suppress(*_DAMAGE):
            if content_fingerprint(signed) == content.get("fingerprint"):
                return content
        raise CheckpointError(f"{path}: damaged, its content is not what was written (fingerprint); {fix()}")
    return content


def _way_out(path: Path) -> str:
    """What to do about a damaged checkpoint: the latest good one of its run, or a new start."""
    run = re.fullmatch(r"(.+)-(last|best|\d+)\.pth", path.name)
    if run is None:
        return "get or write the file again"
    stops = [int(each.stem.rpartition("-")[2]) for each in files_like(path.parent, rf"{re.escape(run[1])}-\d+\.pth")]
    for what in (*sorted(stops, reverse=True), "best"):
        good = path.with_name(f"{run[1]}-{what}.pth")
        with contextlib.suppress(CheckpointError):
            if good != path:
                epoch = _read(good, str).get("epoch")
                return f"{good.name} beside it is good (epoch {epoch}): use it as --checkpoint, or train with --restart"
    return "train again with --restart, or get the file again"


def load_model(path: str | Path) -> S3Rec:
    """The model that `save_model` wrote. Raises CheckpointError for any other file, and for NaN weights."""
    content = read_checkpoint(path)
    try:
        return _built(content)
    except _DAMAGE as error:
        raise CheckpointError(f"{path}: damaged checkpoint ({_reason(error)}); {_way_out(Path(path))}") from error


def _built(content: dict[str, Any]) -> S3Rec:
    """The model of a checkpoint; sizes are compared with its tensors before anything is made."""
    config = ModelConfig(**json.loads(content["config"]))
    sizes, state = (content["num_items"], content["num_attributes"]), content["model"]
    if any(type(size) is not int for size in sizes) or config.n_layers > len(state):
        raise ValueError("its sizes are not those of its weights")
    check_weights(outline(*sizes, config), state)
    model = S3Rec(*sizes, config)
    model.load_state_dict(state)
    return model


def _reason(error: Exception) -> str:
    """One line; the name of the error where it says no more than a key."""
    lines = str(error).splitlines() or [""]
    return lines[0][:200] if isinstance(error, ValueError) else f"{type(error).__name__}: {lines[0][:200]}"


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
    ``columns`` are those that the history needs. The state after an epoch is one file, renamed into place, so a kill
    at any moment leaves the last finished epoch.
    """

    def __init__(
        self,
        folder: Path | None,
        name: str,
        identity: dict[str, Any],
        save_step: int = 0,
        columns: Sequence[str] = (),
    ):
        super().__init__()
        self.folder, self.name, self.identity, self.save_step = folder, name, identity, save_step
        self.columns, self.num_epochs = columns, 0

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """While nobody else may write these files. Raises SettingError that names the process which does.

        Half-written files that a kill left are deleted first.
        """
        if self.folder is None:
            yield
            return
        with locked(self.folder, self.name):
            remove_files(self.folder, rf"\.{self._own_files}\.\d+\.part")
            yield

    @property
    def _own_files(self) -> str:
        return rf"{re.escape(self.name)}-(last\.pth|best\.pth|\d+\.pth|history\.csv)"

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
            stored, history = dict(json.loads(content["identity"])), json.loads(content["history"])
            check_history(history, content["epoch"], self.columns)
        except _DAMAGE as error:
            raise self._damaged(path, error) from error
        if stored != json.loads(json.dumps(self.identity)):
            changed = sorted(key for key in {*stored, *self.identity} if stored.get(key) != self.identity.get(key))
            raise SettingError(
                f"{self.folder} holds another run (different: {', '.join(changed)}); "
                "choose another folder, or start over with --restart"
            )
        try:
            check_weights(model.state_dict(), content["model"])
            load_optimizer(optimizer, content["optimizer"])
            model.load_state_dict(content["model"])
        except _DAMAGE as error:
            raise self._damaged(path, error) from error
        self.best = self._best_weights(model)
        self.num_epochs = len(history)
        return history

    def _best_weights(self, model: S3Rec) -> dict[str, Tensor]:
        """Of the best epoch so far, which has a file of its own."""
        path = self.path("best")
        if not path.is_file():
            raise CheckpointError(f"{path}: the best weights of this run are gone; put the file back, or use --restart")
        weights = load_model(path).state_dict()
        try:
            check_weights(model.state_dict(), weights)
        except ValueError as error:
            raise self._damaged(path, error) from error
        return weights

    def _damaged(self, path: Path, error: Exception) -> CheckpointError:
        return CheckpointError(f"{path}: damaged state ({_reason(error)}); {_way_out(path)}")

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
            remove_files(self.folder, self._own_files)
