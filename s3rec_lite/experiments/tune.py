"""Search for good settings on validation with Optuna: grids and ranges, taken up again where they stopped.

Trials with the same model and pre-training settings share one pre-training, whose epochs are continued as far
as a trial needs them. The test split is never looked at.
"""

import dataclasses
import hashlib
import itertools
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError
from tqdm.auto import tqdm

from s3rec_lite.data import SequenceData, fingerprint
from s3rec_lite.experiments.presets import configs
from s3rec_lite.experiments.reports import evaluate
from s3rec_lite.experiments.search_space import Range, Space, by_stage
from s3rec_lite.metrics import parse_metric
from s3rec_lite.model import S3Rec
from s3rec_lite.runs.checkpoints import load_model, read_checkpoint, save_model
from s3rec_lite.support.config import FinetuneConfig, ModelConfig, PretrainConfig
from s3rec_lite.support.errors import S3RecError, SettingError, TrainingError
from s3rec_lite.support.runtime import pick_device
from s3rec_lite.support.shell import quoted
from s3rec_lite.training import CONTINUABLE, finetune, pretrain

DEFAULT_TRIALS = 20


def distribution(values: Sequence[Any] | Range) -> optuna.distributions.BaseDistribution:
    """The values in Optuna's terms."""
    if not isinstance(values, Range):
        return CategoricalDistribution(list(values))
    if values.whole:
        return IntDistribution(int(values.low), int(values.high), log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def short_hash(value: Any) -> str:
    """Ten hex digits of any JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:10]


@dataclass
class Trainer:
    """Trains and scores the settings of one trial; equal parts of trials share folders below ``runs``."""

    data: SequenceData
    runs: Path
    stops: tuple[int, ...]
    """pre-training epochs at which a copy of the weights is kept, because some trial needs them"""
    device: str
    progress: bool

    def pretrained(self, model: ModelConfig, config: PretrainConfig, seed: int) -> tuple[S3Rec, str]:
        """The model after ``config.epochs`` epochs and a name for this start; ``seed`` counts without any."""
        if not config.epochs:
            return self.fresh(model, seed), short_hash(["fresh", dataclasses.asdict(model), seed])
        key = self.pretraining_key(model, config)
        start = f"{key}-{config.epochs}"
        folder = self.runs / f"pretrain-{key}"
        done = epochs_done(folder / f"S3Rec-{self.data.name}-last.pth")
        if done > config.epochs and not self.kept(folder, config.epochs).is_file():
            folder = self.runs / f"pretrain-{start}"  # the shared run is past this point already
            done = 0
        for stop in sorted({*self.stops, config.epochs}):
            wanted = done <= stop <= config.epochs and stop > 0
            if wanted and not self.kept(folder, stop).is_file():
                trained = self.fresh(model, config.seed)
                part = dataclasses.replace(config, epochs=stop, save_step=0)
                pretrain(trained, self.data, part, device=self.device, folder=folder, progress=self.progress)
                save_model(trained, self.kept(folder, stop), epoch=stop)
        return load_model(self.kept(folder, config.epochs)), start

    def pretraining_key(self, model: ModelConfig, config: PretrainConfig) -> str:
        """The same for runs that differ in length only."""
        settings = {key: value for key, value in dataclasses.asdict(config).items() if key not in CONTINUABLE}
        return short_hash([dataclasses.asdict(model), settings, fingerprint(self.data)])

    def folder_of(self, model: ModelConfig, config: PretrainConfig) -> Path:
        """Where `pretrained` keeps the weights of these settings."""
        key = self.pretraining_key(model, config)
        shared = self.runs / f"pretrain-{key}"
        return shared if self.kept(shared, config.epochs).is_file() else self.runs / f"pretrain-{key}-{config.epochs}"

    def fresh(self, model: ModelConfig, seed: int) -> S3Rec:
        """A model with new weights."""
        return S3Rec(self.data.num_items, self.data.num_attributes, model, seed=seed)

    def kept(self, folder: Path, epochs: int) -> Path:
        """The file of the weights after that many epochs."""
        return folder / f"S3Rec-{self.data.name}-{epochs}.pth"

    def score(
        self,
        model: ModelConfig,
        pretraining: PretrainConfig,
        finetuning: FinetuneConfig,
        metric: str,
        protocol: str,
    ) -> tuple[float, dict[str, Any]]:
        """The validation metric, and what to remember of the trial."""
        begin = time.perf_counter()
        trained, start = self.pretrained(model, pretraining, finetuning.seed)
        folder = self.runs / f"finetune-{short_hash([start, dataclasses.asdict(finetuning)])}"
        history = finetune(trained, self.data, finetuning, device=self.device, folder=folder, progress=self.progress)
        cutoff = parse_metric(metric)[1]
        report = evaluate(trained, self.data, "valid", protocol, cutoffs=None if cutoff is None else (cutoff,))
        facts = {
            "epochs": len(history),
            "seconds": round(time.perf_counter() - begin, 1),
            "checkpoint": str(folder / f"S3Rec-{self.data.name}-finetuned-best.pth"),
        }
        return report.metrics[metric], facts


def epochs_done(path: Path) -> int:
    """Epochs of the run whose last state this is; 0 if there is none."""
    return int(read_checkpoint(path)["epoch"]) if path.is_file() else 0


@dataclass
class TuneResult:
    """All trials of a study, the best one, and the command that trains with its settings."""

    study: str
    storage: str
    data: str
    metric: str
    protocol: str
    preset: str
    fixed: dict[str, Any]
    trials: list[dict[str, Any]]
    runs: str
    data_words: list[str] = field(default_factory=list)

    @property
    def best(self) -> dict[str, Any] | None:
        """The first trial with the highest value; None if no trial could be finished."""
        done = [trial for trial in self.trials if trial["value"] is not None]
        return max(done, key=lambda trial: trial["value"]) if done else None

    @property
    def command(self) -> str | None:
        """A shell line that pre-trains and fine-tunes with the best settings."""
        if self.best is None:
            return None
        stages = by_stage({**self.fixed, **self.best["params"]})
        common = ["--data", *self.data_words, "--output", str(Path(self.runs) / "best")]
        common += ["--preset", self.preset] if self.preset != "default" else []
        fine = [*common, *flags(stages["finetune"])]
        if not configs(self.preset, **stages)[1].epochs:
            return quoted(["s3rec-lite", "finetune", "--from-scratch", *fine, *flags(stages["model"])])
        pre = [*common, *flags(stages["model"]), *flags(stages["pretrain"])]
        commands = (["s3rec-lite", "pretrain", *pre], ["s3rec-lite", "finetune", *fine])
        return " && ".join(map(quoted, commands))

    def to_dict(self) -> dict[str, Any]:
        """Everything, in types that JSON knows."""
        names = ("study", "storage", "data", "metric", "protocol", "preset", "fixed", "trials")
        facts = {name: getattr(self, name) for name in names}
        return {**facts, "split": "valid", "best": self.best, "command": self.command}

    def __str__(self) -> str:
        names = list(dict.fromkeys(name for trial in self.trials for name in trial["params"]))
        rows = [("trial", *names, self.metric, "epochs", "seconds", "")]
        for trial in self.trials:
            value = "-" if trial["value"] is None else f"{trial['value']:.4f}"
            params = [show(trial["params"].get(name, "-")) for name in names]
            remark = trial["reason"] or ("best" if trial is self.best else "")
            rows.append((trial["number"], *params, value, trial["epochs"] or "-", trial["seconds"] or "-", remark))
        sizes = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]) - 1)]
        lines = [f"study {self.study}: {self.metric} on validation, protocol {self.protocol}"]
        for *cells, remark in rows:
            columns = "  ".join(str(cell).rjust(size) for cell, size in zip(cells, sizes, strict=True))
            lines.append(f"{columns}  {remark}".rstrip())
        if self.best:
            lines += [
                "",
                f"model  {self.best['checkpoint']}",
                "train again with these settings:",
                self.command,
            ]
        return "\n".join(lines)


def show(value: Any) -> str:
    """Numbers short, the rest as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def flags(settings: Mapping[str, Any]) -> list[str]:
    """Settings as the command's options."""
    words = []
    for name, value in settings.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", str(value)]
    return words


def tune(
    data: SequenceData,
    space: Space,
    *,
    trials: int | None = None,
    storage: str | None = None,
    study_name: str | None = None,
    metric: str = "NDCG@10",
    protocol: str = "full",
    preset: str = "default",
    runs: str | Path = "data/runs",
    device: str = "auto",
    seed: int = 0,
    progress: bool = True,
    data_words: Sequence[str] | None = None,
) -> TuneResult:
    """Try settings and score each on validation.

    Args:
        data: the sequences.
        space: values by setting, such as ``{"pretrain.epochs": [50, 100, 150]}``; one value alone is fixed.
        trials: how many to try in all, earlier calls included. None tries a whole grid, or 20 with a
            range. A grid with no more points is tried point by point, anything else by TPE.
        storage: Optuna's storage URL; ``sqlite:///RUNS/tune.db`` by default. One process at a time may use a
            study.
        study_name: a name of your own; by default made of data, settings and metric, so that the same call
            again goes on with the same study.
        metric, protocol: what is maximised on the validation split.
        preset: settings below those of ``space``.
        runs: folder of all training runs.
        seed: of the search.
        data_words: what stands behind ``--data`` in the printed command; the name of the data by default.

    Raises SettingError when a study of that name searches something else, S3RecError when the storage fails.
    """
    parse_metric(metric)
    pick_device(device)
    fixed = {name: values[0] for name, values in space.items() if not isinstance(values, Range) and len(values) == 1}
    searched = {name: values for name, values in space.items() if name not in fixed}
    identity = {
        "data": fingerprint(data),
        "preset": preset,
        "metric": metric,
        "protocol": protocol,
        "fixed": fixed,
        "space": {name: dataclasses.asdict(v) if isinstance(v, Range) else list(v) for name, v in searched.items()},
    }
    study_name = study_name or f"{data.name}-{short_hash(identity)}"
    storage = storage or f"sqlite:///{Path(runs) / 'tune.db'}"
    result = TuneResult(
        study_name,
        storage,
        data.name,
        metric,
        protocol,
        preset,
        fixed,
        [],
        str(runs),
        list(data_words or [data.name]),
    )
    epochs = searched.get("pretrain.epochs", ())
    stops = () if isinstance(epochs, Range) else tuple(epochs)
    trainer = Trainer(data, Path(runs) / "tune", stops, device, progress)
    with storage_errors(storage):
        study = open_study(study_name, storage, identity, seed)
        for trial in waiting_trials(study, searched, trials, progress):
            run_trial(study, trial, trainer, result)
        result.trials = [summary(trial) for trial in study.get_trials() if trial.state in FINISHED]
    if result.best is None and result.trials:
        raise SettingError(f"no trial could be finished; the last one: {result.trials[-1]['reason']}")
    return result


FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


@contextmanager
def storage_errors(storage: str) -> Iterator[None]:
    """Quiet Optuna, and one line for whatever goes wrong in the database."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        if storage.startswith("sqlite:///"):
            Path(storage.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise S3RecError(f"cannot use the storage {storage} ({reason}); choose another with --storage") from error
    finally:
        optuna.logging.set_verbosity(before)


def open_study(name: str, storage: str, identity: dict[str, Any], seed: int) -> optuna.Study:
    """A new study, or the one of that name with the trials of a killed process put back into the queue."""
    study = optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)
    stored = study.user_attrs.get("identity")
    if stored is None:
        study.set_user_attr("identity", identity)
    elif stored != json.loads(json.dumps(identity)):
        changed = sorted(key for key in identity if stored.get(key) != json.loads(json.dumps(identity[key])))
        raise SettingError(
            f"study {name!r} searches something else (different: {', '.join(changed)}); use another name"
        )
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if trial.params:
            study.enqueue_trial(trial.params, skip_if_exists=False)
        study.tell(trial.number, state=TrialState.FAIL)
    # The seed moves on with the study: the same one again would propose what was tried already.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.get_trials()))
    return study


def waiting_trials(study: optuna.Study, searched: Space, trials: int | None, progress: bool) -> Iterator[optuna.Trial]:
    """Hand out trials until the grid is done or enough are finished."""
    distributions = {name: distribution(values) for name, values in searched.items()}
    is_list = not any(isinstance(values, Range) for values in searched.values())
    grid_size = math.prod(len(values) for values in searched.values()) if is_list else math.inf
    if grid_size <= (trials or math.inf) and is_list:
        total = grid_size
        enqueue_grid(study, searched)
    else:
        total = trials or DEFAULT_TRIALS
    while (finished := len(study.get_trials(deepcopy=False, states=FINISHED))) < total:
        trial = study.ask(distributions)
        if progress:
            what = ", ".join(f"{name}={show(value)}" for name, value in trial.params.items())
            tqdm.write(f"trial {finished + 1} of {total}: {what or 'the fixed settings'}", file=sys.stderr)
        yield trial


def enqueue_grid(study: optuna.Study, searched: Space) -> None:
    """Queue the points of the grid that are neither finished nor queued."""
    known = [
        trial.params if trial.state in FINISHED else trial.system_attrs.get("fixed_params", {})
        for trial in study.get_trials(states=(*FINISHED, TrialState.WAITING))
    ]
    for point in itertools.product(*searched.values()):
        params = dict(zip(searched, point, strict=True))
        if params not in known:
            study.enqueue_trial(params)


def run_trial(study: optuna.Study, trial: optuna.Trial, trainer: Trainer, result: TuneResult) -> None:
    """Train and score one trial; settings that do not fit and diverging losses end only this trial."""
    try:
        chosen = configs(result.preset, **by_stage({**result.fixed, **trial.params}))
    except SettingError as error:
        trial.set_user_attr("reason", str(error))
        study.tell(trial, state=TrialState.PRUNED)
        return
    try:
        value, facts = trainer.score(*chosen, result.metric, result.protocol)
    except TrainingError as error:
        trial.set_user_attr("reason", str(error))
        study.tell(trial, state=TrialState.PRUNED)
        return
    for name, fact in facts.items():
        trial.set_user_attr(name, fact)
    study.tell(trial, value)


def summary(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """What a table needs to know of a finished trial."""
    facts = {name: trial.user_attrs.get(name) for name in ("epochs", "seconds", "checkpoint", "reason")}
    return {"number": trial.number, "params": trial.params, "value": trial.value, **facts}
