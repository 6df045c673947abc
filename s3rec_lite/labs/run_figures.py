"""What the lab "train" shows of its runs: the curves laid over each other, and a table that compares them."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from s3rec_lite.experiments.comparisons import Comparison, compare
from s3rec_lite.experiments.reports import Report
from s3rec_lite.figures import plots
from s3rec_lite.labs.lab import draw_metrics, place_panels, table
from s3rec_lite.labs.runs import METRICS, PROTOCOLS, Run
from s3rec_lite.support.config import OBJECTIVES

MAX_RUNS = 8
_LINES = ("-", "--", ":", "-.")
_HEAD = ("run", "AAP / MIP / MAP / SP", "epochs", "users", "ranked against", *METRICS, "NDCG@10 minus that of run 1")


def draw_runs(runs: Sequence[Run], current: Run | None = None) -> Figure:
    """Pre-training losses step by step, and the test metrics, of all runs and of the one under way.

    Each run has its own colour, line and marker. An objective of weight 0 has no curve.
    """
    panels = plots.panels(2, 3, 3.3, 2.05)
    shown = {f"run {number}": run for number, run in enumerate(runs, 1)}
    if current is not None:
        shown["stopped" if current.stopped else "under way"] = current
    # Losses on the left and in the middle, results on the right.
    last = max((run.num_steps for run in shown.values()), default=1)
    for index, (name, ax) in enumerate(zip(OBJECTIVES, panels[:, :2].flat, strict=True)):
        _draw_losses(ax, list(shown.values()), index)
        ax.set_title(plots.OBJECTIVE_TITLES[name], loc="left")
        ax.set_ylabel("" if index % 2 else "nats per prefix")
        ax.set_xlim(0, last * 1.03)
    for ax, protocol in zip(panels[:, 2], PROTOCOLS, strict=True):
        _draw_results(ax, shown, protocol)
    for upper, lower in panels.T:
        upper.tick_params(labelbottom=False)  # as below
        lower.set_xlabel("" if lower is panels[1, 2] else "pre-training step")
    # One legend for all, below.
    handles, labels = panels[0, 2].get_legend_handles_labels()
    figure = panels[0, 0].figure
    if handles:
        figure.legend(handles, labels, loc="lower center", ncol=len(labels), frameon=False, fontsize=9)
    for row, bottom in zip(panels, (0.61, 0.21), strict=True):
        place_panels(row, ((0.075, 0.25), (0.41, 0.25), (0.745, 0.25)), bottom, 0.31)
    return figure


def _look(index: int) -> tuple[tuple[float, float, float], str, str]:
    """Colour, line and marker of a run."""
    return plots.palette()[index], _LINES[index % len(_LINES)], plots.MARKERS[index % len(plots.MARKERS)]


def _draw_losses(ax: Axes, runs: Sequence[Run], objective: int) -> None:
    """One objective's loss against the step, a line a run."""
    for index, run in enumerate(runs):
        values = run.losses[:, objective]
        if np.isfinite(values).any():
            colour, line, marker = _look(index)
            ax.plot(range(1, len(values) + 1), values, line, color=colour, linewidth=1.6)
            ax.plot(len(values), values[-1], marker, color=colour, markersize=6)
    if not ax.lines:
        text = "weight 0: not computed" if any(len(run.losses) for run in runs) else "Press Start"
        ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color="0.35")
        ax.set_yticks([])
    ax.margins(y=0.12)
    ax.grid(axis="x", visible=False)


def _draw_results(ax: Axes, shown: dict[str, Run], protocol: str) -> None:
    """HR@10 and NDCG@10 with their intervals, a marker a run. Runs without results only enter the legend."""
    for index, (label, run) in enumerate(shown.items()):
        colour, line, marker = _look(index)
        ax.plot([], [], line, color=colour, marker=marker, label=label)
        if protocol in run.results:
            offset = 0.7 * (index + 0.5) / len(shown) - 0.35
            draw_metrics(ax, index, offset, run.results[protocol], markersize=6, capsize=3, linewidth=1.6)
    ax.set_xticks(range(len(METRICS)), METRICS)
    ax.set_xlim(-0.5, len(METRICS) - 0.5)
    ax.set_ylim(bottom=0)
    ax.set_title(f"test, against {PROTOCOLS[protocol]}", loc="left")
    ax.grid(axis="x", visible=False)
    if not any(run.results for run in shown.values()):
        ax.set_yticks([])


def runs_table(runs: Sequence[Run]) -> str:
    """Settings and results of finished runs, two rows each, and whether each differs from the first."""
    if not runs:
        return "<p>No run is finished yet.</p>"
    rows = []
    for number, run in enumerate(runs, 1):
        weights = " / ".join(f"{value:g}" for value in run.settings.weights.values())
        for protocol, label in PROTOCOLS.items():
            values = [f"{value:.3f} ({low:.3f} to {high:.3f})" for value, low, high in run.results[protocol].values()]
            difference = verdict(run.reports[protocol], runs[0].reports[protocol]) if number > 1 else ""
            start = (number, weights, run.settings.epochs, run.num_users) if protocol == "full" else ("",) * 4
            rows.append((*start, label, *values, difference))
    words = (
        f"In brackets: 95% intervals over {len(runs[0].reports['full'].users):,} test users. A difference is called "
        "clear when its own interval leaves out 0 and a test by exchanging the two runs agrees. Another seed would "
        "move the numbers too."
    )
    return f"<p>{words}</p><div style='font-size:0.8em'>{table(rows, _HEAD)}</div>"


def verdict(report: Report, first: Report) -> str:
    """A difference, its interval, and whether it is larger than chance over users allows."""
    difference = _compared(report, first)
    if not difference.low and not difference.high:
        return "the same"
    word = "clear" if difference.larger_than_chance else "not clear"
    return f"{difference.difference:+.3f} ({difference.low:+.3f} to {difference.high:+.3f}), {word}"


@lru_cache(maxsize=4 * MAX_RUNS)
def _compared(report: Report, first: Report) -> Comparison:
    """The difference in NDCG@10; remembered, since the same runs are shown again and again."""
    return compare(report, first, "NDCG@10")


def in_words(runs: Sequence[Run], current: Run | None = None) -> str:
    """The picture in words."""
    if not runs and current is None:
        return "Six empty panels: four for pre-training losses, two for test results."
    count = f"{len(runs)} finished run{'' if len(runs) == 1 else 's'}"
    extra = "" if current is None else f" and one that is {'stopped' if current.stopped else 'under way'}"
    return (
        f"Four panels of the pre-training losses against the step, one an objective, and two of HR@10 and NDCG@10 with "
        f"95% intervals, against all films and against 99 drawn ones: {count}{extra}."
    )
