"""Search for good settings on validation with Optuna: grids and ranges, taken up again where they stopped.

Trials with the same model and pre-training settings share one pre-training, whose epochs are continued as far
as a trial needs them. The test split is never looked at.
"""

import dataclasses
import itertools
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from tqdm.auto import tqdm

from s3rec_lite.data import SequenceData, fingerprint
from s3rec_lite.experiments.presets import configs
from s3rec_lite.experiments.reports import evaluate
from s3rec_lite.experiments.search_space import Range, Space, by_stage
from s3rec_lite.experiments.trainer import Trainer
from s3rec_lite.metrics import parse_metric
from s3rec_lite.runs.locks import locked
from s3rec_lite.runs.records import plain_name
from s3rec_lite.support.errors import S3RecError, SettingError, TrainingError
from s3rec_lite.support.files import check_writable
from s3rec_lite.support.runtime import pick_device
from s3rec_lite.support.shell import quoted
from s3rec_lite.support.text import digest, text_table, without_passwords

_DEFAULT_TRIALS = 20
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class Search:
    """What is tried, on which data, and where runs and trials are kept."""

    data: SequenceData
    space: Space
    """values by setting, such as ``{"pretrain.epochs": [50, 100, 150]}``; one value alone is fixed"""
    preset: str = "default"
    """settings below those of ``space``"""
    metric: str = "NDCG@10"
    """what is maximised on the validation split"""
    protocol: str = "full"
    """the ranking of the metric: full | sampled | authors"""
    trials: int | None = None
    """How many to try in all, earlier calls included; None tries a whole grid, or 20 with a range. A grid with no more
    points is tried point by point, anything else by TPE."""
    seed: int = 0
    """of the search"""
    study: str | None = None
    """a name of your own; by default made of data, settings and metric, so that the same search goes on with it"""
    storage: str | None = None
    """Optuna's storage URL; ``sqlite:///RUNS/tune.db`` by default. One process at a time may use a study."""
    runs: Path = Path("data/runs")
    """folder of all training runs"""
    device: str = "auto"
    progress: bool = True
    data_words: Sequence[str] = ()
    """what stands behind ``--data`` in the printed command; the name of the data by default"""

    @property
    def fixed(self) -> dict[str, Any]:
        """The settings with one value."""
        return {name: values[0] for name, values in self.space.items() if _is_list(values) and len(values) == 1}

    @property
    def searched(self) -> dict[str, Any]:
        """The settings with several."""
        return {name: values for name, values in self.space.items() if name not in self.fixed}

    @property
    def identity(self) -> dict[str, Any]:
        """What makes it this search and no other."""
        space = {name: list(v) if _is_list(v) else dataclasses.asdict(v) for name, v in self.searched.items()}
        return {
            "data": fingerprint(self.data),
            "preset": self.preset,
            "metric": self.metric,
            "protocol": self.protocol,
            "fixed": self.fixed,
            "space": space,
        }

    @property
    def study_name(self) -> str:
        """The given one, or the data's name and a digest of `identity`."""
        return self.study or f"{self.data.name}-{digest(self.identity, 10)}"

    @property
    def storage_url(self) -> str:
        """The given one, or a file in ``runs``."""
        return self.storage or f"sqlite:///{self.runs / 'tune.db'}"


@dataclass
class TuneResult:
    """All trials of a search, the best one, and the command that trains with its settings."""

    search: Search
    trials: list[dict[str, Any]]

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
        search = self.search
        stages = by_stage({**search.fixed, **self.best["params"]})
        common = ["--data", *(search.data_words or [search.data.name]), "--output", str(search.runs / "best")]
        common += ["--preset", search.preset] if search.preset != "default" else []
        finetuning = [*common, *_options(stages["finetune"])]
        if not configs(search.preset, **stages)[1].epochs:
            return quoted(["s3rec-lite", "finetune", "--from-scratch", *finetuning, *_options(stages["model"])])
        pretraining = [*common, *_options(stages["model"]), *_options(stages["pretrain"])]
        commands = (["s3rec-lite", "pretrain", *pretraining], ["s3rec-lite", "finetune", *finetuning])
        return " && ".join(map(quoted, commands))

    def to_dict(self) -> dict[str, Any]:
        """Everything, in types that JSON knows."""
        search = self.search
        return {
            "study": search.study_name,
            "storage": without_passwords(search.storage_url),
            "data": search.data.name,
            "metric": search.metric,
            "protocol": search.protocol,
            "preset": search.preset,
            "fixed": search.fixed,
            "trials": self.trials,
            "split": "valid",
            "best": self.best,
            "command": self.command,
        }

    def __str__(self) -> str:
        search = self.search
        names = list(dict.fromkeys(name for trial in self.trials for name in trial["params"]))
        rows = [["trial", *names, search.metric, "epochs", "seconds", ""]]
        for trial in self.trials:
            params = [_short(trial["params"].get(name, "-")) for name in names]
            value = "-" if trial["value"] is None else f"{trial['value']:.4f}"
            costs = [str(trial["epochs"] or "-"), str(trial["seconds"] or "-")]
            rows.append(
                [str(trial["number"]), *params, value, *costs, trial["reason"] or "best" * (trial is self.best)]
            )
        lines = [f"study {search.study_name}: {search.metric} on validation, protocol {search.protocol}"]
        lines.append(text_table(rows, "r" * (len(rows[0]) - 1)))
        if self.best:
            lines += ["", f"model  {self.best['checkpoint']}", "train again with these settings:", str(self.command)]
        return "\n".join(lines)


def tune(search: Search) -> TuneResult:
    """Try settings and score each on validation.

    Raises SettingError when a study of that name searches something else, or another process is at it; S3RecError when
    the storage fails.
    """
    parse_metric(search.metric)
    pick_device(search.device)
    epochs = search.searched.get("pretrain.epochs", ())
    stops = tuple(epochs) if _is_list(epochs) else ()
    trainer = Trainer(search.data, search.runs / "tune", stops, search.device, search.progress)
    check_writable(search.runs)
    with locked(search.runs, plain_name(f"tune-{search.study_name}")), _opened(search.storage_url) as storage:
        study = _open_study(search, storage)
        total = _enqueue_trials(study, search)
        distributions = {name: _distribution(values) for name, values in search.searched.items()}
        # Not study.optimize: it gives up a trial that Ctrl-C stops, and the next call could not go on with it.
        while (finished := len(study.get_trials(deepcopy=False, states=_FINISHED))) < total:
            trial = study.ask(distributions)
            if search.progress:
                params = ", ".join(f"{name}={_short(value)}" for name, value in trial.params.items())
                tqdm.write(f"trial {finished + 1} of {total}: {params or 'the fixed settings'}", file=sys.stderr)
            value = _score(trainer, search, trial)
            study.tell(trial, value, state=TrialState.PRUNED if value is None else TrialState.COMPLETE)
        trials = [_summary(trial) for trial in study.get_trials(states=_FINISHED)]
    result = TuneResult(search, trials)
    if result.best is None and trials:
        raise SettingError(f"no trial could be finished; the last one: {trials[-1]['reason']}")
    return result


def _is_list(values: Sequence[Any] | Range) -> TypeGuard[Sequence[Any]]:
    return not isinstance(values, Range)


def _short(value: Any) -> str:
    """Numbers short, the rest as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _options(settings: Mapping[str, Any]) -> list[str]:
    """Settings as the command's options."""
    words = []
    for name, value in settings.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [f"--{option}", str(value)]
    return words


# --- trials in Optuna's storage -------------------------------------------------------------------------------


@contextmanager
def _opened(url: str) -> Iterator[optuna.storages.BaseStorage]:
    """The storage, with Optuna quiet meanwhile; what goes wrong in it is told in one line."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield _open_storage(url)
    except optuna.exceptions.StorageInternalError as error:
        raise _storage_error(url, error) from error
    finally:
        optuna.logging.set_verbosity(verbosity)


def _open_storage(url: str) -> optuna.storages.BaseStorage:
    try:
        if url.startswith("sqlite:///"):
            Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        return optuna.storages.get_storage(url)
    except Exception as error:  # every database has errors of its own, and a missing driver is another one
        raise _storage_error(url, error) from error


def _storage_error(url: str, error: Exception) -> S3RecError:
    reason = str(error.__cause__ or error).splitlines()[0]
    return S3RecError(without_passwords(f"cannot use the storage {url} ({reason}); choose another with --storage"))


def _open_study(search: Search, storage: optuna.storages.BaseStorage) -> optuna.Study:
    """A new study, or the one of that name with the trials of a killed process put back into the queue."""
    name, identity = search.study_name, json.loads(json.dumps(search.identity))
    study = optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)
    stored = study.user_attrs.get("identity")
    if stored is None:
        study.set_user_attr("identity", identity)
    elif stored != identity:
        changed = ", ".join(sorted(key for key in identity if stored.get(key) != identity[key]))
        raise SettingError(f"study {name!r} searches something else (different: {changed}); use another name")
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if trial.params:
            study.enqueue_trial(trial.params, skip_if_exists=False)
        study.tell(trial.number, state=TrialState.FAIL)
    # The seed moves on with the study: the same one again would propose what was tried already.
    study.sampler = optuna.samplers.TPESampler(seed=search.seed + len(study.get_trials()))
    return study


def _enqueue_trials(study: optuna.Study, search: Search) -> int:
    """How many trials there are to be in all; those of a grid are queued unless they are finished or queued."""
    values = search.searched.values()
    if not all(map(_is_list, values)) or math.prod(map(len, values)) > (search.trials or math.inf):
        return search.trials or _DEFAULT_TRIALS
    points = list(itertools.product(*values))
    states = (*_FINISHED, TrialState.WAITING)
    known = [trial.system_attrs.get("fixed_params", trial.params) for trial in study.get_trials(states=states)]
    for point in points:
        params = dict(zip(search.searched, point, strict=True))
        if params not in known:
            study.enqueue_trial(params)
    return len(points)


def _score(trainer: Trainer, search: Search, trial: optuna.Trial) -> float | None:
    """Train with the settings of one trial; the validation metric.

    None where the settings do not fit or the loss diverges: this ends the one trial, with the reason kept.
    """
    begin = time.perf_counter()
    try:
        model, pretraining, finetuning = configs(search.preset, **by_stage({**search.fixed, **trial.params}))
    except SettingError as error:
        trial.set_user_attr("reason", str(error))
        return None
    try:
        trained, start = trainer.pretrained(model, pretraining, finetuning.seed)
        history, checkpoint = trainer.finetuned(trained, finetuning, start)
    except TrainingError as error:
        trial.set_user_attr("reason", str(error))
        return None

    cutoff = parse_metric(search.metric)[1]
    cutoffs = None if cutoff is None else (cutoff,)
    report = evaluate(trained, search.data, "valid", search.protocol, cutoffs=cutoffs)
    trial.set_user_attr("epochs", len(history))
    trial.set_user_attr("seconds", round(time.perf_counter() - begin, 1))
    trial.set_user_attr("checkpoint", str(checkpoint))
    return float(report.per_user(search.metric).mean())


def _distribution(values: Sequence[Any] | Range) -> optuna.distributions.BaseDistribution:
    """The values in Optuna's terms."""
    if not isinstance(values, Range):
        return CategoricalDistribution(list(values))
    if values.whole:
        return IntDistribution(int(values.low), int(values.high), log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def _summary(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """What a table needs to know of a finished trial."""
    facts = {name: trial.user_attrs.get(name) for name in ("epochs", "seconds", "checkpoint", "reason")}
    return {"number": trial.number, "params": trial.params, "value": trial.value, **facts}
