"""How fast, how much memory: measured, never assumed.

Pre-training is timed on batches spread evenly over the lengths of a real epoch, after a warm-up; with
``against="reference"`` rounds of the plain step in tests/reference.py take turns with rounds of the package, in
one process, so that both meet the machine in the same condition.
"""

import ctypes
import gc
import importlib.util
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import numpy as np
import psutil
import torch

from s3rec_lite.data import SequenceData
from s3rec_lite.datasets import load_dataset
from s3rec_lite.evaluation import draw_negatives
from s3rec_lite.experiments.reports import evaluate
from s3rec_lite.model import S3Rec
from s3rec_lite.runs.records import make_record
from s3rec_lite.support.config import PretrainConfig
from s3rec_lite.support.errors import DataError, S3RecError, SettingError
from s3rec_lite.training import PretrainStep
from s3rec_lite.views import ViewSampler

SPORTS_SIZED = "sports-sized"
WARM_UP = 10
MIB = 2**20


def bench_pretrain(
    data: SequenceData,
    batches: int = 100,
    batch_size: int = 100,
    against: str | None = None,
    seed: int = 0,
    rounds: int = 3,
    device: str = "cpu",
) -> dict[str, Any]:
    """Sequences per second of pre-training with the default settings in float32.

    Args:
        data: the sequences.
        batches: batches of one round.
        batch_size: sequences of a batch.
        against: "reference" times the plain step as well (needs a checkout), a tenth of the batches a round.
        seed: of weights, batches and views.
        rounds: how often to repeat; the median counts.
        device: where to train; the reference always runs on the CPU.

    Returns a record: "fast" with sequences_per_second, rounds (all of them), preparation_share (of the time,
    making views) and peak_memory_mib (of the process, before the reference starts); with ``against`` also
    "reference", and "ratio", the median of the rounds' ratios. Raises S3RecError when the reference is missing.
    """
    check_counts(batches=batches, batch_size=batch_size, rounds=rounds)
    if against not in (None, "reference"):
        raise SettingError(f"cannot bench against {against!r}; only against 'reference'")
    reference_module = load_reference() if against else None
    config = PretrainConfig(batch_size=batch_size, seed=seed)
    fast = FastPath(data, config, batches, device)
    fast.warm_up()
    speeds, slow_speeds, slow = [fast.round()], [], None
    memory = peak_memory_mib()
    if reference_module is not None:
        model = S3Rec(data.num_items, data.num_attributes, seed=seed)
        slow = reference_module.ReferenceTrainer(model, data, batch_size=batch_size, seed=seed)
        slow.step()
    slow_batches = max(3, batches // 10)
    for number in range(rounds):
        if number:
            speeds.append(fast.round())
        if slow is not None:
            slow_speeds.append(timed(slow.step, slow_batches))
    result = {
        "settings": {"batch_size": batch_size, "batches": batches, "rounds": rounds, "seed": seed, "precision": "fp32"},
        "device": device,
        "fast": {
            "sequences_per_second": round(statistics.median(speeds), 1),
            "rounds": [round(speed, 1) for speed in speeds],
            "preparation_share": round(fast.preparation_share, 4),
            "peak_memory_mib": round(memory, 1),
        },
    }  # fmt: skip
    if slow is not None:
        result["reference"] = {
            "sequences_per_second": round(statistics.median(slow_speeds), 1),
            "rounds": [round(speed, 1) for speed in slow_speeds],
            "batches": slow_batches,
        }
        ratios = [mine / theirs for mine, theirs in zip(speeds, slow_speeds, strict=True)]
        result["ratio"] = round(statistics.median(ratios), 2)
    return make_record(f"bench-{data.name}-pretrain", "bench-pretrain", data, **result)


class FastPath:
    """The package's own training step on a fixed choice of batches."""

    def __init__(self, data: SequenceData, config: PretrainConfig, batches: int, device: str):
        model = S3Rec(data.num_items, data.num_attributes, seed=config.seed).to(device).train()
        sampler = ViewSampler(data, config, model.max_length)
        self.step = PretrainStep(model, data, config, sampler)
        self.rng = np.random.Generator(np.random.SFC64(config.seed))
        epoch = sampler.epoch(self.rng)
        full = [indices for indices in epoch if len(indices) == config.batch_size] or epoch
        self.batches = spread_over(full, sampler.prefixes.lengths, batches, self.rng)
        self.seconds = 0.0

    def warm_up(self) -> None:
        """Some steps that do not count, on the widest batch and others."""
        widths = [self.step.sampler.prefixes.lengths[indices].max() for indices in self.batches]
        for indices in [self.batches[int(np.argmax(widths))], *self.batches[: WARM_UP - 1]]:
            self.step.step(indices, self.rng)
        self.step.preparing = 0.0

    def round(self) -> float:
        """Train on all batches; sequences per second."""
        begin, sequences = time.perf_counter(), 0
        for indices in self.batches:
            self.step.step(indices, self.rng)
            sequences += len(indices)
        synchronize(self.step.model.device)
        seconds = time.perf_counter() - begin
        self.seconds += seconds
        return sequences / seconds

    @property
    def preparation_share(self) -> float:
        """Share of the time of all rounds that went into making views."""
        return self.step.preparing / self.seconds


def spread_over(epoch: list[np.ndarray], lengths: np.ndarray, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """``count`` batches of an epoch that have its mix of lengths, in random order; repeats when it has fewer."""
    order = sorted(range(len(epoch)), key=lambda index: lengths[epoch[index]].sum())
    places = ((np.arange(count) + 0.5) * len(epoch) / count).astype(int)  # the middle of each of `count` slices
    return [epoch[order[place]] for place in rng.permutation(places)]


def timed(step: Callable[[], int], batches: int) -> float:
    """Sequences per second of that many steps, each of which returns its number of sequences."""
    begin = time.perf_counter()
    sequences = sum(step() for _ in range(batches))
    return sequences / (time.perf_counter() - begin)


def bench_evaluate(data: SequenceData, seed: int = 0, device: str = "cpu") -> dict[str, Any]:
    """Seconds, users per second and extra peak memory of one evaluation of the test split.

    The weights are random: the time does not depend on them. Returns a record with "full" and "sampled" (99
    drawn negatives, drawing included); "sampled" is missing where a user has no 99 untouched items.
    """
    model = S3Rec(data.num_items, data.num_attributes, seed=seed).to(device)
    result: dict[str, Any] = {"settings": {"seed": seed, "split": "test"}, "device": device}
    protocols = ["full"]
    try:
        draw_negatives(data, "test", seed=seed)
        protocols.append("sampled")
    except DataError:  # too few items; tiny data only
        pass
    for protocol in protocols:
        with MemoryWatch() as memory:
            begin = time.perf_counter()
            evaluate(model, data, "test", protocol, seed=seed)
            seconds = time.perf_counter() - begin
        result[protocol] = {
            "seconds": round(seconds, 3),
            "users_per_second": round(data.num_users / seconds, 1),
            "extra_memory_mib": round(memory.extra_mib, 1),
        }
    return make_record(f"bench-{data.name}-evaluate", "bench-evaluate", data, **result)


# --- memory ---------------------------------------------------------------------------------------------------


def peak_memory_mib() -> float:
    """The most memory that this process ever held, in MiB."""
    try:
        import resource
    except ImportError:  # Windows
        return psutil.Process().memory_info().peak_wset / MIB
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


def give_back_freed_memory() -> None:
    """Return what is free inside the process to the system, so that later use of it can be seen (Linux only)."""
    gc.collect()
    if sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "malloc_trim"):
        ctypes.CDLL(None).malloc_trim(0)


class MemoryWatch:
    """Watches the memory of this process from a thread; ``extra_mib`` is the peak above the start, in MiB."""

    def __init__(self, interval: float = 0.005):
        self.interval, self.process = interval, psutil.Process()
        self.before = self.peak = 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self.done.wait(self.interval):
            self.peak = max(self.peak, self.process.memory_info().rss)

    def __enter__(self) -> Self:
        give_back_freed_memory()
        self.before = self.peak = self.process.memory_info().rss
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()
        self.peak = max(self.peak, self.process.memory_info().rss)

    @property
    def extra_mib(self) -> float:
        """Peak minus start."""
        return (self.peak - self.before) / MIB


# --- what to bench --------------------------------------------------------------------------------------------


def load_bench_data(name: str, **options: Any) -> SequenceData:
    """A data set by name or path as in `load_dataset`, or "sports-sized": as large as Sports, but made up."""
    return sports_sized() if str(name).lower() == SPORTS_SIZED else load_dataset(name, **options)


def sports_sized(seed: int = 0) -> SequenceData:
    """Random data of the size and the lengths of Sports, to measure without the file.

    18,357 items, 2,277 attributes (about 5.8 an item), 35,598 users with at least 5 actions, 8.3 in the mean.
    """
    rng = np.random.default_rng(seed)
    num_users, num_items, num_attributes = 35_598, 18_357, 2_277
    spread, surplus = 0.42, 3.32  # fits the mean and the spread of the real lengths
    lengths = 5 + rng.negative_binomial(spread, spread / (spread + surplus), num_users).clip(max=291)
    attributes = torch.zeros(num_items + 2, num_attributes + 1, dtype=torch.bool)
    owned = rng.poisson(5.8, num_items).clip(1, 40)
    items = np.repeat(np.arange(1, num_items + 1), owned)
    attributes.numpy()[items, rng.integers(1, num_attributes + 1, len(items))] = True
    return SequenceData(
        name=SPORTS_SIZED,
        items=rng.integers(1, num_items + 1, int(lengths.sum())),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        attributes=attributes,
    )


def load_reference() -> ModuleType:
    """tests/reference.py of this checkout, or of the one that is the current folder. S3RecError if neither."""
    folders = (Path(__file__).resolve().parents[2], Path.cwd())
    path = next((found for folder in folders if (found := folder / "tests" / "reference.py").is_file()), None)
    if path is None:
        raise S3RecError(
            "the reference is tests/reference.py of the kit's checkout, which is not here; clone the kit and run "
            "this in its folder"
        )
    spec = importlib.util.spec_from_file_location("s3rec_lite_reference", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check_counts(**counts: int) -> None:
    """Raise SettingError for a count below 1."""
    for name, count in counts.items():
        if count < 1:
            raise SettingError(f"{name}={count}: give 1 or more")


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
