"""Lab "loss weights": whose gradient the four weights let through, at several moments of pre-training."""

import dataclasses
from collections.abc import Mapping
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from s3rec_lite.course import gradients
from s3rec_lite.data import SequenceData
from s3rec_lite.figures import plots
from s3rec_lite.labs.material import INIT, STAGES, Material
from s3rec_lite.labs.view import LEGEND, Answer, Choice, Lab, Preset, Slider, fix_margins, table
from s3rec_lite.model import S3Rec
from s3rec_lite.support.config import OBJECTIVES
from s3rec_lite.views import list_prefixes

LOW, HIGH, STEP = 0.0, 2.0, 0.01
SEQUENCES = 200  # prefixes in the fixed batch
PAPER = {"aap": 0.2, "mip": 1.0, "map": 1.0, "sp": 0.5}
RECBOLE_DOCS = {**PAPER, "aap": 1.0, "mip": 0.2}  # its documentation page has the first two the wrong way round
NAMES = tuple(name.upper() for name in OBJECTIVES)
SHORT = {
    "aap": "AAP (item, attributes)",
    "mip": "MIP (masked item)",
    "map": "MAP (masked attributes)",
    "sp": "SP (segment)",
}
# A finer step than the eye needs: gradients differ in length by a factor of 100, equal shares need small weights.
WEIGHTS = tuple(Slider(name, f"{name.upper()} weight", LOW, HIGH, PAPER[name], STEP) for name in OBJECTIVES)


def stage_text(stage: str) -> str:
    """The moment of pre-training in words."""
    return "before any training" if stage == INIT else f"after {stage}"


def per_prefix(model: S3Rec, data: SequenceData) -> gradients.Probe:
    """Losses and gradients of the fixed batch, divided by its prefixes (no share and no cosine depends on that)."""
    count = min(SEQUENCES, len(list_prefixes(data, model.max_length).ends))
    losses, gram = gradients.probe(model, data, num_sequences=SEQUENCES)
    return gradients.Probe(losses / count, gram / count**2)


def equal_weights(gram: np.ndarray) -> dict[str, float]:
    """Weights that give the four gradients the same length: the largest is 2, each a step of the sliders or more.

    They are rounded to what the sliders can show, so the shares are equal up to that.
    """
    lengths = np.maximum(gradients.norms(gram), 1e-12)  # a gradient of zero has no length to adjust
    exact = HIGH * lengths.min() / lengths
    rounded = np.clip(np.round(exact / STEP) * STEP, STEP, HIGH)
    return dict(zip(OBJECTIVES, (round(float(value), 2) for value in rounded), strict=True))


def fixed_presets() -> tuple[Preset, ...]:
    """The weights that others chose, with what is to be known about them."""
    same = "AAP 0.2, MIP 1, MAP 1, SP 0.5"
    return (
        Preset("Paper", PAPER, f"{same}; the same numbers as the button Authors"),
        Preset("Authors", PAPER, f"{same}: the defaults of the authors' code, the same numbers as the paper's"),
        Preset("RecBole docs", RECBOLE_DOCS, "AAP 1, MIP 0.2, MAP 1, SP 0.5: the first two are the wrong way round"),
    )


def equal_shares(probe: gradients.Probe, stage: str, label: str) -> Preset:
    """A button with `equal_weights` at that moment."""
    tooltip = f"weights that make the four gradients equally long {stage_text(stage)}"
    return Preset(label, equal_weights(probe.gram), tooltip)


def answer(probes: Mapping[str, gradients.Probe], stage: str, **weights: float) -> Answer:
    """Shares, cosines and the combined step for these weights; exact, from 4 losses and 16 inner products."""
    losses, gram = probes[stage]
    chosen = gradients.vector(weights)
    facts = {
        "loss_shares": gradients.loss_shares(losses, chosen),
        "gradient_shares": gradients.shares(gram, chosen),
        "cosines": gradients.cosines(gram),
        "step_cosines": gradients.alignments(gram, chosen),
        "slopes": gradients.slopes(gram, chosen),
        "step_length": gradients.step_length(gram, chosen),
        "weights": {name: float(weights[name]) for name in OBJECTIVES},
        "stage": stage,
    }
    rows = [
        (
            SHORT[name], f"{chosen[place]:.2f}", f"{losses[place]:.2f}",
            _percent(facts["loss_shares"][place]), _percent(facts["gradient_shares"][place]),
            _cosine(facts["step_cosines"][place]),
        )
        for place, name in enumerate(OBJECTIVES)
    ]  # fmt: skip
    head = ("objective", "weight", "its loss [nats per prefix]", "share of the loss", "share of the gradient",
            "cosine with joint step")  # fmt: skip
    pairs = [(NAMES[row], *(_cosine(value) for value in facts["cosines"][row])) for row in range(len(NAMES))]
    alt = (
        f"Three panels {stage_text(stage)}: shares of the four objectives in the loss and in the gradient, a map of "
        "the cosines between their gradients, and the cosine of the joint step with each of them."
    )
    return Answer(
        f"<p>{in_words(facts)}</p>{table(rows, head)}<p>Cosine between two objectives' gradients; the weights do not "
        f"change it:</p>{table(pairs, ('', *NAMES))}",
        partial(figure, facts), alt, facts,
    )  # fmt: skip


def in_words(facts: Mapping) -> str:
    """One or two sentences on what the numbers say."""
    when = stage_text(facts["stage"])
    if not facts["step_length"]:
        return f"{when.capitalize()}: the joint step has no length, so nothing would be learned. Raise a weight."
    part, lead = facts["gradient_shares"], int(facts["gradient_shares"].argmax())
    text = (
        f"{when.capitalize()}, {NAMES[lead]} has {_percent(part[lead])} of the gradient and "
        f"{_percent(facts['loss_shares'][lead])} of the loss. "
    )
    worse = [NAMES[place] for place in range(len(NAMES)) if facts["slopes"][place] > 0]
    if worse:
        return text + f"To first order, one small step down the joint gradient raises the loss of {', '.join(worse)}."
    return text + "To first order, one small step down the joint gradient lowers all four losses."


def figure(facts: Mapping) -> Figure:
    """Shares, the map of cosines, and the joint step against each objective."""
    left, middle, right = plots.panels(1, 3, 3.25, 3.2)[0]
    colours, places = plots.palette(), np.arange(len(NAMES))
    ticks = [f"{name}\n× {facts['weights'][key]:.2f}" for name, key in zip(NAMES, OBJECTIVES, strict=True)]
    for side, (key, label, hatch) in enumerate((("loss_shares", "loss", ""), ("gradient_shares", "gradient", "///"))):
        values = 100 * np.nan_to_num(facts[key])
        bars = left.bar(
            places + 0.4 * (side - 0.5), values, 0.4, color=colours[side], hatch=hatch, edgecolor="white", label=label
        )
        left.bar_label(bars, fmt="%.1f", fontsize=8, padding=1)
    left.set_ylim(0, 112)
    left.set_yticks(range(0, 101, 25))
    left.set_ylabel("share [%]")
    left.set_title("share in loss and gradient", loc="left")
    left.legend(loc="upper left", ncol=2, columnspacing=1, borderaxespad=0.2, **LEGEND)
    draw_cosines(middle, facts["cosines"])
    values = np.nan_to_num(facts["step_cosines"])
    bars = right.bar(places, values, 0.6, color=colours[2], edgecolor="white")
    right.bar_label(bars, labels=[_cosine(value) for value in facts["step_cosines"]], fontsize=9, padding=2)
    right.axhline(0, color="0.3", linewidth=1)
    right.set_ylim(-1.15, 1.15)
    right.set_yticks((-1, -0.5, 0, 0.5, 1))
    right.set_title("cosine of the joint step", loc="left")
    for axes in (left, right):
        axes.set_xticks(places, ticks)
        axes.grid(axis="x", visible=False)
    fix_margins(left.figure)
    for axes, (start, width) in zip((left, middle, right), ((0.075, 0.3), (0.435, 0.225), (0.72, 0.27)), strict=True):
        axes.set_position((start, 0.16, width, 0.74))
    return left.figure


def draw_cosines(axes: Axes, values: np.ndarray) -> None:
    """The symmetric map, with its numbers."""
    axes.imshow(np.nan_to_num(values), cmap="PuOr", vmin=-1, vmax=1, aspect="auto")
    for row, column in np.ndindex(*values.shape):
        shade = "white" if abs(values[row, column]) > 0.7 else "black"
        text = _cosine(values[row, column], 2)
        axes.text(column, row, text, ha="center", va="center", color=shade, fontsize=9)
    axes.set_xticks(range(len(NAMES)), NAMES)
    axes.set_yticks(range(len(NAMES)), NAMES)
    axes.set_title("cosine of each pair", loc="left")
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)


def _percent(value: float) -> str:
    return "none" if np.isnan(value) else f"{100 * value:.1f}%"


def _cosine(value: float, digits: int = 3) -> str:
    return "none" if np.isnan(value) else f"{round(float(value), digits) + 0.0:.{digits}f}"  # no "-0.00"


def make_lab(material: Material) -> Lab:
    """The lab on the checkpoints of pre-training: one batch and four gradients each, without dropout."""
    probes = {stage: per_prefix(material.models[stage], material.some) for stage in STAGES}
    equal = [equal_shares(probes[stage], stage, f"Equal shares, {stage_text(stage)}") for stage in STAGES]
    equal = [dataclasses.replace(preset, settings={**preset.settings, "stage": stage})
             for stage, preset in zip(STAGES, equal, strict=True)]  # fmt: skip
    return Lab(
        "loss-weights",
        "Whose gradient moves the model?",
        "The joint loss is a weighted sum, but a weight of 1 is no equal say. Which objective rules the gradient of "
        "the weights that all four share, does the joint step help each of them, and do the weights that make it fair "
        "before training still do so later?",
        (*WEIGHTS, Choice("stage", "Checkpoint", tuple((stage_text(stage), stage) for stage in STAGES), INIT)),
        partial(answer, probes),
        (*fixed_presets(), *equal),
    )
