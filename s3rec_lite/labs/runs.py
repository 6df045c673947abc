"""Small training runs for the lab "train". Whoever watches one hears of every step, and may pause or stop it there."""

import copy
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from s3rec_lite.data import SequenceData
from s3rec_lite.datasets import take_users
from s3rec_lite.experiments.reports import Report, evaluate
from s3rec_lite.labs.material import INIT, Material
from s3rec_lite.support.config import OBJECTIVES, FinetuneConfig, PretrainConfig
from s3rec_lite.support.keeper import Row
from s3rec_lite.training import Step, finetune, pretrain
from s3rec_lite.views import list_prefixes

PRETRAINING, FINETUNING, EVALUATING, DONE = "pre-training", "fine-tuning", "evaluating", "done"
METRICS = ("HR@10", "NDCG@10")
PROTOCOLS = {"full": "all films", "sampled": "99 drawn films"}
FINETUNE = FinetuneConfig(epochs=8, patience=0, batch_size=16, learning_rate=0.003)  # quick: 80 steps at most


class StopRun(Exception):
    """Raised by whoever watches a run, to end it."""


@dataclass(frozen=True)
class Settings:
    """What a run is started with. Raises SettingError for weights that are all 0."""

    aap: float = 0.2
    mip: float = 1.0
    map: float = 1.0
    sp: float = 0.5
    epochs: int = 3
    """of pre-training"""
    share: int = 100
    """percent of the material's users to learn from, in pre-training and in fine-tuning"""

    def __post_init__(self) -> None:
        self.config()

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each objective."""
        return {name: getattr(self, name) for name in OBJECTIVES}

    def config(self) -> PretrainConfig:
        """The settings of pre-training: the package's own but for batches of mixed lengths.

        Batches of like lengths are quicker, but their losses, which are sums over positions, jump from step to step.
        """
        weights: dict[str, Any] = {f"{name}_weight": value for name, value in self.weights.items()}
        return PretrainConfig(epochs=self.epochs, length_window=0, **weights)

    def users(self, data: SequenceData) -> SequenceData:
        """The share of the users; a smaller share is part of a larger one."""
        count = max(1, round(data.num_users * self.share / 100))
        return take_users(data, np.sort(np.random.default_rng(0).permutation(data.num_users)[:count]))


@dataclass(frozen=True, eq=False)
class Run:
    """One run, finished or under way; a new one after every step, so that it can be handed to another thread."""

    settings: Settings
    num_users: int
    """users that it learns from"""
    num_steps: int
    """steps of all pre-training"""
    stage: str = PRETRAINING
    epoch: int = 1
    """of the stage, from 1"""
    losses: np.ndarray = dataclasses.field(default_factory=lambda: np.empty((0, len(OBJECTIVES))))
    """[steps so far, 4], nats per prefix; NaN for an objective of weight 0, which is not computed"""
    reports: Mapping[str, Report] = dataclasses.field(default_factory=dict)
    """by protocol, on the test items of all users"""
    results: Mapping[str, Mapping[str, tuple[float, float, float]]] = dataclasses.field(default_factory=dict)
    """by protocol and metric: mean over users and its 95% interval"""
    stopped: bool = False

    @property
    def finished(self) -> bool:
        """Whether it came to its end."""
        return self.stage == DONE and not self.stopped

    @property
    def where(self) -> str:
        """How far it is, in words."""
        if self.stage == PRETRAINING:
            step = f"step {len(self.losses)} of {self.num_steps}"
            return f"{self.stage}: epoch {self.epoch} of {self.settings.epochs}, {step}"
        return f"{self.stage}: epoch {self.epoch} of {FINETUNE.epochs}" if self.stage == FINETUNING else self.stage


def train_once(material: Material, settings: Settings, watch: Callable[[Run], Any] = lambda run: None) -> Run:
    """Pre-train, fine-tune and evaluate. Same settings, same numbers.

    Args:
        material: its untrained model is what every run begins with; it is copied, not changed.
        settings: of the run.
        watch: called with the run so far: at the start, after every batch of pre-training, before every epoch of
            fine-tuning and before the evaluation, and at the end. It may block, or raise StopRun.

    Returns the run; when stopped, what was done so far with ``stopped`` set.
    """
    data, config, model = settings.users(material.some), settings.config(), copy.deepcopy(material.models[INIT])
    num_batches = -(-len(list_prefixes(data, model.max_length).ends) // config.batch_size)
    unused = [not weight for weight in settings.weights.values()]
    run = Run(settings, data.num_users, num_batches * settings.epochs)

    def change(**changes: Any) -> None:
        nonlocal run
        run = dataclasses.replace(run, **changes)
        watch(run)

    def after_step(step: Step) -> None:
        losses = np.where(unused, np.nan, np.divide(step.losses, step.num_samples))
        change(epoch=step.epoch, losses=np.vstack([run.losses, losses]))

    def after_epoch(row: Row) -> None:
        if row["epoch"] < FINETUNE.epochs:
            change(epoch=row["epoch"] + 1)

    try:
        change()
        pretrain(model, data, config, on_step=after_step)
        change(stage=FINETUNING, epoch=1)
        finetune(model, data, FINETUNE, on_epoch=after_epoch)
        change(stage=EVALUATING)
        reports = {protocol: evaluate(model, material.data, "test", protocol) for protocol in PROTOCOLS}
        change(stage=DONE, reports=reports, results={name: _results(report) for name, report in reports.items()})
    except StopRun:
        return dataclasses.replace(run, stopped=True)
    return run


def _results(report: Report) -> dict[str, tuple[float, float, float]]:
    return {metric: (float(report.per_user(metric).mean()), *report.interval(metric)) for metric in METRICS}
