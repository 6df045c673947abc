"""How fast, how much memory: measured, never assumed.

Pre-training is timed on batches spread evenly over the lengths of a real epoch, after a warm-up. With
``against="reference"`` rounds of the plain step in s3rec_lite/plain.py take turns with rounds of the fast one, in
one process, so that both meet the machine in the same condition.
"""

import ctypes
import functools
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import psutil
import torch

from s3rec_lite import plain
from s3rec_lite.data import SequenceData
from s3rec_lite.datasets import load_dataset
from s3rec_lite.evaluation import draw_negatives
from s3rec_lite.experiments.presets import configs
from s3rec_lite.experiments.reports import evaluate
from s3rec_lite.model import S3Rec
from s3rec_lite.pretraining import PretrainStep
from s3rec_lite.runs.records import Record, make_record
from s3rec_lite.support.errors import DataError, SettingError
from s3rec_lite.views import ViewSampler

_SPORTS_SIZED = "sports-sized"
_WARM_UP = 10
_MIB = 2**20


def bench_pretrain(
    data: SequenceData,
    batches: int = 100,
    batch_size: int = 100,
    against: str | None = None,
    seed: int = 0,
    rounds: int = 3,
    device: str = "cpu",
    preset: str = "default",
) -> Record:
    """Sequences per second of pre-training with the settings of a preset in float32.

    Args:
        data: the sequences.
        batches: batches of one round.
        batch_size: sequences of a batch.
        against: "reference" times the plain step as well, a tenth of the batches a round.
        seed: of weights, batches and views.
        rounds: how often to repeat; the median counts.
        device: where to train; the reference always runs on the CPU.
        preset: its prefixes, order and losses; the reference has the default's only.

    Returns a record: "fast" with sequences_per_second, rounds (all of them), preparation_share (of the time,
    making views) and peak_memory_mib (of the process, before the reference starts); with ``against`` also
    "reference", and "ratio", the median of the rounds' ratios.
    """
    for name, count in {"batches": batches, "batch_size": batch_size, "rounds": rounds}.items():
        if count < 1:
            raise SettingError(f"{name}={count}: give 1 or more")
    if against not in (None, "reference"):
        raise SettingError(f"cannot bench against {against!r}; only against 'reference'")
    if against and preset != "default":
        raise SettingError(f"the reference does not know the preset {preset!r}; leave one of the two out")

    # The fast step, warmed up on the widest batch and others. Its memory is read before the reference starts.
    model_config, config, _ = configs(preset, pretrain={"batch_size": batch_size, "seed": seed})
    model = S3Rec(data.num_items, data.num_attributes, model_config, seed=seed)
    rng = np.random.Generator(np.random.SFC64(seed))
    sampler = ViewSampler(data, config, model.max_length)
    step = PretrainStep(model.to(device).train(), data, config, sampler)
    lengths, epoch = sampler.prefixes.lengths, sampler.epoch(rng)
    full = [indices for indices in epoch if len(indices) == batch_size] or epoch
    chosen = spread_over(full, lengths, batches, rng)

    def train(indices: np.ndarray) -> int:
        step.step(indices, rng).sum().item()  # waits for the device
        return len(indices)

    def prepare(indices: np.ndarray) -> int:
        sampler.batch(indices, rng).to(model.device)
        return len(indices)

    for indices in [max(chosen, key=lambda indices: lengths[indices].max()), *chosen[: _WARM_UP - 1]]:
        train(indices)
    speeds = [_speed(train, chosen)]
    memory, preparation_speed = _peak_memory_mib(), _speed(prepare, chosen)

    # Rounds in turn; without the reference the fast step alone.
    slow_speeds, slow_batches = [], max(3, batches // 10)
    if against:
        plain_model = S3Rec(data.num_items, data.num_attributes, seed=seed)
        reference = plain.PlainTrainer(plain_model, data, batch_size=batch_size, seed=seed)
        reference.step()
    for number in range(rounds):
        if number:
            speeds.append(_speed(train, chosen))
        if against:
            slow_speeds.append(_speed(lambda _: reference.step(), range(slow_batches)))

    result: dict[str, Any] = {
        "settings": {"batch_size": batch_size, "batches": batches, "rounds": rounds, "seed": seed, "precision": "fp32"},
        "device": device,
        "fast": {
            **_median(speeds),
            "preparation_share": round(float(np.median(speeds)) / preparation_speed, 4),
            "peak_memory_mib": round(memory, 1),
        },
    }
    if against:
        result["reference"] = {**_median(slow_speeds), "batches": slow_batches}
        result["ratio"] = round(float(np.median(np.divide(speeds, slow_speeds))), 2)
    name = data.name if preset == "default" else f"{data.name}-{preset}"
    return make_record(f"bench-{name}-pretrain", "bench-pretrain", data, preset=preset, **result)


def spread_over(epoch: list[np.ndarray], lengths: np.ndarray, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """``count`` batches of an epoch that have its mix of lengths, in random order; repeats when it has fewer."""
    order = sorted(range(len(epoch)), key=lambda index: lengths[epoch[index]].sum())
    middles = ((np.arange(count) + 0.5) * len(epoch) / count).astype(int)  # of `count` equal slices of `order`
    return [epoch[order[middle]] for middle in rng.permutation(middles)]


def _speed(step: Callable[[Any], int], batches: Iterable[Any]) -> float:
    """Sequences per second of a step that returns its number of sequences."""
    begin = time.perf_counter()
    sequences = sum(step(batch) for batch in batches)
    return sequences / (time.perf_counter() - begin)


def _median(speeds: list[float]) -> dict[str, Any]:
    return {
        "sequences_per_second": round(float(np.median(speeds)), 1),
        "rounds": [round(speed, 1) for speed in speeds],
    }


def bench_evaluate(data: SequenceData, seed: int = 0, device: str = "cpu") -> Record:
    """Seconds, users per second and extra peak memory of one evaluation of the test split.

    The weights are random: the time does not depend on them. Returns a record with "full" and "sampled" (99
    drawn negatives, drawing included); "sampled" is missing where a user has no 99 untouched items.
    """
    model = S3Rec(data.num_items, data.num_attributes, seed=seed).to(device)
    result: dict[str, Any] = {"settings": {"seed": seed, "split": "test"}, "device": device}
    protocols = ["full", "sampled"]
    try:
        draw_negatives(data, "test", seed=seed)
    except DataError:  # too few items; tiny data only
        protocols.remove("sampled")
    for protocol in protocols:
        seconds, extra_mib = cost(functools.partial(evaluate, model, data, "test", protocol, seed=seed))
        result[protocol] = {
            "seconds": round(seconds, 3),
            "users_per_second": round(data.num_users / seconds, 1),
            "extra_memory_mib": round(extra_mib, 1),
        }
    return make_record(f"bench-{data.name}-evaluate", "bench-evaluate", data, **result)


def cost(work: Callable[[], Any], interval: float = 0.005) -> tuple[float, float]:
    """Seconds of some work, and the most MiB that this process holds meanwhile above what it held before.

    A thread looks at the memory every ``interval`` seconds.
    """
    gc.collect()
    if sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "malloc_trim"):
        ctypes.CDLL(None).malloc_trim(0)  # memory that is free inside the process would hide what is used later
    process, done = psutil.Process(), threading.Event()
    held = [process.memory_info().rss]

    def watch() -> None:
        while not done.wait(interval):
            held.append(process.memory_info().rss)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    begin = time.perf_counter()
    try:
        work()
        seconds = time.perf_counter() - begin
    finally:
        done.set()
        thread.join()
    held.append(process.memory_info().rss)
    return seconds, (max(held) - held[0]) / _MIB


def _peak_memory_mib() -> float:
    """The most memory that this process ever held, in MiB."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / _MIB
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _MIB


def load_bench_data(name: str, **options: Any) -> SequenceData:
    """A data set by name or path as in `load_dataset`, or "sports-sized": as large as Sports, but made up."""
    return sports_sized() if str(name).lower() == _SPORTS_SIZED else load_dataset(name, **options)


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
        name=_SPORTS_SIZED,
        items=rng.integers(1, num_items + 1, int(lengths.sum())),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        attributes=attributes,
    )
