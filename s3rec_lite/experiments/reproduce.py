"""The whole way in one call: pre-train, fine-tune with and without it, evaluate, compare, write it down.

Each step goes on where an earlier call stopped, so the same call again repeats nothing that is finished.
"""

import dataclasses
import functools
import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from s3rec_lite import __version__
from s3rec_lite.data import SequenceData, fingerprint, user_of_interaction
from s3rec_lite.experiments.comparisons import compare
from s3rec_lite.experiments.presets import configs, evaluation_settings, find_preset
from s3rec_lite.experiments.reports import Report, evaluate
from s3rec_lite.figures.records import record_figures
from s3rec_lite.model import S3Rec
from s3rec_lite.runs.checkpoints import weights_fingerprint
from s3rec_lite.runs.folders import folder_for, lasting_settings
from s3rec_lite.runs.locks import locked
from s3rec_lite.runs.records import (
    Record,
    describe_data,
    history_columns,
    make_record,
    plain_name,
    read_record,
    write_record,
)
from s3rec_lite.runs.sessions import finetune, pretrain
from s3rec_lite.support.config import FinetuneConfig, ModelConfig, PretrainConfig
from s3rec_lite.support.early_stopping import best_epoch
from s3rec_lite.support.errors import S3RecError
from s3rec_lite.support.files import check_writable, remove_files
from s3rec_lite.support.runtime import pick_device
from s3rec_lite.support.text import digest
from s3rec_lite.views import list_prefixes

PRETRAINED, CONTROL = "S3Rec", "SASRec"
_COMPARED = ("HR@10", "NDCG@10", "MRR")
_NUM_NEGATIVES, _NEGATIVES_SEED = 99, 0
_DEFAULT_EPOCHS = {"ml-100k": {"pretrain": 10, "finetune": 150}}
"""The whole way takes well under 15 minutes on 2 cores. Other data sets have the settings' defaults."""

# What two cores of an ordinary machine do in a second; only for the estimate that is shown before the start.
_PRETRAINED_SEQUENCES = 1200
_FINETUNED_POSITIONS = 80_000
_SCORED_ITEMS = 120e6


@dataclasses.dataclass(frozen=True)
class _Plan:
    """What a call of `reproduce` is going to do."""

    data: SequenceData
    preset: str
    model: ModelConfig
    pretrain: PretrainConfig
    finetune: FinetuneConfig
    runs: Path
    results: Path
    device: str
    restart: bool
    progress: bool
    workers: int | None

    def say(self, line: str) -> None:
        """One line above the progress bars, on stderr: stdout belongs to the results."""
        if self.progress:
            tqdm.write(line, file=sys.stderr)

    @property
    def head(self) -> str:
        """What names of records and figures start with: the data, and the preset unless it is the default."""
        return plain_name(self.data.name if self.preset == "default" else f"{self.data.name}-{self.preset}")

    def record_name(self, subject: str) -> str:
        """As ``ml-100k-s3rec-seed42``."""
        return f"{self.head}-{subject.lower()}-seed{self.pretrain.seed}"

    def settings(self, pretrained: bool) -> dict[str, Any]:
        """All settings of one model, as the record holds them."""
        return {
            "model": dataclasses.asdict(self.model),
            "pretrain": dataclasses.asdict(self.pretrain) if pretrained else None,
            "finetune": dataclasses.asdict(self.finetune),
        }

    @functools.cached_property
    def folder(self) -> Path:
        """Of the pre-training. Settings that rule out going on with an earlier run give another one."""
        parts = [fingerprint(self.data), dataclasses.asdict(self.model), lasting_settings(self.pretrain)]
        name = f"{self.data.name}-{self.preset}-seed{self.pretrain.seed}-{digest(parts, 8)}"
        return folder_for(self.runs / name, f"S3Rec-{self.data.name}", self.pretrain.epochs)

    @property
    def how(self) -> dict[str, Any]:
        """The arguments that both kinds of training get."""
        return {
            "device": self.device,
            "restart": self.restart,
            "progress": self.progress,
            "workers": self.workers,
        }

    @functools.cached_property
    def protocols(self) -> dict[str, dict[str, Any]]:
        """The evaluations that both models get."""
        return protocols(self.data, self.preset)


@dataclasses.dataclass(frozen=True)
class _Trained:
    """One fine-tuned model and how it came about."""

    label: str
    model: S3Rec
    pretraining: pd.DataFrame | None
    finetuning: pd.DataFrame

    @functools.cached_property
    def weights(self) -> str:
        """The fingerprint of the weights."""
        return weights_fingerprint(self.model)


def reproduce(
    data: SequenceData,
    *,
    preset: str = "default",
    model: Mapping[str, Any] | None = None,
    pretrain: Mapping[str, Any] | None = None,
    finetune: Mapping[str, Any] | None = None,
    device: str = "auto",
    results: str | Path = "data/results",
    figures: str | Path = "figures",
    runs: str | Path = "data/runs",
    restart: bool = False,
    progress: bool = True,
    workers: int | None = 1,
) -> list[Record]:
    """Train S³-Rec and its control without pre-training, evaluate both alike, leave records and figures.

    Args:
        data: the sequences.
        preset: "default", "paper", "authors" or "recbole".
        model, pretrain, finetune: settings on top of the preset, such as ``pretrain={"epochs": 50}``.
        device: "auto", "cpu", "cuda" or "mps".
        results, figures: folders of the records and of the figures.
        runs: folder of checkpoints. Runs with other settings get folders of their own.
        restart: start over instead of going on.
        progress: show bars with the remaining time, and what is done, on stderr.
        workers: processes that train together; None takes what suits the machine.

    Returns the three records: the S3Rec run, the SASRec run, and their comparison. Raises SettingError for
    bad settings or while another process does the same, TrainingError for a loss that is NaN or infinite,
    S3RecError for a folder that cannot be written.
    """
    # Whatever is wrong with settings and folders is found before any training.
    given = {"pretrain": dict(pretrain or {}), "finetune": dict(finetune or {})}
    for stage, epochs in _DEFAULT_EPOCHS.get(data.name, {}).items():
        if "epochs" not in find_preset(preset).values(stage):
            given[stage].setdefault("epochs", epochs)
    settings = configs(preset, model, **given)
    for folder in (results, figures, runs):
        check_writable(folder)
    folders = Path(runs), Path(results)
    plan = _Plan(data, preset, *settings, *folders, str(pick_device(device)), restart, progress, workers)

    with locked(plan.results, f"{plan.head}-seed{plan.pretrain.seed}"):
        remove_files(plan.results, rf"\.{re.escape(plan.head)}-\w+-seed{plan.pretrain.seed}\.json\.\d+\.part")
        trained = _train(plan)
        records = _finished_records(plan, trained) or _new_records(plan, trained)
    for path in record_figures(records[:2], Path(figures), plan.head):
        plan.say(f"wrote {path}")
    return records


# --- training -----------------------------------------------------------------------------------------------


def _train(plan: _Plan) -> list[_Trained]:
    """Steps 1 to 3: pre-train and fine-tune from there, then fine-tune from the same random weights without."""
    expected = _estimated_minutes(plan.data, plan.model, plan.pretrain, plan.finetune)
    half = _in_words(expected["finetune"] / 2)
    plan.say(
        f"{plan.data.name}: {plan.data.num_users:,} users, {plan.data.num_items:,} items, preset {plan.preset}"
        f"{_in_words(sum(expected.values()))} in all, less if fine-tuning stops early"
    )
    model, control = (
        S3Rec(plan.data.num_items, plan.data.num_attributes, plan.model, seed=plan.pretrain.seed) for _ in range(2)
    )
    plan.say(f"1/4 pre-training {PRETRAINED}, {plan.pretrain.epochs} epochs{_in_words(expected['pretrain'])}")
    pretraining = pretrain(model, plan.data, plan.pretrain, folder=plan.folder, **plan.how)
    plan.say(f"2/4 fine-tuning {PRETRAINED}, up to {plan.finetune.epochs} epochs{half}")
    finetuning = _finetune(plan, model, f"after-{plan.pretrain.epochs}-epochs")
    plan.say(f"3/4 fine-tuning {CONTROL} (no pre-training), up to {plan.finetune.epochs} epochs{half}")
    return [
        _Trained(PRETRAINED, model, pretraining, finetuning),
        _Trained(CONTROL, control, None, _finetune(plan, control, "from-scratch")),
    ]


def _finetune(plan: _Plan, model: S3Rec, start: str) -> pd.DataFrame:
    """Fine-tune in a folder of its own, named by where it starts and by its settings."""
    folder = plan.folder / f"finetune-{digest([lasting_settings(plan.finetune)], 8)}"
    folder = folder_for(folder, f"S3Rec-{plan.data.name}-{start}", plan.finetune.epochs)
    return finetune(model, plan.data, plan.finetune, folder=folder, name=start, **plan.how)


def _estimated_minutes(
    data: SequenceData, model: ModelConfig, pretrain: PretrainConfig, finetune: FinetuneConfig
) -> dict[str, float]:
    """About how long each stage takes on 2 cores if fine-tuning never stops early; "finetune" is for both models."""
    prefixes = len(list_prefixes(data, model.max_length, pretrain.prefixes).ends)
    positions = int(np.minimum(data.lengths - 3, model.max_length).clip(0).sum())
    scores = data.num_users * data.num_items  # one look at validation
    if finetune.loss == "ce":
        scores += 3 * positions * data.num_items  # forward, and backward in both factors
    epoch = positions / _FINETUNED_POSITIONS + scores / (3 * _SCORED_ITEMS)
    return {
        "pretrain": pretrain.epochs * prefixes / _PRETRAINED_SEQUENCES / 60,
        "finetune": 2 * finetune.epochs * epoch / 60,
    }


def _in_words(minutes: float) -> str:
    """``, about 3 minutes on 2 cores``."""
    return f", about {minutes:.0f} minutes on 2 cores" if minutes >= 1 else ", less than a minute on 2 cores"


# --- evaluation ---------------------------------------------------------------------------------------------


def protocols(data: SequenceData, preset: str = "default") -> dict[str, dict[str, Any]]:
    """The evaluations of a record: name to arguments of `s3rec_lite.evaluate`."""
    chosen: dict[str, dict[str, Any]] = {"full": {"protocol": "full"}}
    touched = pd.Series(data.items).groupby(user_of_interaction(data)).nunique()
    count = min(_NUM_NEGATIVES, data.num_items - int(touched.max()))  # below 99 only on toy-sized data
    if count:
        chosen["sampled"] = {"protocol": "sampled", "num_negatives": count, "seed": _NEGATIVES_SEED}
    if data.sampled_negatives is not None:
        chosen["given"] = {"protocol": "sampled", "negatives": "given"}
    rules = evaluation_settings(preset)
    if rules["protocol"] == "authors":
        chosen["authors"] = {"protocol": "authors"}
    if not rules["remove_seen"]:
        chosen["unfiltered"] = {"protocol": "full", "remove_seen": False}
    return chosen


def _finished_records(plan: _Plan, trained: Sequence[_Trained]) -> list[Record] | None:
    """The records of an earlier call if they are of exactly these weights and settings, else None."""
    if plan.restart:
        return None
    needed: dict[str, dict[str, Any]] = {
        each.label: {
            "weights": each.weights,
            "settings": plan.settings(each.pretraining is not None),
            "data": describe_data(plan.data),
        }
        for each in trained
    }
    needed["comparison"] = {"weights": [each.weights for each in trained], "protocols": plan.protocols}
    records = []
    for subject, facts in needed.items():
        try:
            record = read_record(plan.results / f"{plan.record_name(subject)}.json")
        except S3RecError:
            return None
        facts = json.loads(json.dumps({"kit": __version__, **facts}))
        if any(record.get(key) != value for key, value in facts.items()):
            return None
        records.append(record)
    plan.say("4/4 evaluation: nothing new, the records are of these very weights")
    return records


def _new_records(plan: _Plan, trained: Sequence[_Trained]) -> list[Record]:
    """Step 4: evaluate both models alike, compare them, write the three records."""
    plan.say("4/4 evaluation")
    reports, records = [], []
    for each in trained:
        begin = time.perf_counter()
        reports.append(_evaluated(plan, each))
        records.append(_run_record(plan, each, reports[-1], time.perf_counter() - begin))
    records.append(_comparison_record(plan, trained, *reports))
    for record in records:
        plan.say(f"wrote {write_record(record, plan.results)}")
    return records


def _evaluated(plan: _Plan, each: _Trained) -> dict[str, Report]:
    """A report for each protocol, with a bar over the users."""
    reports = {}
    for name, arguments in plan.protocols.items():
        with tqdm(total=plan.data.num_users, unit="user", desc="evaluate test", disable=not plan.progress) as bar:
            reports[name] = evaluate(each.model, plan.data, name=each.label, on_users=bar.update, **arguments)
    return reports


def _run_record(plan: _Plan, each: _Trained, reports: Mapping[str, Report], seconds: float) -> Record:
    """The record of one model; ``seconds`` are those of its evaluation."""
    monitor = plan.finetune.monitor
    rows: list[Any] = each.finetuning.to_dict("records")
    best = best_epoch(rows, monitor)
    histories = {"pretraining": each.pretraining, "finetuning": each.finetuning}
    return make_record(
        plan.record_name(each.label),
        "run",
        plan.data,
        model=each.label,
        preset=plan.preset,
        seed=plan.pretrain.seed,
        device=plan.device,
        settings=plan.settings(each.pretraining is not None),
        minutes={
            **{name: _minutes(history) for name, history in histories.items()},
            "evaluation": round(seconds / 60, 2),
        },
        weights=each.weights,
        best_epoch=best,
        validation={
            "metric": monitor,
            "protocol": plan.finetune.monitor_protocol,
            "value": float(rows[best - 1][monitor]) if best else None,
        },
        test={name: report.to_dict() for name, report in reports.items()},
        history={name: history_columns(history) for name, history in histories.items()},
    )


def _minutes(history: pd.DataFrame | None) -> float:
    """Minutes of training by the seconds of its epochs: breaks between two calls do not count."""
    return 0.0 if history is None or history.empty else round(float(history["seconds"].sum()) / 60, 2)


def _comparison_record(
    plan: _Plan, trained: Sequence[_Trained], reports: Mapping[str, Report], control: Mapping[str, Report]
) -> Record:
    """The record of the paired comparison: differences are S3Rec minus SASRec."""
    return make_record(
        plan.record_name("comparison"),
        "comparison",
        plan.data,
        models=[each.label for each in trained],
        preset=plan.preset,
        seed=plan.pretrain.seed,
        weights=[each.weights for each in trained],
        protocols=plan.protocols,
        differences={
            name: {metric: compare(reports[name], control[name], metric).to_dict() for metric in _COMPARED}
            for name in plan.protocols
        },
    )
