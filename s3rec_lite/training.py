"""The training loop, and the two stages that it runs: pre-training on the four objectives, then the next item.

`pretrain` and `finetune` know nothing of files, messages or progress bars. Whoever wants to watch passes callbacks;
whoever wants a run to survive passes a `Keeper` (`s3rec_lite.runs.sessions` does both). All randomness of an epoch
comes from (seed, stage, epoch): a run taken up after any epoch ends with the same bits as one that was not stopped.
Plain twin: `s3rec_lite.plain.PlainTrainer`.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from s3rec_lite.data import SequenceData
from s3rec_lite.finetuning import FinetuneStep
from s3rec_lite.model import S3Rec
from s3rec_lite.pretraining import PretrainStep
from s3rec_lite.support.checks import check_fits
from s3rec_lite.support.config import FinetuneConfig, PretrainConfig
from s3rec_lite.support.errors import TrainingError
from s3rec_lite.support.optimizer import check_weights
from s3rec_lite.support.runtime import epoch_generator
from s3rec_lite.views import ViewSampler

Row = dict[str, float]
"""one epoch of a history"""
Stage = PretrainStep | FinetuneStep


class Step(NamedTuple):
    """What a callback hears after each step of the optimizer."""

    epoch: int  # from 1
    batch: int  # from 1
    num_batches: int  # of this epoch
    num_samples: int  # prefixes or sequences in this batch
    losses: list[float]  # nats: four sums (means, by ``reduction``) in the order of OBJECTIVES; in fine-tuning one sum


class Keeper:
    """Keeps a run's state between epochs; this one keeps nothing but the best weights, in memory."""

    def __init__(self) -> None:
        self.best: dict[str, Tensor] = {}

    def resume(self, model: S3Rec, optimizer: torch.optim.Optimizer) -> list[Row]:
        """Bring model and optimizer to the last finished epoch; its history, empty for a fresh start."""
        self.best = clone_state(model)
        return []

    def save(self, model: S3Rec, optimizer: torch.optim.Optimizer, history: list[Row], is_best: bool) -> None:
        """Take the state after an epoch."""
        if is_best:
            self.best = clone_state(model)


def pretrain(
    model: S3Rec,
    data: SequenceData,
    config: PretrainConfig | None = None,
    *,
    keeper: Keeper | None = None,
    on_step: Callable[[Step], Any] | None = None,
    on_epoch: Callable[[Row], Any] | None = None,
) -> pd.DataFrame:
    """Pre-train on the four objectives, in place, on the device that the model is on.

    Args:
        model, data, config: as in `s3rec_lite.runs.sessions.pretrain`, and so is what comes back.
        keeper: takes the state after each epoch, and gives it back when the run goes on.
        on_step: called after each step of the optimizer; what it raises ends the training.
        on_epoch: called with the row of each epoch.
    """
    config = config or PretrainConfig()
    check_fits(model, data)
    stage = PretrainStep(model, data, config, ViewSampler(data, config, model.max_length))
    return pd.DataFrame(_train(model, stage, config, keeper or Keeper(), on_step, on_epoch))


def finetune(
    model: S3Rec,
    data: SequenceData,
    config: FinetuneConfig | None = None,
    *,
    keeper: Keeper | None = None,
    on_step: Callable[[Step], Any] | None = None,
    on_epoch: Callable[[Row], Any] | None = None,
) -> pd.DataFrame:
    """Fine-tune as a causal next-item recommender with early stopping on validation, in place.

    Arguments as for `pretrain`. The model ends with the weights of its best validation epoch.
    """
    config = config or FinetuneConfig()
    check_fits(model, data)
    keeper = keeper or Keeper()
    stage = FinetuneStep(model, data, config)
    history = _train(model, stage, config, keeper, on_step, on_epoch)
    model.load_state_dict(keeper.best)
    return pd.DataFrame(history)


def _train(
    model: S3Rec,
    stage: Stage,
    config: PretrainConfig | FinetuneConfig,
    keeper: Keeper,
    on_step: Callable[[Step], Any] | None,
    on_epoch: Callable[[Row], Any] | None,
) -> list[Row]:
    """The loop of both stages: epochs of batches, from where the keeper left off. Returns the history."""
    history = keeper.resume(model, stage.optimizer)
    for epoch in range(len(history) + 1, config.epochs + 1):
        if stage.is_over(history):
            break
        begin = time.perf_counter()
        rng = epoch_generator(config.seed, stage.name, epoch)
        try:
            totals, num_batches = _one_pass(model, stage, epoch, rng, on_step)
            check_weights(model, config.learning_rate)
            row = {"epoch": epoch, **stage.summary(totals, num_batches, history)}
        except TrainingError as error:
            raise TrainingError(f"epoch {epoch}: {error}") from error
        history.append({**row, "seconds": round(time.perf_counter() - begin, 3)})
        keeper.save(model, stage.optimizer, history, stage.is_best(history))
        if on_epoch:
            on_epoch(history[-1])
    return history


def _one_pass(
    model: S3Rec, stage: Stage, epoch: int, rng: np.random.Generator, on_step: Callable[[Step], Any] | None
) -> tuple[list[float], int]:
    """Train on every batch of one epoch; the losses summed over the batches, and the number of batches."""
    model.train()
    batches = stage.batches(rng)
    totals = np.zeros(stage.num_losses)
    for number, indices in enumerate(batches, start=1):
        losses = stage.step(indices, rng).tolist()
        totals += losses
        if on_step:
            on_step(Step(epoch, number, len(batches), len(indices), losses))
    return totals.tolist(), len(batches)


def clone_state(model: S3Rec) -> dict[str, Tensor]:
    """A copy of all weights."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
