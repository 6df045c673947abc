"""Small training runs for the lab "train": pure, step by step, so that whoever drives them can pause and stop."""

import copy
import dataclasses
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from s3rec_lite.data import SequenceData
from s3rec_lite.datasets import take_users
from s3rec_lite.experiments.reports import Report, evaluate
from s3rec_lite.finetuning import NextItemSamples
from s3rec_lite.labs.material import INIT, Material
from s3rec_lite.model import S3Rec
from s3rec_lite.runs import checkpoints
from s3rec_lite.support.config import OBJECTIVES, FinetuneConfig, PretrainConfig
from s3rec_lite.support.runtime import epoch_generator
from s3rec_lite.training import PretrainStep, best_epoch, check_weights, finetune_epoch, make_optimizer, progress_bar
from s3rec_lite.views import ViewSampler

PRETRAINING, FINETUNING, EVALUATING, DONE = "pre-training", "fine-tuning", "evaluating", "done"
METRICS = ("HR@10", "NDCG@10")
PROTOCOLS = {"full": "all films", "sampled": "99 drawn films"}
FINETUNE = FinetuneConfig(epochs=8, patience=0, batch_size=16, learning_rate=0.003)  # quick: 80 steps at most
ADVICE = "Nothing was kept."


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

    def __post_init__(self):
        self.config()

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each objective."""
        return {name: getattr(self, name) for name in OBJECTIVES}

    def config(self) -> PretrainConfig:
        """The settings of pre-training: the package's own but for batches of mixed lengths.

        Batches of like lengths are quicker, but their losses, which are sums over positions, jump from step to step.
        """
        weights = {f"{name}_weight": value for name, value in self.weights.items()}
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
    num_prefixes: int
    stage: str = PRETRAINING
    epoch: int = 1
    """of the stage, from 1"""
    losses: np.ndarray = dataclasses.field(default_factory=lambda: np.empty((0, len(OBJECTIVES))))
    """[steps so far, 4], nats per prefix; NaN for an objective of weight 0, which is not computed"""
    history: tuple[dict[str, float], ...] = ()
    """one row a finished pre-training epoch: mean loss of each objective, nats per prefix"""
    finetuning: tuple[dict[str, float], ...] = ()
    """one row a finished fine-tuning epoch, as `s3rec_lite.finetune` returns them"""
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
            step = f", step {len(self.losses)} of {self.num_steps}"
            return f"{self.stage}: epoch {self.epoch} of {self.settings.epochs}{step}"
        if self.stage == FINETUNING:
            return f"{self.stage}: epoch {self.epoch} of {FINETUNE.epochs}"
        return self.stage


def train_once(
    material: Material,
    settings: Settings,
    on_step: Callable[[Run], Any] = lambda run: None,
    should_stop: Callable[[], bool] = lambda: False,
    wait_if_paused: Callable[[], Any] = lambda: None,
) -> Run:
    """Pre-train, fine-tune and evaluate. Same settings, same numbers.

    Args:
        material: its untrained model is what every run begins with; it is copied, not changed.
        settings: of the run.
        on_step: called with the run so far: at the start, after every batch of pre-training, after every epoch of
            fine-tuning, and at the end.
        should_stop, wait_if_paused: asked after each of these; the second may block.

    Returns the run; when stopped, what was done so far with ``stopped`` set.
    """
    for run in steps(material, settings):
        on_step(run)
        wait_if_paused()
        if should_stop():
            return dataclasses.replace(run, stopped=True)
    return run


def steps(material: Material, settings: Settings) -> Iterator[Run]:
    """The run after each step; the last one is finished."""
    data = settings.users(material.some)
    model = copy.deepcopy(material.models[INIT]).train()
    run = yield from pretraining_steps(model, data, settings)
    run = yield from finetuning_steps(model, data, run)
    run = dataclasses.replace(run, stage=EVALUATING)
    yield run
    reports = {protocol: evaluate(model, material.data, "test", protocol) for protocol in PROTOCOLS}
    results = {
        protocol: {metric: (float(report.per_user(metric).mean()), *report.interval(metric)) for metric in METRICS}
        for protocol, report in reports.items()
    }
    yield dataclasses.replace(run, stage=DONE, reports=reports, results=results)


def pretraining_steps(model: S3Rec, data: SequenceData, settings: Settings) -> Generator[Run, None, Run]:
    """`s3rec_lite.pretrain`, one batch at a time: the same steps in the same order."""
    config = settings.config()
    sampler = ViewSampler(data, config, model.max_length)
    trainer = PretrainStep(model, data, config, sampler)
    per_epoch = -(-len(sampler) // config.batch_size)
    unused = np.array([not weight for weight in settings.weights.values()])
    run = Run(settings, data.num_users, per_epoch * settings.epochs, len(sampler))
    yield run
    for epoch in range(1, settings.epochs + 1):
        rng, total = epoch_generator(config.seed, "pretrain", epoch), np.zeros(len(OBJECTIVES))
        for indices in sampler.epoch(rng):
            sums = trainer.step(indices, rng, epoch, ADVICE).double().numpy()
            total += sums
            row = np.where(unused, np.nan, sums / len(indices))
            run = dataclasses.replace(run, epoch=epoch, losses=np.vstack([run.losses, row]))
            yield run
        check_weights(model, epoch, config.learning_rate, ADVICE)
        means = dict(zip(OBJECTIVES, np.where(unused, np.nan, total / len(sampler)).tolist(), strict=True))
        run = dataclasses.replace(run, history=(*run.history, {"epoch": epoch, **means}))
    return run


def finetuning_steps(model: S3Rec, data: SequenceData, run: Run) -> Generator[Run, None, Run]:
    """`s3rec_lite.finetune`, one epoch at a time; the model ends with the weights of its best validation epoch."""
    samples, optimizer = NextItemSamples(data, FINETUNE, model.max_length), make_optimizer(model, FINETUNE)
    files = checkpoints.Run(None, "lab", {})  # holds the history, writes nothing
    best = checkpoints.clone_state(model)
    with progress_bar("fine-tuning", FINETUNE.epochs, 1, 0, False) as bar:
        for epoch in range(1, FINETUNE.epochs + 1):
            run = dataclasses.replace(run, stage=FINETUNING, epoch=epoch)
            yield run
            files.history.append(finetune_epoch(model, data, FINETUNE, samples, optimizer, epoch, bar, files))
            if best_epoch(files.history, FINETUNE.monitor) == epoch:
                best = checkpoints.clone_state(model)
            run = dataclasses.replace(run, finetuning=tuple(files.history))
    model.load_state_dict(best)
    return run
