"""Lab "segments": cut a segment out of a sequence and see whether the model tells it from a foreign one."""

import math
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from s3rec_lite.figures import plots
from s3rec_lite.labs.films import titles
from s3rec_lite.labs.lab import Answer, Choice, Lab, Preset, Slider, fix_margins, table
from s3rec_lite.labs.material import STAGES, Material
from s3rec_lite.labs.segment_cuts import LONGEST, RULES, Cut, Prepared, pair_losses, scores, share_with_held_out, stack

_INPUTS = ("context", "positive", "negative")
_LETTERS = "ABCDEFGHIJ"  # names of foreign films in the picture
_KINDS = ("mask token", "film of the user", "foreign film", "foreign, held out")
_GROUPS = {"seen": "people that the models were trained on", "new": "people they never saw"}
_LOG_2 = math.log(2)


def make_lab(material: Material) -> Lab:
    """The lab on the labs' models."""
    prepared = Prepared(material)
    example = prepared.leaky_example()
    return Lab(
        "segments",
        "Segments and their negatives",
        "A segment is cut out of a sequence. From the rest, the model must tell it from a foreign segment in the same "
        "places. When does it succeed, how much does training help, and what can a careless negative give away?",
        (
            Slider("length", "Segment length", 1, LONGEST, 4, unit="films"),
            Slider("start", "First place of the segment", 1, prepared.most, 9),
            prepared.who.slider(),
            Choice("rule", "Negatives", RULES, "clean"),
            Choice("stage", "Model", {stage: _stage_text(stage) for stage in STAGES}, STAGES[-1]),
        ),
        partial(_answer, prepared),
        (Preset("A slice that leaks", {**example, "rule": "leaky"}),) if example else (),
    )


def _stage_text(stage: str) -> str:
    return "untrained" if stage == STAGES[0] else f"pre-trained {stage}"


def _answer(prepared: Prepared, length: int, start: int, user: int, rule: str, stage: str) -> Answer:
    """Cut the same places out of this user's sequence and those of two groups, and let every stage score them."""
    data, number = prepared.data, prepared.who.users[user]
    cut = prepared.cut_out(length, start, number, rule)
    # Losses of this user and of both groups, by stage.
    members = [(group, other) for group, others in prepared.groups.items() for other in others]
    cuts = [cut, *(prepared.cut_out(length, start, other, rule) for _, other in members)]
    pairs = {name: scores(model, stack(cuts, data)) for name, model in prepared.models.items()}  # [1 + members, 2]
    losses = {name: pair_losses(values) for name, values in pairs.items()}
    group_of = np.array(["", *(group for group, _ in members)])
    groups = [group for group in _GROUPS if group in group_of]
    own = {name: float(values[0]) for name, values in losses.items()}
    means = {g: {name: float(values[group_of == g].mean()) for name, values in losses.items()} for g in groups}
    # The same in words.
    positive, negative = pairs[stage][0].tolist()
    facts = {
        "views": cut.views(data),
        "scores": (positive, negative),
        "losses": own,
        "mean_losses": means,
        "probability": math.exp(-own[stage]),
        "foreign_users": prepared.owners[cut.foreign].tolist(),
        "held_out": prepared.held_out[cut.foreign].tolist(),
        "setting": (cut.length, cut.first + 1, cut.user, rule, stage),
    }
    parts = [f"<b>{means[g][stage]:.3f}</b> over {len(prepared.groups[g])} {_GROUPS[g]}" for g in groups]
    words = (
        f"{_where(cut, length, start)} {_whose(prepared, facts, rule)} Model: {_stage_text(stage)}. Score of "
        f"the user's own segment <b>{positive:.3f}</b>, of the foreign one <b>{negative:.3f}</b>; probability of the "
        f"own one, σ(difference): <b>{facts['probability']:.3f}</b>. Loss <b>{own[stage]:.3f} nats</b>; a coin toss "
        f"has log 2 = {_LOG_2:.3f}. Mean loss with the same places cut out: {', '.join(parts)}. "
        f"{prepared.who.words(number)}"
    )
    # The films of both segments side by side.
    mine = [f"{place}: {title}" for place, title in enumerate(titles(data, cut.items[cut.segment], 34), cut.first + 1)]
    foreign = [
        f"{letter}: {title}{' (held out)' * held_out}"
        for letter, title, held_out in zip(
            _LETTERS, titles(data, data.items[cut.foreign], 34), facts["held_out"], strict=False
        )
    ]
    head = ("positive: the user's own segment", "negative: the foreign segment")
    title = f"What the encoder gets: user {cut.user}, {rule} negative"
    return Answer(
        f"<p>{words}</p>{table(list(zip(mine, foreign, strict=True)), head, text=(0, 1))}",
        lambda: _draw(kinds(cut, prepared.held_out[cut.foreign]), cut, own, means, stage, title),
        f"Context, positive and negative of user {cut.user} as rows of slots, and the loss by stage against log 2.",
        facts,
    )


def _where(cut: Cut, length: int, start: int) -> str:
    """Where the segment is, and what could not be had as set."""
    end = cut.first + cut.length
    places = f"place {end}" if cut.length == 1 else f"places {cut.first + 1} to {end}"
    changes = []
    if cut.length < length:
        changes.append(f"length {length} was cut to {cut.length}: a segment has at most half of the films")
    if cut.first + 1 < start:
        changes.append(f"start {start} was moved to {cut.first + 1} so that the segment fits")
    note = f" (<i>{'; '.join(changes)}</i>)" if changes else ""
    return f"User {cut.user}, last {len(cut.items)} training films; the segment fills {places}{note}."


def _whose(prepared: Prepared, facts: dict, rule: str) -> str:
    """Whose films the foreign segment has, and whether held-out ones are among them."""
    *others, last = map(str, sorted(set(facts["foreign_users"])))
    whose = "The foreign segment is from " + (f"users {', '.join(others)} and {last}" if others else f"user {last}")
    if rule == "clean":
        return f"{whose}; the clean rule takes training films only, so nothing held out can be in it."
    count, share = sum(facts["held_out"]), share_with_held_out(prepared.held_out, len(facts["held_out"]))
    what = f"<b>holds {count} held-out interaction{'s' * (count > 1)}</b>" if count else "holds no held-out interaction"
    return f"{whose} and {what}; {share:.1%} of all slices of this length hold one."


def kinds(cut: Cut, leaks: np.ndarray) -> np.ndarray:
    """Which kind of content (mask, own, foreign, held out) stands in each slot of the three inputs: int64 [3, L]."""
    grid = np.zeros((3, len(cut.items)), dtype=np.int64)
    grid[0] = 1
    grid[0, cut.segment] = 0
    grid[1, cut.segment] = 1
    grid[2, cut.segment] = 2 + leaks
    return grid


def _draw(
    grid: np.ndarray, cut: Cut, own: dict[str, float], means: dict[str, dict[str, float]], stage: str, title: str
) -> Figure:
    """The three inputs as rows of slots on the left, the loss of every stage on the right."""
    with plots.style():
        left, right = plots.panels(1, 2, 4.9, 3.0, width_ratios=(1.9, 1))[0]
        fix_margins(left.figure, left=0.08, right=0.99, bottom=0.3, top=0.9, wspace=0.22)
        _draw_slots(left, grid, cut)
        left.set_title(title, loc="left", fontsize=11)
        chosen, colours = list(own).index(stage), plots.palette()
        lines = {"this user": own, **{f"{group} people, mean": values for group, values in means.items()}}
        for index, (label, values) in enumerate(lines.items()):
            look = {"color": colours[index], "marker": plots.MARKERS[index], "linestyle": "--" if index else "-"}
            right.plot(list(values.values()), markersize=5, label=label, **look)
        right.plot(chosen, own[stage], "o", color=colours[0], markersize=11, markeredgecolor="black")
        right.axhline(_LOG_2, color="0.3", linestyle=":", label="log 2")
        right.set_xticks(range(len(own)), [name.replace(" ", "\n") for name in own], fontsize=9)
        highest = max(max(values.values()) for values in lines.values())
        right.set(xlim=(-0.4, len(own) - 0.6), ylim=(0, max(1.0, 1.1 * highest)), ylabel="loss [nats]")
        right.grid(axis="x", visible=False)
        right.legend(loc="upper center", bbox_to_anchor=(0.4, -0.23), ncol=2, fontsize=9, columnspacing=0.8)
    return left.figure


def _draw_slots(ax: Axes, grid: np.ndarray, cut: Cut) -> None:
    """Slots as coloured cells: own films carry their place, foreign films a letter."""
    colours = plots.palette()
    shades: list[Any] = ["0.72", (*colours[0], 0.45), (*colours[1], 0.6), colours[3]]
    edges = [np.arange(count + 1) - 0.5 for count in grid.shape]
    ax.pcolormesh(*edges[::-1], grid, cmap=ListedColormap(shades), vmin=0, vmax=3, edgecolors="white", linewidth=2)
    ax.invert_yaxis()
    for row, column in np.argwhere(grid > 0):
        name = _LETTERS[column - cut.first] if row == 2 else str(column + 1)
        bold: dict[str, Any] = {"color": "white", "weight": "bold"} if grid[row, column] == 3 else {}
        ax.text(column, row, name, ha="center", va="center", fontsize=9, **bold)
    ax.set(yticks=range(3), yticklabels=_INPUTS, xticks=[], xlabel="numbers: place in the sequence, oldest film first")
    ax.grid(False)
    ax.tick_params(length=0)
    keys = [Patch(facecolor=shades[kind], label=_KINDS[kind]) for kind in np.unique(grid)]
    ax.legend(handles=keys, loc="upper center", bbox_to_anchor=(0.45, -0.12), ncol=len(keys), fontsize=9)
