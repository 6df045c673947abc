"""Lab "mutual information": six estimators against a truth that is known, repetition by repetition."""

import math
from functools import lru_cache

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from s3rec_lite import information
from s3rec_lite.figures import plots
from s3rec_lite.labs.lab import Answer, Choice, Lab, Slider, fix_margins, table
from s3rec_lite.labs.material import Material

REPEATS = 40
OPTIMAL, TRAINED, BOUNDED = "optimal", "trained", "bounded"
_TRAINING_PAIRS = 192
_CRITICS = {
    OPTIMAL: "the log ratio itself (optimal)",
    TRAINED: f"three numbers, fitted to {_TRAINING_PAIRS} pairs (trained)",
    BOUNDED: "a sigmoid on top, as in the paper (bounded)",
}
ESTIMATORS = {
    "info_nce": "InfoNCE",
    "dv": "DV",
    "mine": "MINE",
    "nwj": "NWJ",
    "js": "JS, read as NWJ",
    "smile": "SMILE",
}
_PENALTY = 1e-3  # keeps the trained critic finite where its sample can be told apart completely
_NEAR_SHARE, _NEAR = 0.25, 0.1  # a mean this near the truth, as its share or in nats, is not called wrong
_STEEPNESS = 4.0  # of the bounded critic: sigmoid(4 log ratio), close to "more likely together or not"


def make_lab(_material: Material | None = None) -> Lab:
    """The lab; it needs no data."""
    _fitted_numbers(0.5, 1, "info_nce")  # loads an optimizer, which takes a second or two: not at a slider
    return Lab(
        "mutual-information",
        "Estimating mutual information",
        "Two Gaussian vectors share an amount of information that is known exactly. Raise the correlation or the "
        "dimension and see which estimator keeps up: where does the cap stop it, where does the variance?",
        (
            Slider("correlation", "Correlation", 0.0, 0.99, 0.8, 0.01),
            Slider("dimension", "Dimension", 1, 20, 4),
            Slider("num_candidates", "Candidates K", 2, 128, 32),
            Choice("critic", "Critic", _CRITICS, OPTIMAL),
            Choice("estimator", "Estimator", ESTIMATORS, "info_nce"),
        ),
        answer,
    )


def features(x: Tensor, y: Tensor) -> Tensor:
    """What the log ratio of two Gaussians is made of: x.y and -(|x|^2 + |y|^2) / 2; [2, ..., K, K]."""
    products = x @ y.mT
    squares = (x.square().sum(dim=-1)[..., :, None] + y.square().sum(dim=-1)[..., None, :]) / -2
    return torch.stack([products, squares])


@lru_cache(maxsize=256)
def _fitted_numbers(rho: float, dimension: int, estimator: str) -> Tensor:
    """Weights of the two features and a constant that make the estimator's objective largest on a fixed sample."""
    sample = information.sample_gaussian(_TRAINING_PAIRS, dimension, rho, torch.Generator().manual_seed(1))
    products, squares = features(*sample) / math.sqrt(dimension)
    objective = information.BOUNDS[estimator][0]
    numbers = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([numbers], max_iter=12, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        scores = numbers[0] * products + numbers[1] * squares + numbers[2]
        loss = _PENALTY * numbers[:2].square().sum() - objective(scores)
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    scale = torch.tensor([1 / math.sqrt(dimension)] * 2 + [1.0], dtype=torch.float64)
    return numbers.detach() * scale


def _critic_scores(x: Tensor, y: Tensor, rho: float, critic: str, estimator: str) -> Tensor:
    """Scores of all pairs [R, K, K]: x and y are [R, K, d]."""
    if critic == TRAINED:
        first, second, constant = _fitted_numbers(rho, x.shape[-1], estimator)
        products, squares = features(x, y)
        return first * products + second * squares + constant
    ratio = information.gaussian_log_ratio(x, y, rho)
    if critic == BOUNDED:
        return torch.sigmoid(_STEEPNESS * ratio)
    return ratio + 1 if estimator == "nwj" else ratio


def estimates(rho: float, dimension: int, num_candidates: int, critic: str, estimator: str) -> np.ndarray:
    """The estimator on `REPEATS` fresh batches of K pairs, in nats: float64 [REPEATS]."""
    draw = torch.Generator().manual_seed(0)
    x, y = information.sample_gaussian(REPEATS * num_candidates, dimension, rho, draw)
    shape = (REPEATS, num_candidates, dimension)
    scores = _critic_scores(x.view(shape), y.view(shape), rho, critic, estimator)
    return information.BOUNDS[estimator][1](scores).numpy()


def _cap(num_candidates: int, critic: str, estimator: str) -> float:
    """The most that can be shown; infinite where there is no limit."""
    if estimator != "info_nce":
        return math.inf
    return (information.bounded_critic_cap if critic == BOUNDED else information.log_k_cap)(num_candidates)


def answer(correlation: float, dimension: int, num_candidates: int, critic: str, estimator: str) -> Answer:
    """Estimate, truth, cap and spread for one setting."""
    truth = information.gaussian_mi(correlation, dimension)
    values = estimates(correlation, dimension, num_candidates, critic, estimator)
    cap = _cap(num_candidates, critic, estimator)
    mean, spread = float(values.mean()), float(values.std(ddof=1))
    rows = [
        ("truth", f"{truth:.3f} nats"),
        (f"mean of {REPEATS} estimates", f"{mean:.3f} nats"),
        ("bias", f"{mean - truth:+.3f} nats"),
        ("standard deviation of one", f"{spread:.3f} nats"),
        ("standard error of the mean", f"{_standard_error(spread):.3f} nats"),
        ("cap", f"{cap:.3f} nats" if math.isfinite(cap) else "none"),
        ("estimates above the truth", f"{(values > truth).sum()} of {REPEATS}"),
    ]
    name, words = ESTIMATORS[estimator], f"{verdict(truth, mean, spread, cap)} {chance_words(mean - truth, spread)}"
    return Answer(
        f"<p>{words}</p>{table(rows, (name, ''))}",
        lambda: _draw(values, truth, cap, name),
        f"{REPEATS} estimates of {name} as dots, with lines for the truth, their mean and the cap.",
        {"truth": truth, "mean": mean, "spread": spread, "cap": cap, "values": values.tolist()},
    )


def verdict(truth: float, mean: float, spread: float, cap: float) -> str:
    """One sentence about what goes wrong, if anything."""
    if cap < truth:
        return f"The cap of {cap:.2f} nats lies below the truth: with this K no critic of this kind can show it."
    if spread > max(0.5 * truth, 0.5):
        return "The variance is the trouble: one batch says little, more candidates would help."
    close = max(_NEAR_SHARE * truth, _NEAR)
    if mean < truth - close:
        return "The estimate stays well below the truth: a bound need not be tight."
    if mean > truth + close:
        return "The mean lies above the truth: what is read from finite batches need not stay below it."
    return f"The mean is within {'a quarter' if close > _NEAR else f'{_NEAR} nats'} of the truth."


def _standard_error(spread: float) -> float:
    """Of the mean of `REPEATS` estimates whose standard deviation is ``spread``."""
    return spread / math.sqrt(REPEATS)


def chance_words(bias: float, spread: float) -> str:
    """One sentence: whether the mean's distance from the truth is larger than chance over the repetitions."""
    error = _standard_error(spread)
    if abs(bias) < 1e-9:
        return "It meets the truth exactly."
    if error < 1e-9:
        return "Every batch gives the same value, so its distance from the truth is no chance."
    count = abs(bias) / error
    word = "larger than chance" if count > 2 else "no larger than chance"
    return f"Its distance from the truth is {count:.1f} standard errors, {word}."


def _draw(values: np.ndarray, truth: float, cap: float, name: str) -> Figure:
    """Estimates by repetition, with the lines that matter; points beyond the axis are counted in the picture."""
    top = max(truth, min(float(np.quantile(values, 0.95)), 4 * truth + 2), cap if math.isfinite(cap) else 0)
    low, high = min(0.0, max(float(values.min()), -2.0)) - 0.1, 1.15 * top + 0.1
    with plots.style():
        ax = plots.panels(1, 1, 9.6, 3.2)[0, 0]
        colours = plots.palette()
        ax.plot(range(1, len(values) + 1), values, "o", color=colours[0], markersize=6, label="one estimate")
        ax.axhline(values.mean(), color=colours[0], linewidth=2, label="their mean")
        ax.axhline(truth, color="0.15", linestyle="--", linewidth=2, label="truth")
        if math.isfinite(cap):
            ax.axhline(cap, color=colours[3], linestyle=":", linewidth=2.5, label="cap")
        ax.set(ylim=(low, high), xlabel="repetition", ylabel="information [nats]")
        _mark_outside(ax, values, low, high)
        ax.set_title(f"{name} on correlated Gaussians", loc="left")
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        ax.grid(axis="x", visible=False)
        fix_margins(ax.figure, left=0.075, right=0.83, bottom=0.17, top=0.9)
    return ax.figure


def _mark_outside(ax: Axes, values: np.ndarray, low: float, high: float) -> None:
    """Say at each edge how many points, and whether their mean, lie beyond it."""
    box = {"facecolor": "white", "edgecolor": "0.6", "alpha": 0.9}
    for arrow, height, side, sign, edge in (("↑", 0.97, "top", 1, high), ("↓", 0.03, "bottom", -1, low)):
        beyond = int((sign * values > sign * edge).sum())
        if beyond:
            also = ", their mean too" if sign * values.mean() > sign * edge else ""
            furthest = sign * (sign * values).max()
            text = f"{arrow} {beyond} of {len(values)} outside{also} (as far as {furthest:.1f} nats)"
            ax.text(0.01, height, text, transform=ax.transAxes, va=side, fontsize=10, bbox=box)
