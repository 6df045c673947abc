"""Training with files, messages and a progress bar around the loops of `s3rec_lite.training`."""

import dataclasses
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm.auto import tqdm

from s3rec_lite import training
from s3rec_lite.data import SequenceData, fingerprint
from s3rec_lite.model import S3Rec
from s3rec_lite.runs.checkpoints import Run, weights_fingerprint
from s3rec_lite.runs.folders import lasting_settings
from s3rec_lite.runs.processes import choose_workers, rank, shared_by
from s3rec_lite.support.checks import check_fits
from s3rec_lite.support.config import FinetuneConfig, PretrainConfig
from s3rec_lite.support.errors import SettingError, TrainingError
from s3rec_lite.support.files import check_writable
from s3rec_lite.support.keeper import Row
from s3rec_lite.support.runtime import pick_device


def pretrain(
    model: S3Rec,
    data: SequenceData,
    config: PretrainConfig | None = None,
    *,
    device: str = "auto",
    folder: str | Path | None = None,
    restart: bool = False,
    progress: bool = True,
    workers: int | None = 1,
) -> pd.DataFrame:
    """Pre-train on the four objectives, in place.

    Args:
        model: made for this data; it ends on ``device`` with the weights of the last epoch.
        data: the sequences; validation and test items are not used.
        config: settings; the defaults are the corrected ones.
        device: "auto", "cpu", "cuda" or "mps".
        folder: where state and checkpoints go; the same call again, with a fresh model of the same seed, goes on there.
        restart: delete a run in ``folder`` first.
        progress: show a bar with the remaining time.
        workers: processes that share each batch, one thread each; None takes what suits the machine. Their number
            does not change the weights. Under ``torchrun`` its processes are the workers.

    Returns the history, one row an epoch: mean loss of each objective per sequence (nats, unweighted), their
    weighted sum, sequences, seconds. Raises TrainingError on a NaN or infinite loss, SettingError when the folder
    holds another run or another process works there.
    """
    config = config or PretrainConfig()
    name = f"S3Rec-{data.name}"
    with started_run("pretrain", name, model, data, config, folder, restart) as run:
        model.to(pick_device(device))
        with Bar("pre-training", config.epochs, run, progress) as bar:
            return watched("pretrain", model, data, config, run, bar, workers)


def finetune(
    model: S3Rec,
    data: SequenceData,
    config: FinetuneConfig | None = None,
    *,
    device: str = "auto",
    folder: str | Path | None = None,
    name: str = "finetuned",
    restart: bool = False,
    progress: bool = True,
    workers: int | None = 1,
) -> pd.DataFrame:
    """Fine-tune as a causal next-item recommender with early stopping on validation, in place.

    Arguments as for `pretrain`; ``name`` is part of the file names. A fresh model gives the control without
    pre-training, SASRec. The model ends with the weights of its best validation epoch.

    Returns the history, one row an epoch: mean loss per target (nats), the monitored validation metric, optimizer
    steps so far, seconds.
    """
    config = config or FinetuneConfig()
    name = f"S3Rec-{data.name}-{name}"
    with started_run("finetune", name, model, data, config, folder, restart) as run:
        model.to(pick_device(device))
        with Bar("fine-tuning", config.epochs, run, progress, config.monitor) as bar:
            return watched("finetune", model, data, config, run, bar, workers)


@contextmanager
def started_run(
    stage: str,
    name: str,
    model: S3Rec,
    data: SequenceData,
    config: PretrainConfig | FinetuneConfig,
    folder: str | Path | None,
    restart: bool,
) -> Iterator[Run]:
    """The run's files, checked for writing and locked, with what identifies it."""
    check_fits(model, data)
    if not re.fullmatch(r"[^/\\\0]+", name):
        raise SettingError(f"the name {name!r} is part of file names: no slashes")
    identity = {
        "stage": stage,
        **lasting_settings(config),
        **dataclasses.asdict(model.config),
        "data": fingerprint(data),
        "starting weights": weights_fingerprint(model),
    }
    if rank():  # under torchrun; the first worker keeps the files
        folder = None
    if folder is not None:
        check_writable(folder)
    columns = ("loss",) if isinstance(config, PretrainConfig) else ("loss", config.monitor, "steps")
    run = Run(None if folder is None else Path(folder), name, identity, config.save_step, columns)
    with run.locked():
        if restart:
            run.forget()
        yield run


def watched(
    stage: str, model: S3Rec, data: SequenceData, config: Any, run: Run, bar: "Bar", num_workers: int | None
) -> pd.DataFrame:
    """Train with the run's files, the bar and other workers. An error of the training says which state is left."""
    train: Any = training.pretrain if stage == "pretrain" else training.finetune
    if num_workers is None:
        num_workers = choose_workers(config, len(data.items), model.device.type)
    try:
        with shared_by(num_workers, stage, model, data, config) as workers:
            history = train(model, data, config, keeper=run, on_step=bar.step, on_epoch=bar.epoch, workers=workers)
    except TrainingError as error:
        if run.folder is None or not run.path("last").exists():
            left = "No epoch was finished, so nothing was saved."
        else:
            left = f"The state after epoch {run.num_epochs} is kept in {run.path('last')}."
        raise TrainingError(f"{error}. {left}") from error
    if len(history) > config.epochs:
        warnings.warn(
            f"{run.folder} holds {len(history)} epochs of this run already, more than epochs={config.epochs}: nothing "
            "was trained; for fewer epochs choose another folder, or start over with --restart",
            stacklevel=3,
        )
    return history


class Bar:
    """A bar over all batches of a run with the remaining time; epochs of an earlier call count as done."""

    def __init__(self, title: str, epochs: int, run: Run, progress: bool, monitor: str | None = None):
        self.epochs, self.run, self.monitor = epochs, run, monitor
        self.bar = tqdm(desc=title, unit="batch", disable=not progress or rank() > 0, dynamic_ncols=True)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def step(self, step: training.Step) -> None:
        """One batch is done."""
        if self.bar.total is None:  # the first batch of this call tells how many there are
            self.bar.total = self.epochs * step.num_batches
            self.bar.initial = self.bar.n = (step.epoch - 1) * step.num_batches
        if step.batch == 1 and self.monitor is None:
            self.bar.set_postfix_str(f"epoch {step.epoch} of {self.epochs}", refresh=False)
        self.bar.update()

    def epoch(self, row: Row) -> None:
        """One epoch is done."""
        if self.monitor is not None:
            value = row[self.monitor]
            self.bar.set_postfix_str(f"epoch {row['epoch']:.0f}, validation {self.monitor} {value:.4f}")
