"""Lab "attention": which films each film of a sequence looks at, head by head."""

import math
from functools import partial

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from s3rec_lite.figures import plots
from s3rec_lite.labs.films import People, people, titles
from s3rec_lite.labs.lab import Answer, Choice, Lab, Preset, Slider, fix_margins, name_rows, table
from s3rec_lite.labs.material import EPOCHS, INIT, PRETRAINED, Material, after
from s3rec_lite.model import S3Rec
from s3rec_lite.support.config import ModelConfig
from s3rec_lite.support.fast import RandomDropout

_MOST_FILMS, _MOST_LOOKED_AT = 12, 3
_BRIGHT = 0.5  # weights from here on have the brightest colour
_MODELS = {
    INIT: "untrained",
    after(EPOCHS[-1]): f"pre-trained {EPOCHS[-1]} epochs",
    PRETRAINED: "pre-trained, then fine-tuned",
}
_MASKS = {True: "Causal", False: "Bidirectional"}
_RULES = {
    True: "Causal mask, as in fine-tuning: a film sees itself and older films.",
    False: "Bidirectional, as in pre-training: every film sees all films.",
}


def make_lab(material: Material) -> Lab:
    """The lab on the labs' models."""
    who, config = people(material), material.models[INIT].config
    return Lab(
        "attention",
        "Attention maps",
        "Bright cells show which films a film looks at. What do the heads prefer: the newest film, a few particular "
        "ones, or all alike? And what did training change?",
        (
            Slider("layer", "Layer", 1, config.n_layers, 1),
            Slider("head", "Head", 1, config.n_heads, 1),
            who.slider(),
            Choice("causal", "Mask", _MASKS, True),
            Choice("model", "Model", _MODELS, PRETRAINED),
        ),
        partial(_answer, material, who),
        (
            Preset("Before training", {"model": INIT}),
            Preset("As pre-training sees it", {"model": after(EPOCHS[-1]), "causal": False}),
            Preset("As the recommender sees it", {"model": PRETRAINED, "causal": True}),
        ),
    )


class _Recorder(RandomDropout):
    """No dropout, but it keeps what the encoder passes through it: one head's weights [B, L, L] after the other."""

    def __init__(self, config: ModelConfig):
        super().__init__(config, None)
        self.weights: list[Tensor] = []

    def attention(self, x: Tensor) -> Tensor:
        self.weights.append(x)
        return x


def attention_weights(model: S3Rec, items: Tensor, causal: bool) -> Tensor:
    """How much each position (row) looks at each other one: items [B, L] -> [layers, heads, B, L, L], equation (6).

    Rows sum to 1.
    """
    recorder = _Recorder(model.config)
    with model.evaluating():
        x, mask = model.embed(items, recorder, causal), model.attention_mask(items, causal)
        for block in model.blocks:
            x = block(x, mask, recorder)
    return torch.stack(recorder.weights).unflatten(0, (len(model.blocks), -1))


def entropy(weights: np.ndarray) -> float:
    """Entropy of weights that sum to 1, in nats; 0 log 0 is 0."""
    weights = weights[weights > 0].astype(np.float64)
    return float(-(weights * np.log(weights)).sum()) + 0.0


def _answer(material: Material, who: People, layer: int, head: int, user: int, causal: bool, model: str) -> Answer:
    """One map, and what stands in its last row."""
    number = who.users[user]
    items = material.data.history(number, "train")[-_MOST_FILMS:]
    batch = torch.from_numpy(items)[None]
    weights = attention_weights(material.models[model], batch, causal)[layer - 1, head - 1, 0].numpy()  # [L, L]
    last, count = weights[-1], len(items)
    order = np.argsort(-last, kind="stable")[:_MOST_LOOKED_AT]
    facts = {
        "weights": weights,
        "newest": float(last[-1]),
        "entropy": entropy(last),
        "most": math.log(count),
        "looked_at": [(int(items[index]), float(last[index])) for index in order],
        "newer": float(np.triu(weights, 1).sum() / count),
        "setting": (layer, head, number, causal, model),
    }
    mask = _MASKS[causal].lower()
    what = f"layer {layer}, head {head}, user {number}; the model is {_MODELS[model]}"
    words = (
        f"{_RULES[causal]} Shown: {what}. These are the last {count} training films. The newest film gives itself "
        f"<b>{last[-1]:.3f}</b> of its weight (even shares: {1 / count:.3f}). Entropy of its row: "
        f"<b>{facts['entropy']:.3f} nats</b>; looking at all alike would be log {count} = {facts['most']:.3f}. "
        f"Over all rows, {'none' if causal else format(facts['newer'], '.1%')} of the weight goes to newer films. "
        f"{who.words(number)}"
    )
    age = {0: "itself", 1: "one film before it"}
    names = titles(material.data, items, 28)
    rows = []
    for index in order:
        steps = count - 1 - index
        rows.append((f"{names[index]} ({age.get(steps, f'{steps} films before it')})", f"{last[index]:.3f}"))
    title = f"layer {layer}, head {head} · {mask} · user {number}"
    return Answer(
        f"<p>{words}</p>{table(rows, ('the newest film looks most at', 'weight'))}",
        lambda: _draw(titles(material.data, items), weights, causal, title),
        f"Attention map of {count} films ({mask}, {what}), and the row of the newest film as bars.",
        facts,
    )


def _draw(names: list[str], weights: np.ndarray, causal: bool, title: str) -> Figure:
    """The map with rows that look at columns, and its last row as bars. names: of the films, oldest first."""
    rows = np.arange(len(names))
    with plots.style():
        left, right = plots.panels(1, 2, 4.9, 3.5, width_ratios=(1.2, 1), sharey=True)[0]
        fix_margins(left.figure, left=0.24, right=0.985, bottom=0.15, top=0.9, wspace=0.14)
        # The map. What the causal mask hides has no colour of the scale.
        left.set_facecolor("0.85")
        future = np.triu(np.ones_like(weights, dtype=bool), 1)
        shown = np.where(future & causal, np.nan, weights)
        image = left.imshow(shown, cmap="cividis", vmin=0, vmax=_BRIGHT, aspect="auto")
        left.set_xticks(rows, rows + 1, fontsize=9)
        left.set_xlabel("film looked at, by number" + (" (grey: masked)" if causal else ""))
        name_rows(left, names)
        left.set_title(title, loc="left", fontsize=11)
        bar = left.figure.colorbar(image, ax=left, extend="max", pad=0.02, ticks=(0, _BRIGHT / 2, _BRIGHT))
        bar.ax.tick_params(labelsize=9)
        bar.set_label("weight", fontsize=9)
        # The row of the newest film.
        right.barh(rows, weights[-1], color=plots.palette()[0], height=0.7)
        right.axvline(1 / len(names), color="0.3", linestyle=":")
        right.set_xlim(0, max(_BRIGHT, 1.05 * float(weights[-1].max())))
        right.grid(axis="y", visible=False)
        right.tick_params(labelleft=False)
        right.set_xlabel(f"weight (dotted: even shares, 1/{len(names)})")
        right.set_title("the newest film's row", loc="left", fontsize=11)
    return left.figure
