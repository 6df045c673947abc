"""Lab "sampled or full": what ranking against a handful of drawn items does to HR@10 and NDCG@10."""

from collections.abc import Mapping
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from s3rec_lite.experiments.reports import evaluate
from s3rec_lite.experiments.statistics import bootstrap_means, bounds
from s3rec_lite.figures import plots
from s3rec_lite.labs.lab import LEGEND, Answer, Choice, Lab, Slider, draw_metrics, place_panels, table
from s3rec_lite.labs.material import INIT, PRETRAINED, SCRATCH, Material
from s3rec_lite.metrics import Ranks, expected_metric

METRICS = ("HR@10", "NDCG@10")
_MODELS = {INIT: "untrained", SCRATCH: "fine-tuned only", PRETRAINED: "pre-trained, then fine-tuned"}
_TOP, _BINS = 10, 10  # the metrics' cut-off, and bars of a histogram


def make_lab(material: Material) -> Lab:
    """The lab on the labs' models."""
    ranks = {name: evaluate(material.models[name], material.data, "test", "full").ranks for name in _MODELS}
    return Lab(
        "sampled-or-full",
        "Sampled or full ranking?",
        "Each held-out film is ranked against all films, or against a few drawn ones. Fewer drawn films make "
        "every model look better, even the untrained one. How much, and do the three models stay apart?",
        (
            Slider("num_negatives", "Drawn films", 10, 500, 99),
            Choice("model", "Model", _MODELS, PRETRAINED),
            Slider("draw", "Which draw", 0, 20, 0),
        ),
        partial(answer, ranks),
    )


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


def means_with_intervals(ranks: Ranks) -> dict[str, tuple[float, float, float]]:
    """Mean and bootstrap interval of each metric."""
    values = np.stack([expected_metric(ranks, metric) for metric in METRICS], axis=1)  # [U, 2]
    low, high = bounds(bootstrap_means(values, resamples=1000), level=0.95)
    return dict(zip(METRICS, zip(values.mean(axis=0).tolist(), low.tolist(), high.tolist(), strict=True), strict=True))


def histogram(ranks: Ranks) -> np.ndarray:
    """Users by tenth of the list, ties in their middle: int64 [2, bins], those in the top 10 and the others."""
    place = ranks.greater + ranks.ties / 2 + 1
    share = (place - 0.5) / ranks.num_candidates  # of the list above the film, its own place counted half
    edges = np.linspace(0, 1, _BINS + 1)
    return np.stack([np.histogram(share[which], edges)[0] for which in (place <= _TOP, place > _TOP)])


def answer(ranks_by_model: Mapping[str, Ranks], num_negatives: int, model: str, draw: int) -> Answer:
    """Both protocols for one model."""
    full = ranks_by_model[model]
    ranks = {"full": full, "sampled": sampled_ranks(full, num_negatives, draw)}
    results = {name: means_with_intervals(each) for name, each in ranks.items()}
    counts = {name: histogram(each) for name, each in ranks.items()}
    labels = {"full": "all films", "sampled": f"{num_negatives} drawn films"}
    rows = [
        (labels[name], *(f"{value:.4f} ({low:.3f} to {high:.3f})" for value, low, high in values.values()))
        for name, values in results.items()
    ]
    ratio = results["sampled"]["HR@10"][0] / max(results["full"]["HR@10"][0], 1e-9)
    words = (
        f"The same model and the same users: against {num_negatives} drawn films HR@10 reads {ratio:.1f} times what it "
        f"reads against all. The top 10 of {num_negatives + 1} films are {min(1, _TOP / (num_negatives + 1)):.0%} of "
        f"the list, those of all films {_TOP / np.median(full.num_candidates):.1%}. In brackets: 95% intervals over "
        f"{len(full):,} users."
    )
    return Answer(
        f"<p>{words}</p>{table(rows, ('ranked against', *METRICS))}",
        lambda: _draw(counts, results, labels, _MODELS[model]),
        f"Two histograms of where the held-out films stand in the ranking of the model that is {_MODELS[model]}, among "
        "all films and among drawn ones, the top 10 coloured; HR@10 and NDCG@10 with intervals under both protocols.",
        {**results, "num_negatives": num_negatives, "histograms": counts},
    )


def _draw(
    counts: Mapping[str, np.ndarray],
    results: Mapping[str, Mapping[str, tuple[float, float, float]]],
    labels: Mapping[str, str],
    title: str,
) -> Figure:
    """A rank histogram for each protocol, and the metrics with intervals on the right."""
    with plots.style():
        panels = plots.panels(1, 3, 3.25, 3.3)[0]
        highest = max(bars.sum(axis=0).max() for bars in counts.values())
        for ax, colour, (name, bars) in zip(panels, plots.palette(), counts.items(), strict=False):
            _draw_histogram(ax, bars, colour)
            ax.set_ylim(0, 1.25 * highest)
            ax.set_title(f"against {labels[name]}", loc="left")
        panels[0].set_ylabel("users")
        panels[1].tick_params(labelleft=False)
        ax = panels[2]
        for index, (name, metrics) in enumerate(results.items()):
            look = {"label": labels[name], "markersize": 4, "capsize": 5, "linewidth": 1.5}
            draw_metrics(ax, index, 0.24 * (index - 0.5), metrics, **look)
        highest = max(high for values in results.values() for _, _, high in values.values())
        ax.set(ylim=(0, 1.3 * highest), ylabel="mean over users")
        ax.set_title("metrics, 95% intervals", loc="left")
        ax.legend(loc="upper right", fontsize=9, borderaxespad=0.1, **LEGEND)
        ax.figure.text(0.075, 0.94, title.capitalize(), fontsize=12)
        place_panels(panels, ((0.075, 0.26), (0.375, 0.26), (0.72, 0.27)), 0.16, 0.67)
    return ax.figure


def _draw_histogram(ax: Axes, values: np.ndarray, colour: tuple[float, float, float]) -> None:
    """Users by tenth of the list; those whose film is in the top 10 in colour at the foot of the bars."""
    middles, (top, others) = np.arange(_BINS) + 0.5, values
    ax.bar(middles, top, 1, color=colour, edgecolor="white", label=f"in the top {_TOP}: {top.sum():,} users")
    ax.bar(middles, others, 1, bottom=top, color="0.78", edgecolor="white", label=f"further down: {others.sum():,}")
    ax.set(xlim=(0, _BINS), xticks=(0, _BINS / 2, _BINS), xticklabels=("first", "middle", "last"))
    ax.set_xlabel("place of the film in the list")
    ax.legend(loc="upper right", fontsize=9, borderaxespad=0.1, **LEGEND)
    ax.grid(axis="x", visible=False)
