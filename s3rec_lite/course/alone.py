"""One objective trained by itself for a few steps: what its bound says meanwhile, and the model before and after."""

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from s3rec_lite import information
from s3rec_lite.data import SequenceData
from s3rec_lite.figures import plots
from s3rec_lite.model import S3Rec
from s3rec_lite.objectives import pretraining_losses
from s3rec_lite.support.config import OBJECTIVES, ModelConfig, PretrainConfig
from s3rec_lite.support.errors import SettingError
from s3rec_lite.training import PretrainStep
from s3rec_lite.views import ViewSampler, batch_order

SMALL = ModelConfig(
    hidden_size=32, inner_size=64, max_length=20, hidden_dropout_prob=0.2, attn_dropout_prob=0.2
)  # fmt: skip
"""a model for a notebook: a few hundred steps take seconds"""
TRAINING_BATCH = {"reduction": "mean", "length_window": 0, "batch_size": 100}
"""means per term, and batches that mix all lengths, so that one step can be compared with the next"""
NUM_HELD_OUT = 600
"""prefixes of held-out users that the bound is read on"""


@dataclass(frozen=True, eq=False)
class Alone:
    """What training one objective alone gave."""

    objective: str
    form: str
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
        """Nats at the end on held-out users; if there are none, on the last 20 training batches."""
        held_out = self.history["held_out_nats"].dropna()
        return float(held_out.iloc[-1] if len(held_out) else self.history["nats"].tail(20).mean())


def chance_loss(name: str, step: PretrainStep, indices: np.ndarray) -> float:
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
        weight.data.zero_()
    return held_out_loss(name, blank, indices)


def cap_of(name: str, config: PretrainConfig, chance: float) -> float:
    """The most that a loss can certify, in nats: its ``chance``, or less with scores in (0, 1); nan if nothing."""
    squashed = config.forms[name] == "authors" or (config.forms[name] == "infonce" and config.bounded_critic)
    return information.bounded_critic_cap(math.exp(chance)) if squashed and math.isfinite(chance) else chance


def settings_alone(name: str, **settings) -> PretrainConfig:
    """Settings in which every other objective weighs nothing."""
    if name not in OBJECTIVES:
        raise SettingError(f"objective {name!r} is not one of {', '.join(OBJECTIVES)}")
    weights = {f"{other}_weight": float(other == name) for other in OBJECTIVES}
    return PretrainConfig(**{**TRAINING_BATCH, **weights, **settings})


def train_alone(
    name: str,
    data: SequenceData,
    steps: int = 200,
    model_config: ModelConfig | None = None,
    seed: int = 0,
    *,
    held_out: float = 0.15,
    every: int = 20,
    **settings,
) -> Alone:
    """Train a fresh model on one objective for some steps.

    Args:
        name: "aap", "mip", "map" or "sp".
        data: sequences; take a subset of the users to be quick.
        steps: optimiser steps, one batch each.
        model_config: `SMALL` by default.
        seed: of the weights, the split of the users, the order, views and dropout.
        held_out: share of the users that are not trained on, for an honest reading of the bound.
        every: the held-out bound is read after every this many steps, and before the first.
        settings: anything of `PretrainConfig`, such as ``mip_form="infonce"``; by default as `TRAINING_BATCH`.
    """
    config = settings_alone(name, seed=seed, **settings)
    model = S3Rec(data.num_items, data.num_attributes, model_config or SMALL, seed=seed)
    before = copy.deepcopy(model)
    sampler = ViewSampler(data, config, model.max_length)
    step = PretrainStep(model, data, config, sampler)
    others = np.random.default_rng([seed, 1]).permutation(data.num_users)[: round(held_out * data.num_users)]
    foreign = np.isin(sampler.prefixes.users, others)
    batches = _batches(sampler, np.flatnonzero(~foreign), np.random.default_rng([seed, 2]))
    rng, place = np.random.default_rng([seed, 3]), OBJECTIVES.index(name)
    chance, rows = chance_loss(name, step, np.flatnonzero(foreign) if len(others) else np.arange(len(sampler))), []
    for number in range(steps + 1):
        row = dict.fromkeys(("loss", "nats", "held_out_loss", "held_out_nats"), math.nan)
        if len(others) and (number % every == 0 or number == steps):
            row["held_out_loss"] = held_out_loss(name, step, np.flatnonzero(foreign))
            row["held_out_nats"] = chance - row["held_out_loss"]
        if number < steps:
            row["loss"] = float(step.step(next(batches), rng)[place])
            row["nats"] = chance - row["loss"]
        rows.append({"step": number, **row})
    model.eval(), before.eval()
    form, history = config.forms[name], pd.DataFrame(rows)
    return Alone(name, form, config, chance, cap_of(name, config, chance), history, before, model, np.sort(others))


def _batches(sampler: ViewSampler, indices: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Full batches of these prefixes without end, in a new order each time around."""
    config = sampler.config
    full = min(config.batch_size, len(indices))
    while True:
        for batch in batch_order(sampler.prefixes.lengths[indices], full, config.length_window, rng):
            if len(batch) == full:
                yield indices[batch]


def held_out_loss(name: str, step: PretrainStep, indices: np.ndarray) -> float:
    """Mean loss of one objective without dropout, on at most `NUM_HELD_OUT` of these prefixes and always the same."""
    rng = np.random.default_rng(0)
    size, losses = step.config.batch_size, []
    chosen = rng.permutation(indices)[:NUM_HELD_OUT]
    with step.model.evaluating():
        for begin in range(0, max(len(chosen) - size, 0) + 1, size):
            batch = chosen[begin : begin + size]
            found = pretraining_losses(
                step.model, step.sampler.batch(batch, rng), step.attributes, step.config,
                owners=step.sampler.owners(batch), candidates=step.candidates, rng=rng,
            )  # fmt: skip
            losses.append(float(found[name]))
    return float(np.mean(losses))


def bound_curves(
    results: Mapping[str, Alone],
    ax: Axes | None = None,
    *,
    lines: Mapping[str, float] | None = None,
    smooth: int = 10,
    title: str | None = None,
) -> Axes:
    """Certified nats against the step, with each result's cap as a dashed line.

    Marked lines are held-out users, pale ones the training batches (mean of ``smooth`` of them). results: label to
    what `train_alone` returned; those whose loss is no bound are left out. lines: more levels to mark, in nats.
    """
    with plots.style():
        ax = plots.panels(1, 1, 7.6, 4.2)[0, 0] if ax is None else ax
        levels = {name: (value, ":") for name, value in (lines or {}).items()}
        for index, (label, result) in enumerate(results.items()):
            if math.isnan(result.chance):
                continue
            colour, history = plots.palette()[index], result.history
            batches = history["nats"].rolling(smooth, min_periods=1, center=True).mean()
            held_out = history.dropna(subset=["held_out_nats"])
            ax.plot(history["step"], batches, color=colour, alpha=0.35, linewidth=1.2)
            ax.plot(
                held_out["step"], held_out["held_out_nats"], color=colour, marker=plots.MARKERS[index % 5],
                markersize=5, label=label,
            )  # fmt: skip
            candidates, squashed = f"{math.exp(result.chance):.0f}", result.cap < result.chance
            levels[f"squashed, K = {candidates}" if squashed else f"log {candidates}"] = result.cap, "--"
        for name, (value, pattern) in levels.items():
            ax.axhline(value, color="0.35", linestyle=pattern, linewidth=1.2)
            ax.annotate(
                f"{name}\n{value:.3f}", (1, value), (4, 0), xycoords=("axes fraction", "data"),
                textcoords="offset points", va="center", fontsize=9, color="0.25", annotation_clip=False,
            )  # fmt: skip
        ax.set_xlabel("optimiser step")
        ax.set_ylabel("certified information [nats]")
        ax.margins(y=0.1)
        ax.grid(axis="x", visible=False)
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncol=min(2, max(1, len(results))))
        if title:
            ax.set_title(title, loc="left")
    return ax
