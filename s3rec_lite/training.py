"""The training loop, and the two stages that it runs: pre-training on the four objectives, then the next item.

`pretrain` and `finetune` know nothing of files, messages or progress bars. Whoever wants to watch passes callbacks;
whoever wants a run to survive passes a `Keeper` (`s3rec_lite.runs.sessions` does both). All randomness of a batch
comes from (seed, stage, epoch, batch, shard): a run taken up after any epoch, or shared by another number of
workers, ends with the same bits.
Plain twin: `s3rec_lite.plain.PlainTrainer`.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from s3rec_lite.data import SequenceData
from s3rec_lite.finetuning import FinetuneStep
from s3rec_lite.model import S3Rec
from s3rec_lite.pretraining import PretrainStep
from s3rec_lite.support.checks import check_fits
from s3rec_lite.support.config import FinetuneConfig, PretrainConfig
from s3rec_lite.support.errors import TrainingError
from s3rec_lite.support.keeper import Keeper, Row
from s3rec_lite.support.optimizer import check_weights
from s3rec_lite.support.runtime import random_stream
from s3rec_lite.support.workers import ALONE, Workers
from s3rec_lite.views import ViewSampler

Stage = PretrainStep | FinetuneStep


class Step(NamedTuple):
    """What a callback hears after each step of the optimizer."""

    epoch: int  # from 1
    batch: int  # from 1
    num_batches: int  # of this epoch
    num_samples: int  # prefixes or sequences in this batch
    losses: list[float]  # nats: four sums (means, by ``reduction``) in the order of OBJECTIVES; in fine-tuning one sum


def pretrain(
    model: S3Rec,
    data: SequenceData,
    config: PretrainConfig | None = None,
    *,
    keeper: Keeper | None = None,
    on_step: Callable[[Step], Any] | None = None,
    on_epoch: Callable[[Row], Any] | None = None,
    workers: Workers = ALONE,
) -> pd.DataFrame:
    """Pre-train on the four objectives, in place, on the device that the model is on.

    Args:
        model, data, config: as in `s3rec_lite.runs.sessions.pretrain`, and so is what comes back.
        keeper: takes the state after each epoch, and gives it back when the run goes on.
        on_step: called after each step of the optimizer; what it raises ends the training.
        on_epoch: called with the row of each epoch.
        workers: the processes that share the run; each of them calls this function.
    """
    config = config or PretrainConfig()
    check_fits(model, data)
    stage = PretrainStep(model, data, config, ViewSampler(data, config, model.max_length), workers)
    return pd.DataFrame(_train(model, stage, config, keeper or Keeper(), on_step, on_epoch))


def finetune(
    model: S3Rec,
    data: SequenceData,
    config: FinetuneConfig | None = None,
    *,
    keeper: Keeper | None = None,
    on_step: Callable[[Step], Any] | None = None,
    on_epoch: Callable[[Row], Any] | None = None,
    workers: Workers = ALONE,
) -> pd.DataFrame:
    """Fine-tune as a causal next-item recommender with early stopping on validation, in place.

    Arguments as for `pretrain`. The model ends with the weights of its best validation epoch.
    """
    config = config or FinetuneConfig()
    check_fits(model, data)
    keeper = keeper or Keeper()
    stage = FinetuneStep(model, data, config, workers)
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
    stage.workers.check(config.shards)
    history = _resume(model, stage, keeper)
    for epoch in range(len(history) + 1, config.epochs + 1):
        if stage.is_over(history):
            break
        begin = time.perf_counter()
        try:
            totals, num_batches = _one_pass(model, stage, config.seed, epoch, on_step)
            check_weights(model, config.learning_rate)
            row = {"epoch": epoch, **stage.summary(totals, num_batches, history)}
        except TrainingError as error:
            raise TrainingError(f"epoch {epoch}: {error}") from error
        history.append({**row, "seconds": round(time.perf_counter() - begin, 3)})
        keeper.save(model, stage.optimizer, history, stage.is_best(history))
        if on_epoch:
            on_epoch(history[-1])
    return history


def _resume(model: S3Rec, stage: Stage, keeper: Keeper) -> list[Row]:
    """The history so far; model and optimizer of every worker are brought to the state that the first one has kept."""
    history = keeper.resume(model, stage.optimizer)
    if stage.workers.size > 1:
        state = stage.workers.from_first((history, model.state_dict(), stage.optimizer.state_dict()))
        history, weights, optimizer = state
        model.load_state_dict(weights)
        stage.optimizer.load_state_dict(optimizer)
    return history


def _one_pass(
    model: S3Rec, stage: Stage, seed: int, epoch: int, on_step: Callable[[Step], Any] | None
) -> tuple[list[float], int]:
    """Train on every batch of one epoch; the losses summed over the batches, and the number of batches."""
    model.train()
    batches = stage.batches(random_stream(seed, stage.name, epoch))
    totals = np.zeros(stage.num_losses)
    for number, indices in enumerate(batches, start=1):
        losses = stage.step(indices, random_stream(seed, stage.name, epoch, number)).tolist()
        totals += losses
        if on_step:
            on_step(Step(epoch, number, len(batches), len(indices), losses))
    return totals.tolist(), len(batches)
