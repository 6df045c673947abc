"""Lab "attention": which films each film of a sequence looks at, head by head."""

import math
from functools import partial

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from s3rec_lite.figures import plots
from s3rec_lite.labs.films import People, newest, one, people, titles
from s3rec_lite.labs.material import EPOCHS, INIT, PRETRAINED, Material, after
from s3rec_lite.labs.view import Answer, Choice, Lab, Preset, Slider, fix_margins, table
from s3rec_lite.model import S3Rec

MOST_FILMS, MOST_LOOKED_AT = 12, 3
BRIGHT = 0.5  # weights from here on have the brightest colour
MODELS = {
    INIT: "untrained",
    after(EPOCHS[-1]): f"pre-trained {EPOCHS[-1]} epochs",
    PRETRAINED: "pre-trained, then fine-tuned",
}
MASKS = {True: "causal", False: "bidirectional"}
RULES = {
    True: "Causal mask, as in fine-tuning: a film sees itself and older films.",
    False: "Bidirectional, as in pre-training: every film sees all films.",
}


def attention_weights(model: S3Rec, items: Tensor, causal: bool) -> Tensor:
    """How much each position (row) looks at each other one: items [B, L] -> [layers, heads, B, L, L], equation (6).

    The blocks keep no weights, so they are computed again here from what goes into each block. Rows sum to 1.
    """
    found = []
    with model.evaluating():
        dropout = model.draw_dropout(None)
        x, mask = model.embed(items, dropout, causal), model.attention_mask(items, causal)
        for block in model.blocks:
            attention = block.attention
            parts = attention.query_key_value(x).split(attention.head_size, dim=-1)  # queries, keys, values by head
            heads = attention.n_heads
            scores = [
                attention.scale * query @ key.transpose(1, 2) + mask
                for query, key in zip(parts[:heads], parts[heads : 2 * heads], strict=True)
            ]
            found.append(torch.stack(scores).softmax(dim=-1))  # [heads, B, L, L]
            x = block(x, mask, dropout)
    return torch.stack(found)


def entropy(weights: np.ndarray) -> float:
    """Entropy of weights that sum to 1, in nats; 0 log 0 is 0."""
    weights = weights[weights > 0].astype(np.float64)
    return float(-(weights * np.log(weights)).sum()) + 0.0


def answer(material: Material, who: People, layer: int, head: int, user: int, causal: bool, model: str) -> Answer:
    """One map, and what stands in its last row."""
    number = who.users[user]
    items = newest(material.data, number, MOST_FILMS)
    weights = attention_weights(material.models[model], one(items), causal)[layer - 1, head - 1, 0].numpy()  # [L, L]
    last, most = weights[-1], math.log(len(items))
    order = np.argsort(-last, kind="stable")[:MOST_LOOKED_AT]
    facts = {
        "weights": weights,
        "newest": float(last[-1]),
        "entropy": entropy(last),
        "most": most,
        "looked_at": [(int(items[place]), float(last[place])) for place in order],
        "newer": float(np.triu(weights, 1).sum() / len(items)),
        "setting": (layer, head, number, causal, model),
    }
    what = f"layer {layer}, head {head}, user {number}; the model is {MODELS[model]}"
    title = f"layer {layer}, head {head} · {MASKS[causal]} · user {number}"
    share = f"{facts['newer']:.1%}"
    words = (
        f"{RULES[causal]} Shown: {what}. These are the last {len(items)} training films. The newest film gives itself "
        f"<b>{last[-1]:.3f}</b> of its weight (even shares: {1 / len(items):.3f}). Entropy of its row: "
        f"<b>{facts['entropy']:.3f} nats</b>; looking at all alike would be log {len(items)} = {most:.3f}. "
        f"Over all rows, {'none' if causal else share} of the weight goes to newer films. "
        f"{who.words(number)}"
    )
    names = titles(material.data, items, 28)
    rows = [(f"{names[place]} ({_age(len(items) - 1 - place)})", f"{last[place]:.3f}") for place in order]
    alt = f"Attention map of {len(items)} films ({MASKS[causal]}, {what}), and the row of the newest film as bars."
    return Answer(
        f"<p>{words}</p>{table(rows, ('the newest film looks most at', 'weight'))}",
        lambda: figure(titles(material.data, items), weights, causal, title), alt, facts,
    )  # fmt: skip


def _age(steps: int) -> str:
    if steps == 0:
        return "itself"
    return "one film before it" if steps == 1 else f"{steps} films before it"


def figure(names: list[str], weights: np.ndarray, causal: bool, title: str) -> Figure:
    """The map with rows that look at columns, and its last row as bars. names: of the films, oldest first."""
    places = np.arange(len(names))
    with plots.style():
        left, right = plots.panels(1, 2, 4.9, 3.5, width_ratios=(1.2, 1), sharey=True)[0]
        fix_margins(left.figure, left=0.24, right=0.985, bottom=0.15, top=0.9, wspace=0.14)
        future = np.triu(np.ones_like(weights, dtype=bool), 1)
        left.set_facecolor("0.85")  # what the causal mask hides has no colour of the scale
        shown = np.where(future & causal, np.nan, weights)
        image = left.imshow(shown, cmap="cividis", vmin=0, vmax=BRIGHT, aspect="auto")
        left.set_yticks(places, [f"{name}  {place + 1}" for place, name in enumerate(names)], fontsize=9)
        left.set_xticks(places, places + 1, fontsize=9)
        left.set_xlabel("film looked at, by number" + (" (grey: masked)" if causal else ""))
        left.grid(False)
        left.tick_params(length=0)
        left.set_title(title, loc="left", fontsize=11)
        bar = left.figure.colorbar(image, ax=left, extend="max", pad=0.02, ticks=(0, BRIGHT / 2, BRIGHT))
        bar.ax.tick_params(labelsize=9)
        bar.set_label("weight", fontsize=9)
        right.barh(places, weights[-1], color=plots.palette()[0], height=0.7)
        right.axvline(1 / len(names), color="0.3", linestyle=":")
        right.set_xlim(0, max(BRIGHT, 1.05 * float(weights[-1].max())))
        right.grid(axis="y", visible=False)
        right.tick_params(labelleft=False)
        right.set_xlabel(f"weight (dotted: even shares, 1/{len(names)})")
        right.set_title("the newest film's row", loc="left", fontsize=11)
    return left.figure


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
            Choice("causal", "Mask", tuple((text.capitalize(), value) for value, text in MASKS.items()), True),
            Choice("model", "Model", tuple((text, name) for name, text in MODELS.items()), PRETRAINED),
        ),
        partial(answer, material, who),
        (
            Preset("Before training", {"model": INIT}),
            Preset("As pre-training sees it", {"model": after(EPOCHS[-1]), "causal": False}),
            Preset("As the recommender sees it", {"model": PRETRAINED, "causal": True}),
        ),
    )
