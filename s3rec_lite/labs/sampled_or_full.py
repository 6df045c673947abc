"""Lab "sampled or full": what ranking against a handful of drawn items does to HR@10 and NDCG@10."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from s3rec_lite.experiments.reports import Report, evaluate
from s3rec_lite.figures import plots
from s3rec_lite.labs.material import INIT, PRETRAINED, SCRATCH, Material
from s3rec_lite.labs.view import LEGEND, Answer, Choice, Lab, Slider, fix_margins, table
from s3rec_lite.metrics import Ranks, expected_metric

METRICS = ("HR@10", "NDCG@10")
MODELS = {INIT: "untrained", SCRATCH: "fine-tuned only", PRETRAINED: "pre-trained, then fine-tuned"}
RESAMPLES, LEVEL = 1000, 0.95
TOP, BINS = 10, 10  # the metrics' cut-off, and bars of a histogram


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


def in_list(ranks: Ranks) -> tuple[np.ndarray, np.ndarray]:
    """Where the held-out films stand, ties in their middle.

    Returns the share of the list that lies above each film (its own place counted half, [U]), and which are in the
    top 10 (bool [U]).
    """
    place = ranks.greater + ranks.ties / 2 + 1
    return (place - 0.5) / ranks.num_candidates, place <= TOP


def histogram(ranks: Ranks) -> np.ndarray:
    """Users by tenth of the list: int64 [2, BINS], those in the top 10 and the others."""
    share, top = in_list(ranks)
    edges = np.linspace(0, 1, BINS + 1)
    return np.stack([np.histogram(share[which], edges)[0] for which in (top, ~top)])


def answer(prepared: Prepared, num_negatives: int, model: str, draw: int) -> Answer:
    """Both protocols for one model."""
    full = prepared.ranks[model]
    ranks = {"full": full, "sampled": sampled_ranks(full, num_negatives, draw)}
    found = {name: means_with_intervals(made, prepared.counts) for name, made in ranks.items()}
    counts = {name: histogram(made) for name, made in ranks.items()}
    labels = {"full": "all films", "sampled": f"{num_negatives} drawn films"}
    rows = [
        (labels[name], *(f"{value:.4f} ({low:.3f} to {high:.3f})" for value, low, high in found[name].values()))
        for name in ranks
    ]
    ratio = found["sampled"]["HR@10"][0] / max(found["full"]["HR@10"][0], 1e-9)
    words = (
        f"The same model and the same users: against {num_negatives} drawn films HR@10 reads {ratio:.1f} times what it "
        f"reads against all. The top 10 of {num_negatives + 1} films are {min(1, TOP / (num_negatives + 1)):.0%} of "
        f"the list, those of all films {TOP / np.median(full.num_candidates):.1%}. In brackets: 95% intervals over "
        f"{len(full):,} users."
    )
    alt = (
        f"Two histograms of where the held-out films stand in the ranking of the model that is {MODELS[model]}, among "
        "all films and among drawn ones, the top 10 coloured; HR@10 and NDCG@10 with intervals under both protocols."
    )
    facts = {**found, "num_negatives": num_negatives, "histograms": counts}
    return Answer(
        f"<p>{words}</p>{table(rows, ('ranked against', *METRICS))}",
        lambda: figure(counts, found, labels, MODELS[model]), alt, facts,
    )  # fmt: skip


def figure(
    counts: Mapping[str, np.ndarray],
    found: Mapping[str, Mapping[str, tuple[float, float, float]]],
    labels: Mapping[str, str],
    title: str,
) -> Figure:
    """A rank histogram for each protocol, and the metrics with intervals on the right."""
    with plots.style():
        axes = plots.panels(1, 3, 3.25, 3.3)[0]
        highest = max(values.sum(axis=0).max() for values in counts.values())
        for place, (name, values) in enumerate(counts.items()):
            draw_histogram(axes[place], values, plots.palette()[place])
            axes[place].set_ylim(0, 1.25 * highest)
            axes[place].set_title(f"against {labels[name]}", loc="left")
        axes[0].set_ylabel("users")
        axes[1].tick_params(labelleft=False)
        draw_metrics(axes[2], found, labels)
        figure = axes[0].figure
        figure.text(0.075, 0.94, title.capitalize(), fontsize=12)
        fix_margins(figure)
        for ax, (start, width) in zip(axes, ((0.075, 0.26), (0.375, 0.26), (0.72, 0.27)), strict=True):
            ax.set_position((start, 0.16, width, 0.67))
    return figure


def draw_histogram(ax: Axes, values: np.ndarray, colour: tuple[float, float, float]) -> None:
    """Users by tenth of the list; those whose film is in the top 10 in colour at the foot of the bars."""
    places, (top, others) = np.arange(BINS) + 0.5, values
    label = f"in the top {TOP}: {top.sum():,} users"
    ax.bar(places, top, 1, color=colour, edgecolor="white", label=label)
    ax.bar(places, others, 1, bottom=top, color="0.78", edgecolor="white", label=f"further down: {others.sum():,}")
    ax.set_xlim(0, BINS)
    ax.set_xticks((0, BINS / 2, BINS), ("first", "middle", "last"))
    ax.set_xlabel("place of the film in the list")
    ax.legend(loc="upper right", fontsize=9, borderaxespad=0.1, **LEGEND)
    ax.grid(axis="x", visible=False)


def draw_metrics(
    ax: Axes, found: Mapping[str, Mapping[str, tuple[float, float, float]]], labels: Mapping[str, str]
) -> None:
    """HR@10 and NDCG@10 of both protocols with their intervals; the axis ends above the highest one."""
    for place, (name, values) in enumerate(found.items()):
        middle = np.array([value[0] for value in values.values()])
        bounds = np.array([value[1:] for value in values.values()]).T
        ax.errorbar(
            np.arange(len(METRICS)) + 0.24 * (place - 0.5), middle, yerr=np.abs(bounds - middle), label=labels[name],
            fmt=plots.MARKERS[place], color=plots.palette()[place], markersize=4, capsize=5, linewidth=1.5,
        )  # fmt: skip
    ax.set_xticks(range(len(METRICS)), METRICS)
    ax.set_xlim(-0.5, len(METRICS) - 0.5)
    ax.set_ylim(0, 1.3 * max(high for values in found.values() for _, _, high in values.values()))
    ax.set_ylabel("mean over users")
    ax.set_title("metrics, 95% intervals", loc="left")
    ax.grid(axis="x", visible=False)
    ax.legend(loc="upper right", fontsize=9, borderaxespad=0.1, **LEGEND)


def make_lab(material: Material) -> Lab:
    """The lab on the labs' models."""
    reports = {name: evaluate(material.models[name], material.data, "test", "full") for name in MODELS}
    prepared = prepare(reports)
    return Lab(
        "sampled-or-full",
        "Sampled or full ranking?",
        "Each held-out film is ranked against all films, or against a few drawn ones. Fewer drawn films make "
        "every model look better, even the untrained one. How much, and do the three models stay apart?",
        (
            Slider("num_negatives", "Drawn films", 10, 500, 99),
            Choice("model", "Model", tuple((text, name) for name, text in MODELS.items()), PRETRAINED),
            Slider("draw", "Which draw", 0, 20, 0),
        ),
        partial(answer, prepared),
    )
