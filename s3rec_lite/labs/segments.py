"""Lab "segments": cut a segment out of a sequence and see whether the model tells it from a foreign one."""

import math
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from s3rec_lite.figures import plots
from s3rec_lite.labs import segment_cuts
from s3rec_lite.labs.films import titles
from s3rec_lite.labs.material import STAGES, Material
from s3rec_lite.labs.segment_cuts import LONGEST, NEW, RULES, SEEN, Cut, Prepared
from s3rec_lite.labs.view import Answer, Choice, Lab, Preset, Slider, fix_margins, table

INPUTS = ("context", "positive", "negative")
LETTERS = "ABCDEFGHIJ"  # names of foreign films in the picture
KINDS = ("mask token", "film of the user", "foreign film", "foreign, held out")
LOG_2 = math.log(2)


def answer(prepared: Prepared, length: int, start: int, user: int, rule: str, stage: str) -> Answer:
    """Cut the same places out of this user's sequence and those of two groups, and let every stage score them."""
    number, groups = prepared.who.users[user], prepared.groups
    everybody = [number, *(other for group in groups.values() for other in group)]
    cuts = [segment_cuts.cut_out(prepared, length, start, other, rule) for other in everybody]
    views, cut = segment_cuts.stack(cuts, prepared.data), cuts[0]
    pairs = {name: segment_cuts.scores(prepared.material.models[name], views) for name in STAGES}
    losses = {name: segment_cuts.pair_losses(made) for name, made in pairs.items()}
    own = {name: float(values[0]) for name, values in losses.items()}
    means, begin = {}, 1
    for group, members in groups.items():
        if members:
            means[group] = {name: float(values[begin : begin + len(members)].mean()) for name, values in losses.items()}
        begin += len(members)
    positive, negative = map(float, pairs[stage][0])
    leaks = prepared.held_out[cut.foreign]
    facts = {
        "views": cut.views(prepared.data), "scores": (positive, negative), "losses": own, "mean_losses": means,
        "probability": math.exp(-own[stage]), "foreign_users": prepared.owners[cut.foreign].tolist(),
        "held_out": leaks.tolist(), "setting": (cut.length, cut.first + 1, cut.user, rule, stage),
    }  # fmt: skip
    words = (
        f"{place_words(cut, length, start)} {leak_words(prepared, cut, rule)} Model: {stage_words(stage)}. Score of "
        f"the user's own segment <b>{positive:.3f}</b>, of the foreign one <b>{negative:.3f}</b>; probability of the "
        f"own one, σ(difference): <b>{facts['probability']:.3f}</b>. Loss <b>{own[stage]:.3f} nats</b>; a coin toss "
        f"has log 2 = {LOG_2:.3f}. {group_words(prepared, means, stage)} {prepared.who.words(number)}"
    )
    alt = f"Context, positive and negative of user {cut.user} as rows of slots, and the loss by stage against log 2."
    title = f"What the encoder gets: user {cut.user}, {rule} negative"
    return Answer(
        f"<p>{words}</p>{segment_table(prepared, cut)}",
        lambda: figure(kinds(cut, leaks), cut, own, means, stage, title), alt, facts,
    )  # fmt: skip


def group_words(prepared: Prepared, means: dict[str, dict[str, float]], stage: str) -> str:
    """Mean losses of the groups in a sentence."""
    names = {SEEN: "people that the models were trained on", NEW: "people they never saw"}
    parts = [
        f"<b>{values[stage]:.3f}</b> over {len(prepared.groups[group])} {names[group]}"
        for group, values in means.items()
    ]
    return f"Mean loss with the same places cut out: {', '.join(parts)}."


def stage_words(stage: str) -> str:
    """How texts call a model."""
    return "untrained" if stage == STAGES[0] else f"pre-trained {stage}"


def place_words(cut: Cut, length: int, start: int) -> str:
    """Where the segment is, and what could not be had as set."""
    end = cut.first + cut.length
    places = f"place {end}" if cut.length == 1 else f"places {cut.first + 1} to {end}"
    clamped = []
    if cut.length < length:
        clamped.append(f"length {length} was cut to {cut.length}: a segment has at most half of the films")
    if cut.first + 1 < start:
        clamped.append(f"start {start} was moved to {cut.first + 1} so that the segment fits")
    note = f" (<i>{'; '.join(clamped)}</i>)" if clamped else ""
    return f"User {cut.user}, last {len(cut.items)} training films; the segment fills {places}{note}."


def leak_words(prepared: Prepared, cut: Cut, rule: str) -> str:
    """Whose films the foreign segment has, and whether held-out ones are among them."""
    owners = sorted(set(prepared.owners[cut.foreign].tolist()))
    whose = "The foreign segment is from user" + (
        f" {owners[0]}" if len(owners) == 1 else f"s {', '.join(map(str, owners[:-1]))} and {owners[-1]}"
    )
    if rule == "clean":
        return f"{whose}; the clean rule takes training films only, so nothing held out can be in it."
    count = int(prepared.held_out[cut.foreign].sum())
    share = segment_cuts.share_with_held_out(prepared.held_out, cut.length)
    found = (
        f"<b>holds {count} held-out interaction{'s' * (count > 1)}</b>" if count else "holds no held-out interaction"
    )
    return f"{whose} and {found}; {share:.1%} of all slices of this length hold one."


def segment_table(prepared: Prepared, cut: Cut) -> str:
    """HTML: the films of both segments side by side."""
    data, rows = prepared.data, []
    own, foreign = titles(data, cut.items[cut.segment], 34), titles(data, data.items[cut.foreign], 34)
    for index, place in enumerate(cut.foreign):
        held = " (held out)" if prepared.held_out[place] else ""
        rows.append((f"{cut.first + index + 1}: {own[index]}", f"{LETTERS[index]}: {foreign[index]}{held}"))
    return table(rows, ("positive: the user's own segment", "negative: the foreign segment"), (0, 1))


def kinds(cut: Cut, leaks: np.ndarray) -> np.ndarray:
    """Which of `KINDS` stands in each slot: int64 [3, L]."""
    grid = np.zeros((3, len(cut.items)), dtype=np.int64)
    grid[0] = 1
    grid[0, cut.segment] = 0
    grid[1, cut.segment] = 1
    grid[2, cut.segment] = 2 + leaks
    return grid


def figure(
    grid: np.ndarray, cut: Cut, own: dict[str, float], means: dict[str, dict[str, float]], stage: str, title: str
) -> Figure:
    """The three inputs as rows of slots on the left, the loss of every stage on the right."""
    with plots.style():
        left, right = plots.panels(1, 2, 4.9, 3.0, width_ratios=(1.9, 1))[0]
        fix_margins(left.figure, left=0.08, right=0.99, bottom=0.3, top=0.9, wspace=0.22)
        draw_slots(left, grid, cut)
        left.set_title(title, loc="left", fontsize=11)
        chosen, colours = list(own).index(stage), plots.palette()
        lines = {"this user": own, **{f"{group} people, mean": values for group, values in means.items()}}
        for index, (label, values) in enumerate(lines.items()):
            right.plot(
                list(values.values()), color=colours[index], marker=plots.MARKERS[index], markersize=5,
                linestyle="--" if index else "-", label=label,
            )  # fmt: skip
        right.plot(chosen, own[stage], "o", color=colours[0], markersize=11, markeredgecolor="black")
        right.axhline(LOG_2, color="0.3", linestyle=":", label="log 2")
        right.set_xticks(range(len(own)), [name.replace(" ", "\n") for name in own], fontsize=9)
        right.set_xlim(-0.4, len(own) - 0.6)
        right.set_ylim(0, max(1.0, 1.1 * max(max(values.values()) for values in lines.values())))
        right.set_ylabel("loss [nats]")
        right.grid(axis="x", visible=False)
        right.legend(loc="upper center", bbox_to_anchor=(0.4, -0.23), ncol=2, fontsize=9, columnspacing=0.8)
    return left.figure


def draw_slots(ax: Axes, grid: np.ndarray, cut: Cut) -> None:
    """Slots as coloured cells: own films carry their place, foreign films a letter."""
    colours = plots.palette()
    shades = ["0.72", (*colours[0], 0.45), (*colours[1], 0.6), colours[3]]
    edges = [np.arange(count + 1) - 0.5 for count in grid.shape]
    ax.pcolormesh(*edges[::-1], grid, cmap=ListedColormap(shades), vmin=0, vmax=3, edgecolors="white", linewidth=2)
    ax.invert_yaxis()
    for row, column in np.argwhere(grid > 0):
        name = LETTERS[column - cut.first] if row == 2 else str(column + 1)
        bold = {"color": "white", "weight": "bold"} if grid[row, column] == 3 else {}
        ax.text(column, row, name, ha="center", va="center", fontsize=9, **bold)
    ax.set_yticks(range(3), INPUTS)
    ax.set_xticks([])
    ax.grid(False)
    ax.tick_params(length=0)
    ax.set_xlabel("numbers: place in the sequence, oldest film first")
    used = [kind for kind in range(len(KINDS)) if (grid == kind).any()]
    keys = [Patch(facecolor=shades[kind], label=KINDS[kind]) for kind in used]
    ax.legend(handles=keys, loc="upper center", bbox_to_anchor=(0.45, -0.12), ncol=len(keys), fontsize=9)


def make_lab(material: Material) -> Lab:
    """The lab on the labs' models."""
    prepared = segment_cuts.prepare(material)
    example = segment_cuts.leaky_example(prepared)
    presets = (Preset("A slice that leaks", {**example, "rule": "leaky"}),) if example else ()
    return Lab(
        "segments",
        "Segments and their negatives",
        "A segment is cut out of a sequence. From the rest, the model must tell it from a foreign segment in the same "
        "places. When does it succeed, how much does training help, and what can a careless negative give away?",
        (
            Slider("length", "Segment length", 1, LONGEST, 4, unit="films"),
            Slider("start", "First place of the segment", 1, prepared.most, 9),
            prepared.who.slider(),
            Choice("rule", "Negatives", tuple((text, rule) for rule, text in RULES.items()), "clean"),
            Choice("stage", "Model", tuple((stage_words(stage), stage) for stage in STAGES), STAGES[-1]),
        ),
        partial(answer, prepared),
        presets,
    )
