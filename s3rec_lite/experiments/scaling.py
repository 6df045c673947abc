"""Time and memory against the size of the data: made-up worlds of up to ten million interactions and a million items.

Each size is measured in processes of its own, so that no size sees the memory of another: one writes a CSV file, one
reads it, one prepares, pre-trains, fine-tunes and ranks.
"""

import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import psutil
import torch

from s3rec_lite.data import SequenceData, user_of_interaction
from s3rec_lite.datasets import load_dataset, planted, take_users
from s3rec_lite.evaluation import full_ranks
from s3rec_lite.experiments.benchmark import cost
from s3rec_lite.finetuning import FinetuneStep
from s3rec_lite.model import S3Rec
from s3rec_lite.pretraining import PretrainStep
from s3rec_lite.runs.records import Record, make_record, read_record, write_record
from s3rec_lite.support.config import FinetuneConfig, PretrainConfig
from s3rec_lite.support.errors import S3RecError, SettingError
from s3rec_lite.support.runtime import keep_freed_memory
from s3rec_lite.views import ViewSampler

SIZES = (0.1, 0.3, 1.0, 3.0, 10.0)
"""millions of interactions; there are a tenth as many items"""
STAGES = ("reading", "preparation", "pretraining", "finetuning", "ranking")
NAME = "bench-scale"
_GROUPS, _ATTRIBUTES_PER_GROUP = 10, 5
_LARGE: dict[str, Any] = {"item_gradients": "sparse", "num_negatives": 512}  # what large catalogues ask for
_WARM_UP = 3
_MIB = 2**20
T = TypeVar("T")


def bench_scale(
    sizes: Sequence[float] = SIZES,
    folder: str | Path = "data/results",
    *,
    steps: int = 20,
    users: int = 10_000,
    seed: int = 0,
    device: str = "cpu",
    on_size: Callable[[str], Any] | None = None,
) -> Record:
    """Seconds and peak memory of every stage at every size; the record is written anew after each size.

    A record in ``folder`` with the same settings is gone on with: its sizes are not measured again.

    Args:
        sizes: millions of interactions.
        folder: where the record ``bench-scale.json`` is kept.
        steps: timed steps of pre-training and of fine-tuning, after a few to warm up.
        users: most users that the test items are ranked for, over all items.
        seed: of data, weights and batches.
        device: where the model runs.
        on_size: told what comes next, one line for each size.

    Returns a record: "sizes" by number of interactions, each with users, items, and for every one of `STAGES` seconds
    and peak_memory_mib (the most that the process holds, PyTorch included); for training also seconds_per_step.

    Raises:
        SettingError: if the folder's record has other settings.
        S3RecError: if a process dies, such as for want of memory.
    """
    if not sizes or min(sizes) <= 0 or min(steps, users) < 1:
        raise SettingError("sizes, steps and users must be above 0; for example sizes 0.1 and 1, 20 steps, 10000 users")
    common = {"steps": steps, "users": users, "seed": seed, "device": device, "threads": torch.get_num_threads()}
    settings = {**common, "pretrain": _named(PretrainConfig), "finetune": _named(FinetuneConfig)}
    path, measured = Path(folder) / f"{NAME}.json", {}
    if path.exists():
        earlier = read_record(path)
        if earlier.get("settings") != settings:
            raise SettingError(f"{path}: made with other settings; give the same ones, or move the file away")
        measured = earlier["sizes"]
    record = _record(settings, measured)
    for interactions in (round(size * 1_000_000) for size in sorted(sizes)):
        if str(interactions) in measured:
            continue
        if on_size:
            on_size(f"{interactions:,} interactions")
        measured[str(interactions)] = _measure(interactions, common)
        record = _record(settings, measured)
        write_record(record, folder)
    return record


def _record(settings: Record, measured: Record) -> Record:
    ordered = dict(sorted(measured.items(), key=lambda entry: int(entry[0])))
    return make_record(NAME, NAME, None, settings=settings, sizes=ordered)


def _named(config_class: Any) -> dict[str, Any]:
    """The settings for large catalogues that this stage has; shared negatives are those of fine-tuning."""
    names = {field.name for field in dataclasses.fields(config_class)}
    if config_class is PretrainConfig:
        names.discard("num_negatives")  # of the infonce forms
    return {name: value for name, value in _LARGE.items() if name in names}


def _measure(interactions: int, common: Record) -> Record:
    """All stages of one size, in processes of their own."""
    with tempfile.TemporaryDirectory() as folder:
        file = {"path": f"{folder}/planted.csv"}
        _in_process("write", {"interactions": interactions, "seed": common["seed"], **file})
        reading = _in_process("read", file)
    rest = _in_process("train", {"interactions": interactions, **common})
    return {"users": rest.pop("users"), "items": rest.pop("items"), "reading": reading, **rest}


def _in_process(job: str, arguments: Record) -> Record:
    """What `_JOBS[job]` returns in a fresh Python."""
    command = [sys.executable, "-m", __spec__.name, job, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}, as if killed"])[-1]
        raise S3RecError(f"{job} at {arguments.get('interactions', 'this many')} interactions: {reason}")
    return json.loads(done.stdout)


def measured_world(interactions: int, seed: int = 0) -> SequenceData:
    """The planted world of a size: a tenth as many items as interactions, rounded so that its groups are equal."""
    unit = _GROUPS * _ATTRIBUTES_PER_GROUP
    num_items = max(1, round(interactions / 10 / unit)) * unit
    return planted(num_items=num_items, num_groups=_GROUPS, num_interactions=interactions, seed=seed)


def _write(interactions: int, seed: int, path: str) -> Record:
    """The world's interactions as a CSV file, rows in random order."""
    data = measured_world(interactions, seed)
    table = pd.DataFrame({"user": user_of_interaction(data), "item": data.items, "time": np.arange(len(data.items))})
    rows = np.random.default_rng(seed).permutation(len(table))
    table.iloc[rows].to_csv(path, index=False)
    return {}


def _read(path: str) -> Record:
    return _measured(lambda: load_dataset(path, k_core=0))[1]


def _train(interactions: int, steps: int, users: int, seed: int, device: str, threads: int) -> Record:
    """Everything but reading, in one process."""
    torch.set_num_threads(threads)
    pretrain, finetune = PretrainConfig(**_named(PretrainConfig)), FinetuneConfig(**_named(FinetuneConfig))

    def prepare() -> tuple[SequenceData, S3Rec, ViewSampler]:
        data = measured_world(interactions, seed)
        model = S3Rec(data.num_items, data.num_attributes, seed=seed).to(device)
        return data, model, ViewSampler(data, pretrain, model.max_length)

    (data, model, sampler), preparation = _measured(prepare)
    keep_freed_memory()
    result: Record = {"users": data.num_users, "items": data.num_items, "preparation": preparation}
    stages: dict[str, Callable[[], PretrainStep | FinetuneStep]] = {
        "pretraining": lambda: PretrainStep(model, data, pretrain, sampler),
        "finetuning": lambda: FinetuneStep(model, data, finetune),
    }
    for name, make in stages.items():
        seconds, facts = _measured(partial(_seconds_per_step, make, steps, seed))
        result[name] = {**facts, "seconds_per_step": seconds}
    model.zero_grad(set_to_none=True)
    ranked = take_users(data, min(users, data.num_users), seed)
    result["ranking"] = _measured(lambda: full_ranks(model, ranked))[1]
    return result


def _seconds_per_step(make: Callable[[], PretrainStep | FinetuneStep], steps: int, seed: int) -> float:
    """Make a stage and train on the beginning of an epoch; the median of its steps."""
    stage = make()
    rng = np.random.Generator(np.random.SFC64(seed))
    stage.model.train()
    seconds = []
    for indices in stage.batches(rng)[: _WARM_UP + steps]:
        begin = time.perf_counter()
        stage.step(indices, rng).sum().item()  # waits for the device
        seconds.append(time.perf_counter() - begin)
    return float(f"{np.median(seconds[_WARM_UP:] or seconds):.4g}")


def _measured(work: Callable[[], T]) -> tuple[T, Record]:
    """What some work returns; its seconds, and the most MiB that the process held meanwhile."""
    results, held = [], []

    def watched() -> None:
        held.append(psutil.Process().memory_info().rss)
        results.append(work())

    seconds, extra_mib = cost(watched)
    return results[0], {"seconds": round(seconds, 3), "peak_memory_mib": round(held[0] / _MIB + extra_mib, 1)}


_JOBS: dict[str, Callable[..., Record]] = {"write": _write, "read": _read, "train": _train}

if __name__ == "__main__":
    print(json.dumps(_JOBS[sys.argv[1]](**json.loads(sys.argv[2]))))
