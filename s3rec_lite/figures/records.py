"""The figures of a reproduction, from its run records, each with its description."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from matplotlib.figure import Figure

from s3rec_lite.figures import plots
from s3rec_lite.support.config import OBJECTIVES

_METRICS = ("HR@10", "NDCG@10", "MRR")
_STAGE_TITLES = {
    "reading": "reading a CSV file",
    "preparation": "making and preparing",
    "pretraining": "pre-training",
    "finetuning": "fine-tuning",
    "ranking": "full ranking",
}
_TRAINING = ("pretraining", "finetuning")
_Runs = Mapping[str, Mapping[str, Any]]


def record_figures(runs: Sequence[Mapping[str, Any]], folder: str | Path, head: str) -> list[Path]:
    """The figures of a reproduction, ``folder/<head>-pretraining-losses.png`` and so on, from its run records.

    A figure without anything to show (no epochs) is left out. Returns the paths.
    """
    labelled = {_label(run): run for run in runs}
    what = f"{runs[0]['data']['name']}, seed {runs[0]['seed']}"
    drawings = {"pretraining-losses": _losses, "validation": _validation, "comparison": _tests}
    paths = []
    for name, draw in drawings.items():
        drawn = draw(labelled, what)
        if drawn is not None:
            figure, alt = drawn
            paths.append(plots.save_figure(figure, Path(folder) / f"{head}-{name}.png", alt))
    return paths


@plots.style()
def scale_figure(record: Mapping[str, Any], folder: Path) -> Path:
    """Time and memory against the number of interactions, from a "bench-scale" record: ``folder/bench-scale.png``."""
    sizes = {int(size): facts for size, facts in record["sizes"].items()}
    x = list(sizes)
    stages = [name for name in _STAGE_TITLES if name in sizes[x[0]]]
    panels = (
        ("Seconds of a stage", "seconds", {name: "seconds" for name in stages if name not in _TRAINING}),
        ("Seconds of a training step", "seconds", {name: "seconds_per_step" for name in _TRAINING}),
        ("Most memory of the process", "MiB", {name: "peak_memory_mib" for name in stages}),
    )
    axes = plots.panels(1, len(panels), 4.6, 4.0)[0]
    texts = []
    for ax, (title, unit, series) in zip(axes, panels, strict=True):
        for name, key in series.items():
            values = [facts[name][key] for facts in sizes.values()]
            plots.line(ax, stages.index(name), x, values, label=_STAGE_TITLES[name])
            texts.append(f"{title.lower()}, {_STAGE_TITLES[name]}: {values[0]:.3g} to {values[-1]:.3g} {unit}")
        plots.label(ax, title, "interactions", unit, xscale="log", yscale="log")
    plots.legend_below(axes[2], columns=3)
    alt = f"Three line charts with logarithmic axes, from {x[0]:,} to {x[-1]:,} interactions: {'; '.join(texts)}."
    return plots.save_figure(cast(Figure, axes[0].figure), folder / f"{record['name']}.png", alt)


def _label(run: Mapping[str, Any]) -> str:
    return f"{run['model']} ({'with' if run['settings']['pretrain'] else 'without'} pre-training)"


def _losses(runs: _Runs, what: str) -> tuple[Figure, str] | None:
    run = next((run for run in runs.values() if run["settings"]["pretrain"]), None)
    if run is None or not run["history"]["pretraining"]:
        return None
    losses = run["history"]["pretraining"]
    reduction = run["settings"]["pretrain"]["reduction"]
    axes = plots.loss_curves(losses, reduction=reduction, title=f"Pre-training losses: {what}")
    changes = [f"{name.upper()} from {losses[name][0]:.4g} to {losses[name][-1]:.4g}" for name in OBJECTIVES]
    head = f"Four line charts of the pre-training losses on {what}, in nats, over {len(losses['epoch'])} epochs"
    return cast(Figure, axes[0].figure), f"{head}: {', '.join(changes)}."


def _validation(runs: _Runs, what: str) -> tuple[Figure, str] | None:
    histories = {label: run["history"]["finetuning"] for label, run in runs.items()}
    if not all(histories.values()):
        return None
    monitor = next(iter(runs.values()))["validation"]["metric"]
    ax = plots.validation_curves(histories, monitor, title=f"Validation during fine-tuning: {what}")
    best = [
        f"{label} reaches its best, {run['validation']['value']:.4f}, after {run['best_epoch']} epochs"
        for label, run in runs.items()
    ]
    text = f"Line chart of validation {monitor} during fine-tuning on {what}: {'; '.join(best)}."
    return cast(Figure, ax.figure), text


def _tests(runs: _Runs, what: str) -> tuple[Figure, str]:
    axes = plots.comparison(
        {label: run["test"] for label, run in runs.items()}, _METRICS, title=f"Test results: {what}"
    )
    texts = []
    for label, run in runs.items():
        for protocol, facts in run["test"].items():
            values = ", ".join(f"{metric} {facts['metrics'][metric]:.4f}" for metric in _METRICS)
            texts.append(f"{label}, {plots.protocol_title(protocol, facts)}: {values}")
    return cast(Figure, axes[0].figure), f"Dots with 95% intervals of the test results on {what}. {'; '.join(texts)}."
