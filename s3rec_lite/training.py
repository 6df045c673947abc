"""The two training loops: `pretrain` on the four objectives, `finetune` on the next item.

Both write a state file after every epoch (with ``folder``), go on from it when called again, and draw all
randomness of an epoch from (seed, stage, epoch): a run that was killed ends with the same bits as one that was not.
"""

import dataclasses
import math
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from s3rec_lite.data import SequenceData, fingerprint
from s3rec_lite.evaluation import draw_negatives, evaluate
from s3rec_lite.finetuning import NextItemSamples, next_item_loss
from s3rec_lite.model import S3Rec
from s3rec_lite.objectives import joint_loss, pretraining_losses
from s3rec_lite.runs.checkpoints import Run, clone_state, load_model, weights_fingerprint
from s3rec_lite.support.config import OBJECTIVES, FinetuneConfig, PretrainConfig
from s3rec_lite.support.errors import DataError, S3RecError, SettingError, TrainingError
from s3rec_lite.support.files import check_writable
from s3rec_lite.support.runtime import arithmetic, epoch_generator, pick_device
from s3rec_lite.views import ViewSampler, batch_order

# What may change between two calls that continue one run.
CONTINUABLE = {"epochs", "save_step"}


def check_fits(model: S3Rec, data: SequenceData) -> None:
    """Raise SettingError when the model was made for other data."""
    if (model.num_items, model.num_attributes) != (data.num_items, data.num_attributes):
        raise SettingError(
            f"the model has {model.num_items} items and {model.num_attributes} attributes, {data.name} has "
            f"{data.num_items} and {data.num_attributes}; make the model from this data"
        )


def start_run(
    stage: str,
    name: str,
    model: S3Rec,
    data: SequenceData,
    config: Any,
    folder: str | Path | None,
    restart: bool,
) -> Run:
    """The run's files, checked for writing, with what identifies it."""
    if not re.fullmatch(r"[^/\\\0]+", name):
        raise SettingError(f"the name {name!r} is part of file names: no slashes")
    settings = {key: value for key, value in dataclasses.asdict(config).items() if key not in CONTINUABLE}
    identity = {
        "stage": stage,
        **settings,
        **dataclasses.asdict(model.config),
        "data": fingerprint(data),
        "starting weights": weights_fingerprint(model),
    }
    run = Run(None if folder is None else Path(folder), name, identity)
    if folder is not None:
        check_writable(folder)
    if restart:
        run.forget()
    return run


def progress_bar(title: str, epochs: int, num_batches: int, first: int, progress: bool) -> tqdm:
    """A bar over all batches of a run, of which those of the first ``first`` epochs are done."""
    done = min(first, epochs) * num_batches
    return tqdm(
        total=epochs * num_batches, initial=done, desc=title, unit="batch", disable=not progress, dynamic_ncols=True
    )


def make_optimizer(model: S3Rec, config: PretrainConfig | FinetuneConfig) -> torch.optim.Adam:
    """Adam; fused into one pass over the weights where the device has that."""
    fused = model.device.type in ("cpu", "cuda")
    return torch.optim.Adam(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=fused)


def check_finite(losses: dict[str, Tensor], epoch: int, learning_rate: float, advice: str) -> None:
    """Raise TrainingError that names the first term that is NaN or infinite."""
    for name, value in losses.items():
        number = float(value.detach())
        if not math.isfinite(number):
            raise TrainingError(
                f"epoch {epoch}: the {name} loss is {number} at learning rate {learning_rate:g}; lower the learning "
                f"rate. {advice}"
            )


def check_weights(model: S3Rec, epoch: int, learning_rate: float, advice: str) -> None:
    """Raise TrainingError when the last step of an epoch left weights that are NaN or infinite."""
    for name, value in model.named_parameters():
        if not bool(torch.isfinite(value).all()):
            raise TrainingError(
                f"epoch {epoch}: the weights {name} became NaN or infinite at learning rate {learning_rate:g}; lower "
                f"the learning rate. {advice}"
            )


def kept(run: Run) -> str:
    """Where the last good weights are."""
    if run.folder is None or not run.path("last").exists():
        return "No epoch was finished, so nothing was saved."
    return f"The state after epoch {len(run.history)} is kept in {run.path('last')}."


def pretrain(
    model: S3Rec,
    data: SequenceData,
    config: PretrainConfig | None = None,
    *,
    device: str = "auto",
    folder: str | Path | None = None,
    restart: bool = False,
    progress: bool = True,
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

    Returns the history, one row an epoch: mean loss of each objective per sequence (nats, unweighted), their
    weighted sum, sequences, seconds. Raises TrainingError on a NaN or infinite loss, SettingError when the folder
    holds another run.
    """
    config = config or PretrainConfig()
    check_fits(model, data)
    run = start_run("pretrain", f"S3Rec-{data.name}", model, data, config, folder, restart)
    model.to(pick_device(device)).train()
    sampler = ViewSampler(data, config, model.max_length)
    step = PretrainStep(model, data, config, sampler)
    first = run.resume(model, step.optimizer)
    num_batches = -(-len(sampler) // config.batch_size)
    bar = progress_bar("pre-training", config.epochs, num_batches, first, progress)
    with bar:
        for epoch in range(first + 1, config.epochs + 1):
            row = step.epoch(epoch, bar, run)
            check_weights(model, epoch, config.learning_rate, kept(run))
            best = all(row["loss"] <= earlier["loss"] for earlier in run.history)
            run.history.append(row)
            numbered = bool(config.save_step) and epoch % config.save_step == 0
            run.save(model, step.optimizer, numbered=numbered, best=best)
    return pd.DataFrame(run.history)


class PretrainStep:
    """One optimiser step of pre-training, and the loop of one epoch around it."""

    def __init__(self, model: S3Rec, data: SequenceData, config: PretrainConfig, sampler: ViewSampler):
        self.model, self.config, self.sampler = model, config, sampler
        self.attributes = data.attributes.to(model.device)
        self.candidates = torch.from_numpy(sampler.negatives.candidates).to(model.device)
        self.optimizer = make_optimizer(model, config)
        self.preparing = 0.0
        """seconds spent on making views so far"""

    def losses(self, indices: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """The four losses of the prefixes ``indices``, with dropout."""
        begin = time.perf_counter()
        views = self.sampler.batch(indices, rng).to(self.model.device)
        owners = self.sampler.owners(indices, self.model.device)
        self.preparing += time.perf_counter() - begin
        with arithmetic(self.config.precision, self.model.device):
            return pretraining_losses(
                self.model, views, self.attributes, self.config, owners=owners, candidates=self.candidates, rng=rng
            )

    def step(self, indices: np.ndarray, rng: np.random.Generator, epoch: int = 1, advice: str = "") -> Tensor:
        """Train on one batch; returns the four losses [4], detached."""
        losses = self.losses(indices, rng)
        total = joint_loss(losses, self.config)
        if not math.isfinite(total.item()):
            check_finite(losses, epoch, self.config.learning_rate, advice)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        self.optimizer.step()
        return torch.stack([losses[name].detach().float() for name in OBJECTIVES])

    def epoch(self, number: int, bar: tqdm, run: Run) -> dict[str, float]:
        """One pass over all prefixes; returns the row of the history."""
        begin = time.perf_counter()
        rng = epoch_generator(self.config.seed, "pretrain", number)
        bar.set_postfix_str(f"epoch {number} of {self.config.epochs}")
        totals = torch.zeros(len(OBJECTIVES), dtype=torch.float64)
        advice, batches = kept(run), self.sampler.epoch(rng)
        for indices in batches:
            totals += self.step(indices, rng, number, advice).cpu().double()
            bar.update()
        count = len(batches) if self.config.reduction == "mean" else len(self.sampler)
        means = dict(zip(OBJECTIVES, (totals / max(count, 1)).tolist(), strict=True))
        joint = sum(self.config.weights[name] * means[name] for name in OBJECTIVES)
        seconds = round(time.perf_counter() - begin, 3)
        return {"epoch": number, **means, "loss": joint, "sequences": len(self.sampler), "seconds": seconds}


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
) -> pd.DataFrame:
    """Fine-tune as a causal next-item recommender with early stopping on validation, in place.

    Arguments as for `pretrain`; ``name`` is part of the file names. A fresh model gives the control without
    pre-training, SASRec. The model ends with the weights of its best validation epoch.

    Returns the history, one row an epoch: mean loss per target (nats), the monitored validation metric, optimiser
    steps so far, seconds.
    """
    config = config or FinetuneConfig()
    check_fits(model, data)
    run = start_run("finetune", f"S3Rec-{data.name}-{name}", model, data, config, folder, restart)
    model.to(pick_device(device)).train()
    samples = NextItemSamples(data, config, model.max_length)
    check_monitor(data, config)
    optimizer = make_optimizer(model, config)
    first = run.resume(model, optimizer)
    best_state = clone_state(model)
    if run.history:
        best_state = load_model(run.path("best")).state_dict()
    num_batches = -(-len(samples) // config.batch_size)
    bar = progress_bar("fine-tuning", config.epochs, num_batches, first, progress)
    with bar:
        for epoch in range(first + 1, config.epochs + 1):
            if should_stop(run.history, config):
                break
            row = finetune_epoch(model, data, config, samples, optimizer, epoch, bar, run)
            run.history.append(row)
            best = best_epoch(run.history, config.monitor) == epoch
            if best:
                best_state = clone_state(model)
            numbered = bool(config.save_step) and epoch % config.save_step == 0
            run.save(model, optimizer, numbered=numbered, best=best)
    model.load_state_dict(best_state)
    return pd.DataFrame(run.history)


def best_epoch(history: list[dict[str, float]], monitor: str) -> int:
    """The first epoch with the highest validation value; 0 for an empty history."""
    values = [row[monitor] for row in history]
    return values.index(max(values)) + 1 if values else 0


def should_stop(history: list[dict[str, float]], config: FinetuneConfig) -> bool:
    """Early stopping: ``patience`` epochs without a better value, but never before ``min_steps`` steps.

    On a small set an epoch is a handful of steps and the curve is flat at first: patience alone then decides the
    result (the authors' rule is ``min_steps=0``).
    """
    if not history or not config.patience or history[-1]["steps"] < config.min_steps:
        return False
    return len(history) - best_epoch(history, config.monitor) >= config.patience


def finetune_epoch(
    model: S3Rec, data: SequenceData, config: FinetuneConfig, samples: NextItemSamples,
    optimizer: torch.optim.Optimizer, epoch: int, bar: tqdm, run: Run,
) -> dict[str, float]:  # fmt: skip
    """One pass over all samples and one look at validation; returns the row of the history."""
    begin = time.perf_counter()
    rng = epoch_generator(config.seed, "finetune", epoch)
    model.train()
    total, count = 0.0, 0
    batches = batch_order(np.empty(len(samples)), config.batch_size, 0, rng)
    for indices in batches:
        targets = samples.num_targets(indices)
        optimizer.zero_grad(set_to_none=True)
        for chunk in samples.chunks(indices):
            tensors = (part if part is None else part.to(model.device) for part in samples.batch(chunk, rng))
            with arithmetic(config.precision, model.device):
                loss = next_item_loss(model, *tensors, config, rng)
            total += loss.item()
            check_finite({config.loss: loss}, epoch, config.learning_rate, kept(run))
            (loss / targets).backward()
        optimizer.step()
        if model.config.zero_padding_row:  # with special_candidates the softmax reaches this row
            model.item_embeddings.weight.data[0] = 0
        count += targets
        bar.update()
    check_weights(model, epoch, config.learning_rate, kept(run))
    try:
        metric = validate(model, data, config)
    except (DataError, SettingError):
        raise
    except S3RecError as error:  # finite weights, but so large that the scores are not
        raise TrainingError(
            f"epoch {epoch}: {error}; lower the learning rate {config.learning_rate:g}. {kept(run)}"
        ) from error
    bar.set_postfix_str(f"epoch {epoch}, validation {config.monitor} {metric:.4f}")
    steps = len(batches) + (int(run.history[-1]["steps"]) if run.history else 0)
    seconds = round(time.perf_counter() - begin, 3)
    return {"epoch": epoch, "loss": total / count, config.monitor: metric, "steps": steps, "seconds": seconds}


def check_monitor(data: SequenceData, config: FinetuneConfig) -> None:
    """Raise SettingError before training when the validation metric cannot be computed."""
    if config.monitor_protocol == "sampled":
        try:
            draw_negatives(data, "valid")
        except S3RecError as error:
            raise SettingError(f"monitor_protocol='sampled': {error}; use --monitor-protocol full") from error


def validate(model: S3Rec, data: SequenceData, config: FinetuneConfig) -> float:
    """The monitored metric on the validation items."""
    report = evaluate(model, data, split="valid", protocol=config.monitor_protocol)
    return float(report.per_user(config.monitor).mean())
