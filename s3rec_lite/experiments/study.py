"""What each part of S³-Rec is worth: many small runs that differ in one thing, in one record.

Four questions, after figures 2, 4 and 5 of the paper: seeds (pre-trained against not), ablation (one objective left
out), share of training data, number of pre-training epochs; each is asked with every seed. Every run is kept in its
own folder below ``runs``; the same call again goes on where it stopped.
"""

import dataclasses
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from s3rec_lite.data import SequenceData
from s3rec_lite.datasets import take_users
from s3rec_lite.experiments.comparisons import compare
from s3rec_lite.experiments.reports import Report, evaluate
from s3rec_lite.experiments.reproduce import CONTROL, PRETRAINED, protocols
from s3rec_lite.experiments.trainer import Trainer
from s3rec_lite.information.measured import measured_bounds
from s3rec_lite.runs.checkpoints import weights_fingerprint
from s3rec_lite.runs.locks import locked
from s3rec_lite.runs.records import Record, make_record, plain_name, write_record
from s3rec_lite.support.config import OBJECTIVES, FinetuneConfig, ModelConfig, PretrainConfig
from s3rec_lite.support.errors import SettingError
from s3rec_lite.support.files import check_writable, remove_files

_METRICS = ("HR@10", "NDCG@10", "MRR")
_BOUND_CANDIDATES = 100


@dataclasses.dataclass(frozen=True)
class Arm:
    """One run: what it changes, and what it is compared with."""

    question: str
    """seeds | ablation | share | epochs"""
    without: str = ""
    """the objective that is left out"""
    share: float = 1.0
    """share of the users that are trained on; all are ranked"""
    epochs: int = 0
    """pre-training epochs, of all users; 0 is the control without pre-training"""
    seed: int = 42

    @property
    def what(self) -> str:
        """As "S3Rec, 5 epochs, without SP"."""
        parts = [f"{PRETRAINED}, {self.epochs} epoch{'s'[: self.epochs > 1]}" if self.epochs else CONTROL]
        parts += [f"without {self.without.upper()}"] if self.without else []
        parts += [f"{self.share:.0%} of users"] if self.share < 1 else []
        return ", ".join(parts)

    @property
    def label(self) -> str:
        """As "S3Rec, 5 epochs, without SP, seed 42"."""
        return f"{self.what}, seed {self.seed}"


@dataclasses.dataclass
class Study:
    """The plan of a study: data, sizes and folders."""

    data: SequenceData
    epochs: int = 5
    seeds: tuple[int, ...] = (42, 1, 2)
    shares: tuple[float, ...] = (0.2, 0.6)
    stops: tuple[int, ...] = (1, 5, 10)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    finetuning: FinetuneConfig = dataclasses.field(default_factory=lambda: FinetuneConfig(epochs=60, min_steps=200))
    runs: Path = Path("data/runs/study")
    results: Path = Path("data/results")
    device: str = "cpu"
    progress: bool = True

    def __post_init__(self) -> None:
        if self.epochs < 1 or not self.seeds or min((*self.stops, 1)) < 1:
            raise SettingError("a study needs at least one epoch and one seed, and numbers of epochs from 1 on")
        if not all(0 < share <= 1 for share in self.shares):
            raise SettingError(f"shares {self.shares}: give numbers above 0 and up to 1")

    def arms(self) -> list[tuple[Arm, Arm]]:
        """Every run with the one that it is compared to, seed by seed."""
        return [pair for seed in self.seeds for pair in self._arms_of(seed)]

    def _arms_of(self, seed: int) -> list[tuple[Arm, Arm]]:
        whole, control = Arm("seeds", epochs=self.epochs, seed=seed), Arm("seeds", seed=seed)
        pairs = [(whole, control)]
        pairs += [(Arm("ablation", name, epochs=self.epochs, seed=seed), whole) for name in OBJECTIVES]
        for share in self.shares:
            if share < 1:
                less = Arm("share", share=share, seed=seed)
                pairs.append((dataclasses.replace(less, epochs=self.epochs), less))
        pairs += [(Arm("epochs", epochs=stop, seed=seed), control) for stop in self.stops if stop != self.epochs]
        return pairs

    def trainer(self, share: float = 1.0) -> Trainer:
        """Trains on that share of the users; equal pre-training is done once."""
        users = round(share * self.data.num_users)
        data = self.data if share == 1 else take_users(self.data, users, seed=0)
        stops = tuple(sorted({*self.stops, self.epochs})) if share == 1 else ()
        return Trainer(data, self.runs, stops, self.device, self.progress)

    def pretraining(self, arm: Arm) -> PretrainConfig:
        """Its settings. Fewer users get more epochs, so that the number of steps is about the same."""
        weights: dict[str, Any] = {f"{arm.without}_weight": 0.0} if arm.without else {}
        return PretrainConfig(epochs=round(arm.epochs / arm.share), seed=arm.seed, **weights)

    def finetuning_of(self, arm: Arm) -> FinetuneConfig:
        """Its settings, epochs and patience stretched like those of `pretraining`."""
        longer = {name: round(getattr(self.finetuning, name) / arm.share) for name in ("epochs", "patience")}
        return dataclasses.replace(self.finetuning, seed=arm.seed, **longer)


def run_study(study: Study, say: Callable[[str], None] = print) -> Record:
    """Run what is not there yet and write the record ``<data>-study``; returns it.

    Raises SettingError while another process does the same.
    """
    for folder in (study.runs, study.results):
        check_writable(folder)
    name = plain_name(f"{study.data.name}-study")
    with locked(study.results, name):
        remove_files(study.results, rf"\.{re.escape(name)}\.json\.\d+\.part")
        return _run_study(study, name, say)


def _run_study(study: Study, name: str, say: Callable[[str], None]) -> Record:
    begin, pairs = time.perf_counter(), study.arms()
    arms = list(dict.fromkeys(arm for pair in pairs for arm in reversed(pair)))
    reports: dict[Arm, dict[str, Report]] = {}
    rows = []
    for number, arm in enumerate(arms, start=1):
        say(f"{number}/{len(arms)} {arm.label}")
        reports[arm], facts = _run_arm(study, arm)
        rows.append({**dataclasses.asdict(arm), "label": arm.label, **facts})

    record = make_record(
        name,
        "study",
        study.data,
        settings={
            "model": dataclasses.asdict(study.model),
            "pretrain": dataclasses.asdict(PretrainConfig(epochs=study.epochs)),
            "finetune": dataclasses.asdict(study.finetuning),
            "seeds": list(study.seeds),
        },
        minutes=round(sum(row["minutes"] for row in rows), 1),
        arms=rows,
        comparisons=list(_comparisons(pairs, reports)),
        bounds=list(_bounds_by_epoch(study)),
    )
    say(f"wrote {write_record(record, study.results)} after {(time.perf_counter() - begin) / 60:.0f} minutes")
    return record


def _run_arm(study: Study, arm: Arm) -> tuple[dict[str, Report], dict[str, Any]]:
    """Pre-train, fine-tune and rank; finished parts are read from their folders."""
    trainer, pretraining = study.trainer(arm.share), study.pretraining(arm)
    model, start = trainer.pretrained(study.model, pretraining, arm.seed)
    history, _ = trainer.finetuned(model, study.finetuning_of(arm), start, arm.share)
    seconds = float(history["seconds"].sum())
    if pretraining.epochs:  # whichever run they were done for
        epochs = pd.read_csv(trainer.pretraining_folder(study.model, pretraining) / f"{trainer.name}-history.csv")
        seconds += float(epochs["seconds"].head(pretraining.epochs).sum())

    chosen = {name: how for name, how in protocols(study.data).items() if name in ("full", "sampled")}
    reports = {name: evaluate(model, study.data, "test", **how) for name, how in chosen.items()}
    facts = {
        "minutes": round(seconds / 60, 2),
        "pretraining_epochs": pretraining.epochs,
        "finetuning_epochs": len(history),
        "finetuning_steps": int(history["steps"].iloc[-1]),
        "weights": weights_fingerprint(model),
        "test": {
            name: {metric: [report.metrics[metric], *report.interval(metric)] for metric in _METRICS}
            for name, report in reports.items()
        },
    }
    return reports, facts


def _comparisons(pairs: Sequence[tuple[Arm, Arm]], reports: dict[Arm, dict[str, Report]]) -> Iterator[dict[str, Any]]:
    """Paired differences of every run to its reference, first minus second: by seed, then of the means over seeds."""
    alike: dict[tuple[str, str, str], list[tuple[Arm, Arm]]] = {}
    for arm, other in pairs:
        alike.setdefault((arm.question, arm.what, other.what), []).append((arm, other))
    for group in alike.values():
        for pair in group:
            yield from _compared([pair], reports)
        if len(group) > 1:
            yield from _compared(group, reports)


def _compared(group: Sequence[tuple[Arm, Arm]], reports: dict[Arm, dict[str, Report]]) -> Iterator[dict[str, Any]]:
    """The rows of one comparison: pairs that differ in the seed alone count with each user's mean over them."""
    arm, other = group[0]
    for protocol in reports[arm]:
        for metric in _METRICS[:2]:
            first, second = ([reports[pair[side]][protocol] for pair in group] for side in (0, 1))
            comparison = compare(first, second, metric)
            yield {
                "question": arm.question,
                "arm": arm.what,
                "reference": other.what,
                "seeds": [each.seed for each, _ in group],
                "protocol": protocol,
                "metric": metric,
                "difference": comparison.difference,
                "interval": [comparison.low, comparison.high],
                "p_value": comparison.p_value,
                "larger_than_chance": bool(comparison.larger_than_chance),
            }


def _bounds_by_epoch(study: Study) -> Iterator[dict[str, Any]]:
    """The information that the four critics show after 0 and more epochs of pre-training, before fine-tuning."""
    trainer = study.trainer()
    for seed in study.seeds:
        for epochs in sorted({0, study.epochs, *study.stops}):
            model, _ = trainer.pretrained(study.model, PretrainConfig(epochs=epochs, seed=seed), seed)
            table = measured_bounds(model, study.data, min(_BOUND_CANDIDATES, study.data.num_users // 2))
            values = {str(name): [row.nats, row.standard_error] for name, row in table.iterrows()}
            yield {"epochs": epochs, "seed": seed, **values}
