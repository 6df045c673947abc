"""One objective trained by itself for a few steps: what its bound says meanwhile, and the model before and after."""

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from s3rec_lite.data import SequenceData
from s3rec_lite.figures import plots
from s3rec_lite.information import bounded_critic_cap
from s3rec_lite.labs.material import SMALL
from s3rec_lite.model import S3Rec
from s3rec_lite.pretraining import PretrainStep
from s3rec_lite.support.config import OBJECTIVES, ModelConfig, PretrainConfig
from s3rec_lite.support.errors import SettingError
from s3rec_lite.views import ViewSampler
from torch import nn

_HELD_OUT_SHARE = 0.15
"""users who are not trained on, for an honest reading of the bound"""
NUM_HELD_OUT = 600
"""their prefixes that the bound is read on"""


@dataclass(frozen=True, eq=False)
class Alone:
    """What training one objective alone gave."""

    config: PretrainConfig
    chance: float
    """the loss of a critic that knows nothing: log K, K counting the positive; nan where the loss is no bound"""
    cap: float
    """the most that the form can certify, in nats; nan where it is no bound"""
    history: pd.DataFrame
    """step; loss and nats of the training batch, with dropout, before the step; held_out_loss and held_out_nats on
    users who are not trained on, without dropout, nan in most rows. Losses are nats per term."""
    before: S3Rec
    after: S3Rec
    held_out: np.ndarray
    """user indices that were not trained on"""

    def final(self) -> float:
        """Nats at the end on held-out users."""
        return float(self.history["held_out_nats"].iloc[-1])


def settings_alone(name: str, **settings: Any) -> PretrainConfig:
    """Settings in which the other objectives weigh nothing, losses are means per term, and batches mix all lengths."""
    if name not in OBJECTIVES:
        raise SettingError(f"objective {name!r} is not one of {', '.join(OBJECTIVES)}")
    weights = {f"{other}_weight": float(other == name) for other in OBJECTIVES}
    return PretrainConfig(**{"reduction": "mean", "length_window": 0, "batch_size": 100, **weights, **settings})


def train_alone(
    name: str,
    data: SequenceData,
    steps: int = 200,
    model_config: ModelConfig | None = None,
    seed: int = 0,
    *,
    every: int = 20,
    **settings: Any,
) -> Alone:
    """Train a fresh model on one objective for some steps.

    Args:
        name: "aap", "mip", "map" or "sp".
        data: sequences; take a subset of the users to be quick.
        steps: of the optimizer, one batch of mixed lengths each.
        model_config: by default small enough for a notebook.
        seed: of the weights, the split of the users, the order, views and dropout.
        every: the held-out bound is read after every this many steps, and before the first.
        settings: anything of `PretrainConfig` for one batch, such as ``mip_form="infonce"``; by default those of
            `settings_alone`.
    """
    config = settings_alone(name, seed=seed, **settings)
    model = S3Rec(data.num_items, data.num_attributes, model_config or SMALL, seed=seed)
    before = copy.deepcopy(model)
    step = PretrainStep(model, data, config, ViewSampler(data, config, model.max_length))

    # Whole users are held out, so that none of their prefixes is trained on.
    held_out = np.random.default_rng([seed, 1]).permutation(data.num_users)[: round(_HELD_OUT_SHARE * data.num_users)]
    foreign = np.isin(step.sampler.prefixes.users, held_out)
    training, reading = np.flatnonzero(~foreign), np.flatnonzero(foreign)
    batches = _batches(training, config.batch_size, np.random.default_rng([seed, 2]))

    rng, rows = np.random.default_rng([seed, 3]), []
    chance = _chance_loss(name, step, reading)
    for number in range(steps + 1):
        trained = unseen = math.nan
        if number % every == 0 or number == steps:
            unseen = held_out_loss(name, step, reading)
        if number < steps:
            trained = step.step(next(batches), rng)[OBJECTIVES.index(name)].item()
        rows.append((number, trained, chance - trained, unseen, chance - unseen))
    history = pd.DataFrame(rows, columns=["step", "loss", "nats", "held_out_loss", "held_out_nats"])
    return Alone(config, chance, _cap(name, config, chance), history, before.eval(), model.eval(), np.sort(held_out))


def _batches(indices: np.ndarray, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Full batches of these prefixes without end, in a new order each time around."""
    size = min(size, len(indices))
    while True:
        order = rng.permutation(indices)
        for begin in range(0, len(order) - size + 1, size):
            yield order[begin : begin + size]


def held_out_loss(name: str, step: PretrainStep, indices: np.ndarray) -> float:
    """Mean loss of one objective without dropout, on at most `NUM_HELD_OUT` of these prefixes and always the same."""
    rng = np.random.default_rng(0)
    chosen, size, losses = rng.permutation(indices)[:NUM_HELD_OUT], step.config.batch_size, []
    with step.model.evaluating():
        for begin in range(0, max(len(chosen) - size, 0) + 1, size):
            losses.append(step.losses(chosen[begin : begin + size], rng)[name].item())
    return float(np.mean(losses))


def _chance_loss(name: str, step: PretrainStep, indices: np.ndarray) -> float:
    """Loss of a critic that gives every pair the same score: the mean log K, in nats; nan for a form without bound.

    With ``infonce``, candidates that fit as well are left out (the user's other items, the item's other attributes,
    the user's other segments), so K differs between rows and lies below the number that is drawn.
    """
    form = step.config.forms[name]
    if form == "pairwise" or (form == "authors" and name in ("mip", "sp")):
        return math.log(2)  # one negative
    if form != "infonce":
        return math.nan
    blank = copy.copy(step)
    blank.model = copy.deepcopy(step.model)
    for weight in blank.model.heads[name].parameters():
        nn.init.zeros_(weight)
    return held_out_loss(name, blank, indices)


def _cap(name: str, config: PretrainConfig, chance: float) -> float:
    """The most that a loss can certify, in nats: its ``chance``, or less with scores in (0, 1); nan if nothing."""
    squashed = config.forms[name] == "authors" or (config.forms[name] == "infonce" and config.bounded_critic)
    return bounded_critic_cap(math.exp(chance)) if squashed and math.isfinite(chance) else chance


@plots.style()
def bound_curves(
    results: Mapping[str, Alone], ax: Axes, *, lines: Mapping[str, float] | None = None, title: str = ""
) -> Axes:
    """Certified nats against the step, with each result's cap as a dashed line.

    Marked lines are held-out users, pale ones the training batches (mean of ten of them).

    Args:
        results: label to what `train_alone` returned; those whose loss is no bound are left out.
        lines: more levels to mark, in nats.
    """
    levels = {name: (value, ":") for name, value in (lines or {}).items()}
    for index, (name, result) in enumerate(results.items()):
        if math.isnan(result.chance):
            continue
        history = result.history
        batches = history["nats"].rolling(10, min_periods=1, center=True).mean()
        plots.line(ax, index, history["step"], batches, linestyle="-", marker=None, alpha=0.35, linewidth=1.2)
        held_out = history.dropna(subset=["held_out_nats"])
        plots.line(ax, index, held_out["step"], held_out["held_out_nats"], linestyle="-", markersize=5, label=name)
        candidates = f"{math.exp(result.chance):.0f}"
        cap_name = f"squashed, K = {candidates}" if result.cap < result.chance else f"log {candidates}"
        levels[cap_name] = result.cap, "--"
    # A line for each level, named at its right end.
    for name, (value, pattern) in levels.items():
        ax.axhline(value, color="0.35", linestyle=pattern, linewidth=1.2)
        text = ax.annotate(
            f"{name}\n{value:.3f}", (1, value), (4, 0), ("axes fraction", "data"), "offset points",
            va="center", fontsize=9, color="0.25",
        )  # fmt: skip
        text.set_annotation_clip(False)
    ax.margins(y=0.1)
    plots.label(ax, title, "optimiser step", "certified information [nats]", no_grid="x")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncol=min(2, len(results)))
    return ax
