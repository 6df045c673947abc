"""The whole way in one call: pre-train, fine-tune with and without it, evaluate, compare, write it down.

Each step goes on where an earlier call stopped, so the same call again repeats nothing that is finished.
"""

import dataclasses
import hashlib
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from s3rec_lite.data import SequenceData, fingerprint, user_of_interaction
from s3rec_lite.evaluation import evaluate
from s3rec_lite.experiments.presets import configs, evaluation_settings, find_preset
from s3rec_lite.experiments.statistics import Report, compare
from s3rec_lite.figures.records import record_figures
from s3rec_lite.model import S3Rec
from s3rec_lite.runs.checkpoints import read_checkpoint, weights_fingerprint
from s3rec_lite.runs.records import (
    describe_data,
    history_columns,
    kit_version,
    make_record,
    minutes,
    plain_name,
    read_record,
    results_table,
    write_record,
)
from s3rec_lite.support.config import FinetuneConfig, ModelConfig, PretrainConfig
from s3rec_lite.support.errors import S3RecError
from s3rec_lite.support.files import check_writable
from s3rec_lite.support.runtime import pick_device
from s3rec_lite.training import CONTINUABLE, best_epoch, finetune, pretrain
from s3rec_lite.views import list_prefixes

__all__ = ["default_epochs", "estimated_minutes", "reproduce", "results_table"]

PRETRAINED, CONTROL = "S3Rec", "SASRec"
COMPARED = ("HR@10", "NDCG@10", "MRR")
NUM_NEGATIVES, NEGATIVES_SEED = 99, 0

DEFAULT_EPOCHS = {"ml-100k": {"pretrain": 10, "finetune": 150}}
"""The whole way takes well under 15 minutes on 2 cores. Other data sets have the settings' defaults."""

# What two cores of an ordinary machine do in a second; only for the estimate that is shown before the start.
PRETRAINED_SEQUENCES = 1200
FINETUNED_POSITIONS = 80_000
SCORED_ITEMS = 120e6


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a call of `reproduce` is going to do."""

    data: SequenceData
    preset: str
    model: ModelConfig
    pretrain: PretrainConfig
    finetune: FinetuneConfig
    device: str
    folder: Path
    results: Path
    figures: Path
    restart: bool
    progress: bool

    def say(self, line: str) -> None:
        """One line above the progress bars, on stderr: stdout belongs to the results."""
        if self.progress:
            tqdm.write(line, file=sys.stderr)

    @property
    def head(self) -> str:
        """What names of records and figures start with: the data, and the preset unless it is the default."""
        return plain_name(self.data.name if self.preset == "default" else f"{self.data.name}-{self.preset}")

    def name(self, what: str) -> str:
        """The name of a record, such as ``ml-100k-s3rec-seed42``."""
        return f"{self.head}-{what}-seed{self.pretrain.seed}"

    def settings(self, pretrained: bool) -> dict[str, Any]:
        """All settings of one model, as the record holds them."""
        return {
            "model": dataclasses.asdict(self.model),
            "pretrain": dataclasses.asdict(self.pretrain) if pretrained else None,
            "finetune": dataclasses.asdict(self.finetune),
        }


@dataclasses.dataclass(frozen=True)
class Trained:
    """One fine-tuned model and how it came about."""

    label: str
    model: S3Rec
    pretraining: pd.DataFrame | None
    finetuning: pd.DataFrame


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
) -> list[dict[str, Any]]:
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

    Returns the three records: the S3Rec run, the SASRec run, and their comparison. Raises SettingError for
    bad settings, TrainingError for a loss that is NaN or infinite, S3RecError for a folder that cannot be
    written.
    """
    folders = {"results": Path(results), "figures": Path(figures), "runs": Path(runs)}
    plan = make_plan(data, preset, model, pretrain, finetune, device, folders, restart, progress)
    expected = estimated_minutes(data, plan.model, plan.pretrain, plan.finetune)
    plan.say(
        f"{data.name}: {data.num_users:,} users, {data.num_items:,} items, preset {plan.preset}"
        f"{about(sum(expected.values()))} in all, less if fine-tuning stops early"
    )
    trained = [train_pretrained(plan, expected), train_control(plan, expected)]
    records = finished_records(plan, trained) or new_records(plan, trained)
    runs = [record for record in records if record["kind"] == "run"]
    for path in record_figures(runs, plan.figures, plan.head):
        plan.say(f"wrote {path}")
    return records


def make_plan(
    data: SequenceData,
    preset: str,
    model: Mapping[str, Any] | None,
    pretrain: Mapping[str, Any] | None,
    finetune: Mapping[str, Any] | None,
    device: str,
    folders: Mapping[str, Path],
    restart: bool,
    progress: bool,
) -> Plan:
    """Settle all settings and folders; what is wrong with them is found here, before any training."""
    chosen, given = find_preset(preset), {"pretrain": dict(pretrain or {}), "finetune": dict(finetune or {})}
    for stage, epochs in default_epochs(data).items():
        if "epochs" not in chosen.values(stage):
            given[stage].setdefault("epochs", epochs)
    settings = configs(preset, model, given["pretrain"], given["finetune"])
    for folder in folders.values():
        check_writable(folder)
    place = digest(fingerprint(data), settings[0], settings[1])
    folder = folders["runs"] / f"{data.name}-{chosen.name}-seed{settings[1].seed}-{place}"
    folder = not_further_than(folder, f"S3Rec-{data.name}", settings[1].epochs)[0]
    return Plan(
        data, chosen.name, *settings, str(pick_device(device)), folder, folders["results"], folders["figures"],
        restart, progress,
    )  # fmt: skip


def default_epochs(data: SequenceData) -> dict[str, int]:
    """Epochs of "pretrain" and "finetune" of `reproduce` when neither the preset nor the caller names any."""
    general = {"pretrain": PretrainConfig().epochs, "finetune": FinetuneConfig().epochs}
    return {**general, **DEFAULT_EPOCHS.get(data.name, {})}


def estimated_minutes(
    data: SequenceData, model: ModelConfig, pretrain: PretrainConfig, finetune: FinetuneConfig
) -> dict[str, float]:
    """About how long each stage takes on 2 cores if fine-tuning never stops early.

    "finetune" is for both models together.
    """
    prefixes = len(list_prefixes(data, model.max_length, pretrain.prefixes).ends)
    positions = int(np.minimum(data.lengths - 3, model.max_length).clip(0).sum())
    scores = data.num_users * data.num_items  # one look at validation
    if finetune.loss == "ce":
        scores += 3 * positions * data.num_items  # forward, and backward in both factors
    epoch = positions / FINETUNED_POSITIONS + scores / (3 * SCORED_ITEMS)
    return {
        "pretrain": pretrain.epochs * prefixes / PRETRAINED_SEQUENCES / 60,
        "finetune": 2 * finetune.epochs * epoch / 60,
    }


def digest(*parts: Any) -> str:
    """Eight hex digits that change with any setting but the number of epochs and the checkpoint interval."""
    plain = [dataclasses.asdict(part) if dataclasses.is_dataclass(part) else part for part in parts]
    for part in plain:
        for name in CONTINUABLE if isinstance(part, dict) else ():
            part.pop(name, None)
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:8]


def not_further_than(folder: Path, name: str, epochs: int) -> tuple[Path, str]:
    """Folder and run name for ``epochs`` epochs: where an earlier run went further, another folder beside it.

    More epochs continue a run; fewer cannot be taken back, and nobody wants the longer run overwritten.
    """
    state = folder / f"{name}-last.pth"
    if state.is_file() and read_checkpoint(state).get("epoch", 0) > epochs:
        return folder.with_name(f"{folder.name}-{epochs}-epochs"), name
    return folder, name


# --- training -----------------------------------------------------------------------------------------------


def new_model(plan: Plan) -> S3Rec:
    """Both models start from the same random weights."""
    return S3Rec(plan.data.num_items, plan.data.num_attributes, plan.model, seed=plan.pretrain.seed)


def train_pretrained(plan: Plan, expected: Mapping[str, float]) -> Trained:
    """Steps 1 and 2: pre-train, then fine-tune from there."""
    model = new_model(plan)
    plan.say(f"1/4 pre-training {PRETRAINED}, {plan.pretrain.epochs} epochs{about(expected['pretrain'])}")
    pretraining = pretrain(
        model, plan.data, plan.pretrain, device=plan.device, folder=plan.folder, restart=plan.restart,
        progress=plan.progress,
    )  # fmt: skip
    plan.say(f"2/4 fine-tuning {PRETRAINED}, up to {plan.finetune.epochs} epochs{about(expected['finetune'] / 2)}")
    history = finetune_in(plan, model, f"after-{plan.pretrain.epochs}-epochs")
    return Trained(PRETRAINED, model, pretraining, history)


def train_control(plan: Plan, expected: Mapping[str, float]) -> Trained:
    """Step 3: the same fine-tuning from the same random weights, without pre-training."""
    model = new_model(plan)
    plan.say(
        f"3/4 fine-tuning {CONTROL} (no pre-training), up to {plan.finetune.epochs} epochs"
        f"{about(expected['finetune'] / 2)}"
    )
    return Trained(CONTROL, model, None, finetune_in(plan, model, "from-scratch"))


def finetune_in(plan: Plan, model: S3Rec, start: str) -> pd.DataFrame:
    """Fine-tune in a folder of its own, named by where it starts and by its settings."""
    folder = plan.folder / f"finetune-{digest(plan.finetune)}"
    folder, _ = not_further_than(folder, f"S3Rec-{plan.data.name}-{start}", plan.finetune.epochs)
    return finetune(
        model, plan.data, plan.finetune, device=plan.device, folder=folder, name=start, restart=plan.restart,
        progress=plan.progress,
    )  # fmt: skip


def about(expected: float) -> str:
    """``, about 3 minutes on 2 cores``."""
    return f", about {expected:.0f} minutes on 2 cores" if expected >= 1 else ", less than a minute on 2 cores"


# --- evaluation ---------------------------------------------------------------------------------------------


def protocols(data: SequenceData, preset: str) -> dict[str, dict[str, Any]]:
    """The evaluations that both models get: name to arguments of `evaluate`."""
    chosen = {"full": {"protocol": "full"}}
    count = min(NUM_NEGATIVES, fewest_untouched(data))  # below 99 only on toy-sized data
    if count:
        chosen["sampled"] = {"protocol": "sampled", "num_negatives": count, "seed": NEGATIVES_SEED}
    if data.sampled_negatives is not None:
        chosen["given"] = {"protocol": "sampled", "negatives": "given"}
    rules = evaluation_settings(preset)
    if rules["protocol"] == "authors":
        chosen["authors"] = {"protocol": "authors"}
    if not rules["remove_seen"]:
        chosen["unfiltered"] = {"protocol": "full", "remove_seen": False}
    return chosen


def fewest_untouched(data: SequenceData) -> int:
    """The smallest number of items that a user never touched."""
    pairs = np.unique(user_of_interaction(data) * np.int64(data.num_items + 2) + data.items)
    touched = np.bincount(pairs // (data.num_items + 2), minlength=data.num_users)
    return int(data.num_items - touched.max())


def finished_records(plan: Plan, trained: list[Trained]) -> list[dict[str, Any]] | None:
    """The records of an earlier call if they are of exactly these weights and settings, else None."""
    if plan.restart:
        return None
    records = []
    for what in (*(each.label.lower() for each in trained), "comparison"):
        try:
            records.append(read_record(plan.results / f"{plan.name(what)}.json"))
        except S3RecError:
            return None
    weights = [weights_fingerprint(each.model) for each in trained]
    same = all(record.get("kit") == kit_version() for record in records)
    same &= records[2].get("weights") == weights and records[2].get("protocols") == protocols(plan.data, plan.preset)
    for record, each, fingerprint_ in zip(records, trained, weights, strict=False):
        settings = json.loads(json.dumps(plan.settings(each.pretraining is not None)))
        same &= (record.get("weights"), record.get("settings")) == (fingerprint_, settings)
        same &= record.get("data") == describe_data(plan.data)
    if not same:
        return None
    plan.say("4/4 evaluation: nothing new, the records are of these very weights")
    return records


def new_records(plan: Plan, trained: list[Trained]) -> list[dict[str, Any]]:
    """Step 4: evaluate both models alike, compare them, write the three records."""
    plan.say("4/4 evaluation")
    chosen, reports, records = protocols(plan.data, plan.preset), {}, []
    for each in trained:
        begin = time.perf_counter()
        reports[each.label] = {
            name: evaluate(each.model, plan.data, "test", name=each.label, progress=plan.progress, **arguments)
            for name, arguments in chosen.items()
        }
        seconds = time.perf_counter() - begin
        records.append(run_record(plan, each, reports[each.label], seconds))
    records.append(comparison_record(plan, trained, reports, chosen))
    for record in records:
        plan.say(f"wrote {write_record(record, plan.results)}")
    return records


def run_record(plan: Plan, each: Trained, reports: Mapping[str, Report], seconds: float) -> dict[str, Any]:
    """The record of one model."""
    monitor, rows = plan.finetune.monitor, each.finetuning.to_dict("records")
    best = best_epoch(rows, monitor)
    histories = {"pretraining": each.pretraining, "finetuning": each.finetuning}
    spent = {name: minutes(history) for name, history in histories.items()}
    return make_record(
        plan.name(each.label.lower()),
        "run",
        plan.data,
        model=each.label,
        preset=plan.preset,
        seed=plan.pretrain.seed,
        device=plan.device,
        settings=plan.settings(each.pretraining is not None),
        minutes={**spent, "evaluation": round(seconds / 60, 2)},
        weights=weights_fingerprint(each.model),
        best_epoch=best,
        validation={
            "metric": monitor,
            "protocol": plan.finetune.monitor_protocol,
            "value": float(rows[best - 1][monitor]) if best else None,
        },
        test={name: report.to_dict() for name, report in reports.items()},
        history={name: history_columns(history) for name, history in histories.items()},
    )


def comparison_record(
    plan: Plan, trained: list[Trained], reports: Mapping[str, Mapping[str, Report]], chosen: Mapping[str, Any]
) -> dict[str, Any]:
    """The record of the paired comparison: differences are S3Rec minus SASRec."""
    differences = {}
    for name in chosen:
        pairs = {metric: compare(*(reports[each.label][name] for each in trained), metric) for metric in COMPARED}
        differences[name] = {
            metric: {
                **dataclasses.asdict(pair),
                "difference": pair.difference,
                "larger_than_chance": bool(pair.larger_than_chance),
            }
            for metric, pair in pairs.items()
        }
    return make_record(
        plan.name("comparison"),
        "comparison",
        plan.data,
        models=[each.label for each in trained],
        preset=plan.preset,
        seed=plan.pretrain.seed,
        weights=[weights_fingerprint(each.model) for each in trained],
        protocols=dict(chosen),
        differences=differences,
    )
