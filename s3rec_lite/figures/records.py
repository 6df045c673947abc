"""The figures of a reproduction, from its run records, each with its description."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from s3rec_lite.figures import plots
from s3rec_lite.support.config import OBJECTIVES

_METRICS = ("HR@10", "NDCG@10", "MRR")
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


def _label(run: Mapping[str, Any]) -> str:
    return f"{run['model']} ({'with' if run['settings']['pretrain'] else 'without'} pre-training)"


def _losses(runs: _Runs, what: str) -> tuple[Figure, str] | None:
    run = next((run for run in runs.values() if run["settings"]["pretrain"]), None)
    losses = run["history"]["pretraining"] if run else None
    if not losses:
        return None
    reduction = run["settings"]["pretrain"]["reduction"]
    axes = plots.loss_curves(losses, reduction=reduction, title=f"Pre-training losses: {what}")
    changes = [f"{name.upper()} from {losses[name][0]:.4g} to {losses[name][-1]:.4g}" for name in OBJECTIVES]
    head = f"Four line charts of the pre-training losses on {what}, in nats, over {len(losses['epoch'])} epochs"
    return axes[0].figure, f"{head}: {', '.join(changes)}."


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
    return ax.figure, f"Line chart of validation {monitor} during fine-tuning on {what}: {'; '.join(best)}."


def _tests(runs: _Runs, what: str) -> tuple[Figure, str]:
    axes = plots.comparison(
        {label: run["test"] for label, run in runs.items()}, _METRICS, title=f"Test results: {what}"
    )
    texts = []
    for label, run in runs.items():
        for protocol, facts in run["test"].items():
            values = ", ".join(f"{metric} {facts['metrics'][metric]:.4f}" for metric in _METRICS)
            texts.append(f"{label}, {plots.protocol_title(protocol, facts)}: {values}")
    return axes[0].figure, f"Dots with 95% intervals of the test results on {what}. {'; '.join(texts)}."
