"""Lab "loss weights": whose gradient the four weights let through, at several moments of pre-training."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from s3rec_lite.data import SequenceData
from s3rec_lite.figures import plots
from s3rec_lite.information import gradients
from s3rec_lite.labs.lab import LEGEND, Answer, Choice, Lab, Preset, Slider, place_panels, table
from s3rec_lite.labs.material import INIT, STAGES, Material
from s3rec_lite.model import S3Rec
from s3rec_lite.support.config import OBJECTIVES
from s3rec_lite.views import list_prefixes

# A finer step than the eye needs: gradients differ in length by a factor of 100, equal shares need small weights.
_HIGH, _STEP = 2.0, 0.01
_SEQUENCES = 200  # prefixes in the fixed batch
PAPER = {"aap": 0.2, "mip": 1.0, "map": 1.0, "sp": 0.5}
RECBOLE_DOCS = {**PAPER, "aap": 1.0, "mip": 0.2}  # its documentation page has the first two the wrong way round
WEIGHTS = tuple(Slider(name, f"{name.upper()} weight", 0.0, _HIGH, PAPER[name], _STEP) for name in OBJECTIVES)
FIXED_PRESETS = (
    Preset("Paper", PAPER, "AAP 0.2, MIP 1, MAP 1, SP 0.5; the same numbers as the button Authors"),
    Preset(
        "Authors",
        PAPER,
        "AAP 0.2, MIP 1, MAP 1, SP 0.5: the defaults of the authors' code, the same numbers as the paper's",
    ),
    Preset("RecBole docs", RECBOLE_DOCS, "AAP 1, MIP 0.2, MAP 1, SP 0.5: the first two are the wrong way round"),
)
_NAMES = tuple(name.upper() for name in OBJECTIVES)
_TITLES = ("AAP (item, attributes)", "MIP (masked item)", "MAP (masked attributes)", "SP (segment)")


def make_lab(material: Material) -> Lab:
    """The lab on the checkpoints of pre-training: one batch and four gradients each, without dropout."""
    probes = {stage: probe(material.models[stage], material.some) for stage in STAGES}
    equal = [
        Preset(f"Equal shares, {_stage_text(stage)}", {**equal_weights(gram), "stage": stage}, equal_tooltip(stage))
        for stage, (_, gram) in probes.items()
    ]
    return Lab(
        "loss-weights",
        "Whose gradient moves the model?",
        "The joint loss is a weighted sum, but a weight of 1 is no equal say. Which objective rules the gradient of "
        "the weights that all four share, does the joint step help each of them, and do the weights that make it fair "
        "before training still do so later? (Multiply all four weights by one number: no share changes, and Adam's "
        "step does not either. Only their ratios count.)",
        (*WEIGHTS, Choice("stage", "Checkpoint", {stage: _stage_text(stage) for stage in STAGES}, INIT)),
        partial(answer, probes),
        (*FIXED_PRESETS, *equal),
    )


def _stage_text(stage: str) -> str:
    return "before any training" if stage == INIT else f"after {stage}"


def probe(model: S3Rec, data: SequenceData) -> gradients.Probe:
    """Losses and gradients of the fixed batch, divided by its prefixes (no share and no cosine depends on that)."""
    count = min(_SEQUENCES, len(list_prefixes(data, model.max_length).ends))
    losses, gram = gradients.probe(model, data, num_sequences=_SEQUENCES)
    return gradients.Probe(losses / count, gram / count**2)


def equal_weights(gram: np.ndarray) -> dict[str, float]:
    """Weights that give the four gradients the same length: the largest is 2, each a step of the sliders or more.

    They are rounded to what the sliders can show, so the shares are equal up to that.
    """
    lengths = np.maximum(gradients.norms(gram), 1e-12)  # a gradient of zero has no length to adjust
    rounded = np.clip(np.round(_HIGH * lengths.min() / lengths / _STEP) * _STEP, _STEP, _HIGH)
    return dict(zip(OBJECTIVES, rounded.round(2).tolist(), strict=True))


def equal_tooltip(stage: str) -> str:
    """What the button with `equal_weights` says."""
    return f"weights that make the four gradients equally long {_stage_text(stage)}"


def answer(probes: Mapping[str, gradients.Probe], stage: str, **weights: float) -> Answer:
    """Shares, cosines and the combined step for these weights; exact, from 4 losses and 16 inner products."""
    losses, gram = probes[stage]
    chosen = gradients.vector(weights)
    facts: dict[str, Any] = {
        "loss_shares": gradients.loss_shares(losses, chosen),
        "gradient_shares": gradients.shares(gram, chosen),
        "cosines": gradients.cosines(gram),
        "step_cosines": gradients.alignments(gram, chosen),
        "slopes": gradients.slopes(gram, chosen),
        "step_length": gradients.step_length(gram, chosen),
        "weights": {name: float(weights[name]) for name in OBJECTIVES},
        "stage": stage,
    }
    columns = (
        _TITLES,
        [f"{weight:.2f}" for weight in chosen],
        [f"{loss:.2f}" for loss in losses],
        map(_percent, facts["loss_shares"]),
        map(_percent, facts["gradient_shares"]),
        map(_cosine, facts["step_cosines"]),
    )
    head = ("objective", "weight", "its loss [nats per prefix]", "share of the loss", "share of the gradient")
    rows = list(zip(*columns, strict=True))
    pairs = [(name, *map(_cosine, row)) for name, row in zip(_NAMES, facts["cosines"], strict=True)]
    return Answer(
        f"<p>{_words(facts)}</p>{table(rows, (*head, 'cosine with joint step'))}<p>Cosine between two objectives' "
        f"gradients; the weights do not change it:</p>{table(pairs, ('', *_NAMES))}",
        partial(_draw, facts),
        f"Three panels {_stage_text(stage)}: shares of the four objectives in the loss and in the gradient, a map of "
        "the cosines between their gradients, and the cosine of the joint step with each of them.",
        facts,
    )


def _words(facts: Mapping) -> str:
    """One or two sentences on what the numbers say."""
    when = _stage_text(facts["stage"]).capitalize()
    if not facts["step_length"]:
        return f"{when}: the joint step has no length, so nothing would be learned. Raise a weight."
    lead = int(facts["gradient_shares"].argmax())
    worse = [name for name, slope in zip(_NAMES, facts["slopes"], strict=True) if slope > 0]
    effect = f"raises the loss of {', '.join(worse)}" if worse else "lowers all four losses"
    return (
        f"{when}, {_NAMES[lead]} has {_percent(facts['gradient_shares'][lead])} of the gradient and "
        f"{_percent(facts['loss_shares'][lead])} of the loss. To first order, one small step down the joint gradient "
        f"{effect}."
    )


def _draw(facts: Mapping) -> Figure:
    """Shares, the map of cosines, and the joint step against each objective."""
    left, middle, right = panels = plots.panels(1, 3, 3.25, 3.2)[0]
    colours, columns = plots.palette(), np.arange(len(_NAMES))
    # Shares in loss and gradient, side by side.
    for side, (label, hatch) in enumerate((("loss", ""), ("gradient", "///"))):
        values = 100 * np.nan_to_num(facts[f"{label}_shares"])
        look = {"color": colours[side], "hatch": hatch, "edgecolor": "white"}
        bars = left.bar(columns + 0.4 * (side - 0.5), values, 0.4, label=label, **look)
        left.bar_label(bars, fmt="%.1f", fontsize=8, padding=1)
    left.set(ylim=(0, 112), yticks=range(0, 101, 25), ylabel="share [%]")
    left.set_title("share in loss and gradient", loc="left")
    left.legend(loc="upper left", ncol=2, columnspacing=1, borderaxespad=0.2, **LEGEND)
    _draw_cosines(middle, facts["cosines"])
    # The joint step.
    bars = right.bar(columns, np.nan_to_num(facts["step_cosines"]), 0.6, color=colours[2], edgecolor="white")
    right.bar_label(bars, labels=list(map(_cosine, facts["step_cosines"])), fontsize=9, padding=2)
    right.axhline(0, color="0.3", linewidth=1)
    right.set(ylim=(-1.15, 1.15), yticks=(-1, -0.5, 0, 0.5, 1))
    right.set_title("cosine of the joint step", loc="left")
    ticks = [f"{name}\n× {weight:.2f}" for name, weight in zip(_NAMES, facts["weights"].values(), strict=True)]
    for axes in (left, right):
        axes.set_xticks(columns, ticks)
        axes.grid(axis="x", visible=False)
    place_panels(panels, ((0.075, 0.3), (0.435, 0.225), (0.72, 0.27)), 0.16, 0.74)
    return left.figure


def _draw_cosines(axes: Axes, values: np.ndarray) -> None:
    """The symmetric map, with its numbers."""
    axes.imshow(np.nan_to_num(values), cmap="PuOr", vmin=-1, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        shade = "white" if abs(value) > 0.7 else "black"
        axes.text(column, row, _cosine(value, 2), ha="center", va="center", color=shade, fontsize=9)
    axes.set(xticks=range(len(_NAMES)), xticklabels=_NAMES, yticks=range(len(_NAMES)), yticklabels=_NAMES)
    axes.set_title("cosine of each pair", loc="left")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _percent(value: float) -> str:
    return "none" if np.isnan(value) else f"{100 * value:.1f}%"


def _cosine(value: float, digits: int = 3) -> str:
    return "none" if np.isnan(value) else f"{round(float(value), digits) + 0.0:.{digits}f}"  # no "-0.00"
