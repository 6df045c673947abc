"""Lab "sampled or full": what ranking against a handful of drawn items does to HR@10 and NDCG@10."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from s3rec_lite import plots
from s3rec_lite.evaluation import evaluate
from s3rec_lite.labs.material import INIT, PRETRAINED, SCRATCH, Material
from s3rec_lite.labs.view import Answer, Choice, Lab, Slider, table
from s3rec_lite.ranking import Ranks, expected_metric
from s3rec_lite.statistics import Report

METRICS = ("HR@10", "NDCG@10")
MODELS = {INIT: "untrained", SCRATCH: "fine-tuned only", PRETRAINED: "pre-trained, then fine-tuned"}
RESAMPLES, LEVEL = 1000, 0.95


@dataclass(frozen=True, eq=False)
class Prepared:
    """What is computed once: ranks of each model among all items, and the resampled users of the bootstrap."""

    ranks: dict[str, Ranks]
    counts: np.ndarray
    """float32 [RESAMPLES, U], how often each user is drawn"""


def prepare(reports: Mapping[str, Report]) -> Prepared:
    """From full-ranking reports of the same users."""
    ranks = {name: report.ranks for name, report in reports.items()}
    num_users = len(next(iter(ranks.values())))
    drawn = np.random.default_rng(0).integers(num_users, size=(RESAMPLES, num_users))
    counts = np.stack([np.bincount(row, minlength=num_users) for row in drawn]).astype(np.float32)
    return Prepared(ranks, counts)


def sampled_ranks(full: Ranks, num_negatives: int, seed: int) -> Ranks:
    """Ranks among ``num_negatives`` items drawn without replacement: how many of those above the target are drawn.

    Who stands above and who ties is known from the full ranking, so nothing needs to be scored again.
    """
    others = full.num_candidates - 1
    drawn = np.minimum(num_negatives, others)
    rng = np.random.default_rng(seed)
    greater = rng.hypergeometric(full.greater, others - full.greater, drawn)
    rest = others - full.greater
    ties = rng.hypergeometric(full.ties, rest - full.ties, drawn - greater)
    return Ranks(greater, ties, drawn + 1)


def means_with_intervals(ranks: Ranks, counts: np.ndarray) -> dict[str, tuple[float, float, float]]:
    """Mean and bootstrap interval of each metric."""
    values = np.stack([expected_metric(ranks, metric) for metric in METRICS], axis=1)  # [U, 2]
    means = counts @ values.astype(np.float32) / len(values)  # [RESAMPLES, 2]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return {
        metric: (float(values[:, place].mean()), float(low[place]), float(high[place]))
        for place, metric in enumerate(METRICS)
    }


def answer(prepared: Prepared, num_negatives: int, model: str, draw: int) -> Answer:
    """Both protocols for one model."""
    full = prepared.ranks[model]
    found = {
        "full": means_with_intervals(full, prepared.counts),
        "sampled": means_with_intervals(sampled_ranks(full, num_negatives, draw), prepared.counts),
    }
    labels = {"full": "all items", "sampled": f"{num_negatives} drawn items"}
    rows = [
        (labels[name], *(f"{value:.4f} ({low:.3f} to {high:.3f})" for value, low, high in found[name].values()))
        for name in ("full", "sampled")
    ]
    ratio = found["sampled"]["HR@10"][0] / max(found["full"]["HR@10"][0], 1e-9)
    words = (
        f"The same model and the same users: against {num_negatives} drawn items HR@10 reads {ratio:.1f} times what it "
        f"reads against all. In brackets: 95% intervals over {len(full):,} users."
    )
    alt = f"Histogram of the ranks of {MODELS[model]} among all items, and HR@10 and NDCG@10 under both protocols."
    return Answer(
        f"<p>{words}</p>{table(rows, ('ranked against', *METRICS))}",
        lambda: figure(full, found, labels, MODELS[model]), alt, {**found, "num_negatives": num_negatives},
    )  # fmt: skip


def figure(
    full: Ranks, found: Mapping[str, Mapping[str, tuple[float, float, float]]], labels: Mapping[str, str], title: str
) -> Figure:
    """Rank histogram on the left, metrics with intervals on the right."""
    left, right = plots.panels(1, 2, 4.9, 3.1)[0]
    colours = plots.palette()
    ranks = full.greater + full.ties / 2 + 1
    edges = np.concatenate([[1, 10.5], np.geomspace(20, full.num_candidates.max() + 1, 12)])
    counts, _ = np.histogram(ranks, edges)
    left.bar(range(len(counts)), counts, color=[colours[0]] + ["0.75"] * (len(counts) - 1), edgecolor="white")
    ticks = [0, 4, 8, len(counts) - 1]
    left.set_xticks(ticks, ["top 10", *(f"to {edges[tick + 1]:.0f}" for tick in ticks[1:])])
    left.set_xlabel("rank of the held-out film among all films")
    left.set_ylabel("users")
    left.set_title(title, loc="left")
    left.grid(axis="x", visible=False)
    for place, (name, values) in enumerate(found.items()):
        middle = np.array([value[0] for value in values.values()])
        bounds = np.array([value[1:] for value in values.values()]).T
        right.errorbar(
            np.arange(len(METRICS)) + 0.2 * (place - 0.5), middle, yerr=np.abs(bounds - middle), label=labels[name],
            fmt=plots.MARKERS[place], color=colours[place], markersize=8, capsize=4, linewidth=2,
        )  # fmt: skip
    right.set_xticks(range(len(METRICS)), METRICS)
    right.set_xlim(-0.5, len(METRICS) - 0.5)
    right.set_ylim(0, 1)
    right.set_ylabel("mean over users, 95% interval")
    right.grid(axis="x", visible=False)
    right.legend(loc="upper right")
    return left.figure


def make_lab(material: Material) -> Lab:
    """The lab on the labs' models."""
    reports = {name: evaluate(material.models[name], material.data, "test", "full") for name in MODELS}
    prepared = prepare(reports)
    return Lab(
        "sampled-or-full",
        "Sampled or full ranking?",
        "Each held-out film is ranked against all films, or against a few drawn ones. Fewer drawn items make every "
        "model look better, and an untrained one too: watch how much, and whether the two models stay apart.",
        (
            Slider("num_negatives", "Drawn items", 10, 500, 99),
            Choice("model", "Model", tuple((text, name) for name, text in MODELS.items()), PRETRAINED),
            Slider("draw", "Which draw", 0, 20, 0),
        ),
        partial(answer, prepared),
    )
