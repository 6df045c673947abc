"""What the lab "train" shows of its runs: the curves laid over each other, and a table that compares them."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from s3rec_lite.experiments.comparisons import Comparison, Report, compare
from s3rec_lite.figures import plots
from s3rec_lite.labs.runs import METRICS, PROTOCOLS, Run
from s3rec_lite.labs.view import fix_margins, table
from s3rec_lite.support.config import OBJECTIVES

MAX_RUNS = 8
LINES = ("-", "--", ":", "-.")
SIGN_OF_EMPTY = "Press Start"
HEAD = ("run", "AAP / MIP / MAP / SP", "epochs", "users", "ranked against", *METRICS, "NDCG@10 minus that of run 1")


def draw_runs(runs: Sequence[Run], current: Run | None = None) -> Figure:
    """Pre-training losses step by step, and the test metrics, of all runs and of the one under way.

    Each run has its own colour, line and marker. An objective of weight 0 has no curve.
    """
    axes = plots.panels(2, 3, 3.3, 2.05)
    shown = [(f"run {place + 1}", place, run) for place, run in enumerate(runs)]
    if current is not None:
        shown.append(("stopped" if current.stopped else "under way", len(runs), current))
    for index, name in enumerate(OBJECTIVES):
        draw_losses(axes[index // 2, index % 2], shown, index)
        axes[index // 2, index % 2].set_title(plots.OBJECTIVE_TITLES[name], loc="left")
        axes[index // 2, index % 2].set_ylabel("" if index % 2 else "nats per prefix")
    for place, protocol in zip(axes[:, 2], PROTOCOLS, strict=True):
        draw_results(place, shown, protocol)
    last = max((run.num_steps for *_, run in shown), default=1)
    for place in axes[:, :2].flat:
        place.set_xlim(0, last * 1.03)
    for place in axes[0]:
        place.tick_params(labelbottom=False)  # as below
    for place in axes[1, :2]:
        place.set_xlabel("pre-training step")
    handles, labels = axes[0, 2].get_legend_handles_labels()
    figure = axes[0, 0].figure
    if handles:
        figure.legend(handles, labels, loc="lower center", ncol=len(labels), frameon=False, fontsize=9)
    fix_margins(figure)
    for (row, column), place in np.ndenumerate(axes):
        place.set_position((0.075 + 0.335 * column, 0.61 - 0.4 * row, 0.25, 0.31))
    return figure


def draw_losses(axes: Axes, shown: Sequence[tuple[str, int, Run]], index: int) -> None:
    """One objective's loss against the step, a line a run."""
    for _, place, run in shown:
        values = run.losses[:, index]
        if np.isfinite(values).any():
            steps = np.arange(1, len(values) + 1)
            colour = plots.palette()[place]
            axes.plot(steps, values, LINES[place % len(LINES)], color=colour, linewidth=1.6)
            axes.plot(steps[-1], values[-1], plots.MARKERS[place % len(plots.MARKERS)], color=colour, markersize=6)
    if not axes.lines:
        text = "weight 0: not computed" if any(len(run.losses) for *_, run in shown) else SIGN_OF_EMPTY
        axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="0.35")
        axes.set_yticks([])
    axes.margins(y=0.12)
    axes.grid(axis="x", visible=False)


def draw_results(axes: Axes, shown: Sequence[tuple[str, int, Run]], protocol: str) -> None:
    """HR@10 and NDCG@10 with their intervals, a marker a run. Runs without results only enter the legend."""
    for label, place, run in shown:
        colour, marker = plots.palette()[place], plots.MARKERS[place % len(plots.MARKERS)]
        axes.plot([], [], LINES[place % len(LINES)], color=colour, marker=marker, label=label)
        if protocol not in run.results:
            continue
        values = np.array([run.results[protocol][metric] for metric in METRICS])  # [2, 3]
        spread = 0.7 * (place + 0.5) / len(shown) - 0.35
        axes.errorbar(
            np.arange(len(METRICS)) + spread, values[:, 0], yerr=np.abs(values[:, 1:] - values[:, :1]).T,
            fmt=marker, color=colour, markersize=6, capsize=3, linewidth=1.6,
        )  # fmt: skip
    axes.set_xticks(range(len(METRICS)), METRICS)
    axes.set_xlim(-0.5, len(METRICS) - 0.5)
    axes.set_ylim(bottom=0)
    axes.set_title(f"test, against {PROTOCOLS[protocol]}", loc="left")
    axes.grid(axis="x", visible=False)
    if not any(run.results for *_, run in shown):
        axes.set_yticks([])


@lru_cache(maxsize=4 * MAX_RUNS)
def against(report: Report, first: Report) -> Comparison:
    """The difference in NDCG@10; kept, since the same runs are shown again and again."""
    return compare(report, first, "NDCG@10")


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
            head = (number, weights, run.settings.epochs, run.num_users) if protocol == "full" else ("",) * 4
            rows.append((*head, label, *values, difference))
    count = f"{len(runs[0].reports['full'].users):,}"
    words = (
        f"In brackets: 95% intervals over {count} test users. A difference is called clear when its own interval "
        "leaves out 0 and a test by exchanging the two runs agrees. Another seed would move the numbers too."
    )
    return f"<p>{words}</p><div style='font-size:0.8em'>{table(rows, HEAD)}</div>"


def verdict(report: Report, first: Report) -> str:
    """A difference, its interval, and whether it is larger than chance over users allows."""
    found = against(report, first)
    if not found.low and not found.high:
        return "the same"
    word = "clear" if found.larger_than_chance else "not clear"
    return f"{found.difference:+.3f} ({found.low:+.3f} to {found.high:+.3f}), {word}"


def in_words(runs: Sequence[Run], current: Run | None = None) -> str:
    """The picture in words."""
    count = f"{len(runs)} finished run{'' if len(runs) == 1 else 's'}"
    extra = "" if current is None else f" and one that is {'stopped' if current.stopped else 'under way'}"
    if not runs and current is None:
        return "Six empty panels: four for pre-training losses, two for test results."
    return (
        f"Four panels of the pre-training losses against the step, one an objective, and two of HR@10 and NDCG@10 with "
        f"95% intervals, against all films and against 99 drawn ones: {count}{extra}."
    )
