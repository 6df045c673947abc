"""Lab "masking": hide films of a sequence and see what the model makes of the gaps, before and after pre-training."""

import html
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from s3rec_lite.data import SequenceData, pad_left
from s3rec_lite.figures import plots
from s3rec_lite.labs.films import People, people, titles
from s3rec_lite.labs.lab import Answer, Choice, Html, Lab, Preset, Slider, fix_margins, name_rows, table
from s3rec_lite.labs.material import EPOCHS, INIT, Material, after
from s3rec_lite.model import S3Rec

MOST_FILMS, TOP = 12, 5
MODELS = {"before": INIT, "after": after(EPOCHS[-1])}
_WORDS = {"before": "before pre-training", "after": f"after {EPOCHS[-1]} epochs"}


def make_lab(material: Material) -> Lab:
    """The lab on the labs' models. It opens on a typical person of those that training never saw."""
    who = people(material)
    gaps = cache(partial(gaps_of_all, material, who))  # each setting is computed once, for all people of the slider
    opening = {"mask_ratio": 20, "draw": 0, "mask_last": True}
    return Lab(
        "masking",
        "Masking films",
        "Films are hidden and the model names them from the rest (masked item prediction). Hide more and "
        "watch the rank of the true films: how much context does the pre-trained model need, and do its best five "
        "films depend on the gap at all?",
        (
            Slider("mask_ratio", "Mask ratio", 0, 80, opening["mask_ratio"], 5, unit="%"),
            who.slider(_typical(gaps(*opening.values()))),
            Slider("draw", "Which draw", 0, 20, opening["draw"]),
            Choice("mask_last", "Newest film", {True: "hidden always", False: "hidden by chance only"}, True),
        ),
        partial(_answer, material.data, who, gaps),
        (
            Preset("Nothing hidden", {"mask_ratio": 0, "mask_last": False}),
            Preset("Almost all hidden", {"mask_ratio": 80, "mask_last": True}),
        ),
    )


def hidden_films(length: int, ratio: float, user: int, draw: int, mask_last: bool) -> np.ndarray:
    """Which of ``length`` films are hidden, bool [length].

    Each film gets a number between 0 and 1 that depends on user and draw only, and is hidden where it lies below the
    ratio: so a higher ratio hides more films and never uncovers one.
    """
    hidden = np.random.default_rng([user, draw]).random(length) < ratio
    if mask_last:
        hidden[-1] = True
    return hidden


def guesses(model: S3Rec, items: np.ndarray, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a model says to the M hidden films of sequences [U, L], by the scores of MIP, equation (12).

    Returns the rank of each true film among all films (1 is best, [M]) and the ids of the five best films [M, 5].
    """
    with model.evaluating():
        states = model.encode(torch.from_numpy(np.where(hidden, model.mask_token, items)))  # [U, L, H]
        films = model.item_embeddings.weight[1 : model.num_items + 1]  # no padding, no mask token
        scores = model.heads["mip"](states[torch.from_numpy(hidden)]) @ films.T  # [M, num_items]
        own = scores.gather(1, torch.from_numpy(items[hidden])[:, None] - 1)  # [M, 1]
        return 1 + (scores > own).sum(dim=1).numpy(), 1 + scores.topk(TOP, dim=1).indices.numpy()


def gaps_of_all(material: Material, who: People, mask_ratio: int, draw: int, mask_last: bool) -> pd.DataFrame:
    """The hidden films of all people of the slider, one a row; ``mask_ratio`` in percent.

    Columns: person (index on the slider), seen (whether training saw them), place (in the sequence, from 0), item,
    before and after (the two models' ranks of it), top_before and top_after (their five best films).
    """
    rows = [material.data.history(user, "train")[-MOST_FILMS:] for user in who.users]
    lengths = np.array([len(row) for row in rows])
    flags = [
        hidden_films(length, mask_ratio / 100, user, draw, mask_last)
        for length, user in zip(lengths, who.users, strict=True)
    ]
    ends = lengths.cumsum()
    items = pad_left(np.concatenate(rows), ends - lengths, ends, MOST_FILMS)  # [U, L]
    hidden = pad_left(np.concatenate(flags).astype(np.int64), ends - lengths, ends, MOST_FILMS).astype(bool)  # [U, L]
    person, column = np.nonzero(hidden)
    gaps = pd.DataFrame({"person": person, "place": column - MOST_FILMS + lengths[person], "item": items[hidden]})
    gaps["seen"] = np.isin(np.array(who.users)[person], list(who.seen))
    for when, stage in MODELS.items():
        gaps[when], tops = guesses(material.models[stage], items, hidden)
        gaps[f"top_{when}"] = tops.tolist()
    return gaps


def _typical(gaps: pd.DataFrame) -> int:
    """The person whose mean ranks are nearest those of the whole group, of people that training never saw.

    Only people with enough gaps count. If training saw everybody, the group is everybody.
    """
    group = gaps if gaps["seen"].all() else gaps[~gaps["seen"]]
    persons = group.groupby("person")[list(MODELS)]
    distance = np.abs(np.log(persons.mean() / group[list(MODELS)].mean())).sum(axis=1)
    counts = persons.size()
    return int(distance[counts >= counts.median()].idxmin())


def _answer(
    data: SequenceData,
    who: People,
    gaps: Callable[..., pd.DataFrame],
    mask_ratio: int,
    user: int,
    draw: int,
    mask_last: bool,
) -> Answer:
    """Hide, ask both models, count. ``mask_ratio`` in percent."""
    everybody, number = gaps(mask_ratio, draw, mask_last), who.users[user]
    own, items = everybody[everybody["person"] == user], data.history(number, "train")[-MOST_FILMS:]
    by_group = everybody.groupby("seen")[list(MODELS)].mean()
    groups = {"never saw": False, "were trained on": True}
    means = {group: tuple(by_group.loc[seen]) for group, seen in groups.items() if seen in by_group.index}
    facts: dict[str, Any] = {
        "hidden": own["place"].tolist(),
        "ranks": {when: own[when].tolist() for when in MODELS},
        "hits": {when: int((own[when] <= TOP).sum()) for when in MODELS},
        "mean_ranks": means,
        "setting": (mask_ratio, number, draw, mask_last),
    }
    rule = f"Mask ratio {mask_ratio}%" + (", newest film always hidden" if mask_last else "")
    moves = " and ".join(
        f"from <b>{before:.0f}</b> to <b>{later:.0f}</b> for people that the models {group}"
        for group, (before, later) in means.items()
    )
    words = [
        f"{rule}: {len(own)} of user {number}'s last {len(items)} training films hidden (draw {draw}).",
        _summary(own, facts["hits"], data.num_items),
        who.words(number),
        f"Over all {len(who.users)} people of the slider, pre-training moves the mean rank {moves}." if moves else "",
    ]
    return Answer(
        f"<p>{' '.join(words)}</p>{_table(data, own)}",
        lambda: _draw(titles(data, items), own, data.num_items, f"{rule}; user {number}, draw {draw}"),
        f"The films of user {number}, hidden ones marked, with the rank of each hidden film before and after.",
        facts,
    )


def _summary(own: pd.DataFrame, hits: dict[str, int], num_films: int) -> str:
    """Mean ranks, hits, and how much the top five differ from gap to gap, in sentences."""
    if own.empty:
        return "Nothing is hidden, so there is nothing to guess: raise the ratio or always hide the newest film."
    parts = [
        f"{_WORDS[when].capitalize()}: mean rank of the true film <b>{own[when].mean():.0f}</b>, in the top {TOP} for "
        f"{hits[when]} of {len(own)} gaps; the top {TOP} of all gaps together name "
        f"{own[f'top_{when}'].explode().nunique()} different films."
        for when in MODELS
    ]
    blind = (num_films + 1) / 2
    return f"{' '.join(parts)} Guessing blindly gives a mean rank of {blind:.0f} among {num_films:,} films."


def _table(data: SequenceData, own: pd.DataFrame) -> str:
    """HTML: a row for each hidden film, with ranks and top five; the true film is bold where it is among them."""
    if own.empty:
        return ""

    def names_of(top: list[int], item: int) -> Html:
        names = zip(top, map(html.escape, titles(data, top, 18)), strict=True)
        return Html(" · ".join(f"<b>✓ {name}</b>" if film == item else name for film, name in names))

    rows = []
    for gap in own.to_dict("records"):
        name = Html(f"<b>{html.escape(titles(data, [gap['item']])[0])}</b>")
        ranks = (f"{gap[when]:,}" for when in MODELS)
        tops = (names_of(gap[f"top_{when}"], gap["item"]) for when in MODELS)
        rows.append((gap["place"] + 1, name, *ranks, *tops))
    head = ("place", "hidden film", "rank before", "rank after", f"top {TOP} before", f"top {TOP} after")
    return f"<div style='font-size:0.85em'>{table(rows, head, text=range(len(head)))}</div>"


def _draw(names: list[str], own: pd.DataFrame, num_films: int, title: str) -> Figure:
    """The sequence as a strip, hidden films dark, and the ranks of the hidden ones on a log scale beside it."""
    with plots.style():
        strip, right = plots.panels(1, 2, 4.7, 3.5, width_ratios=(0.06, 1), sharey=True)[0]
        fix_margins(right.figure, left=0.24, right=0.79, bottom=0.2, top=0.92, wspace=0.05)
        # The strip.
        hidden = np.isin(np.arange(len(names)), own["place"])
        edges = np.arange(len(names) + 1) - 0.5
        shades = {"cmap": "Greys", "vmin": -0.15, "vmax": 1.3, "edgecolors": "white", "linewidth": 2}
        strip.pcolormesh([-0.5, 0.5], edges, hidden[:, None].astype(float), **shades)
        strip.set_ylim(len(names) - 0.5, -0.5)
        strip.set_xticks([0], ["dark:\nhidden"], fontsize=9)
        name_rows(strip, names)
        # The ranks.
        colours = plots.palette()
        right.hlines(own["place"], own["before"], own["after"], color="0.7", linewidth=2)
        for index, when in enumerate(MODELS):
            look = {"color": colours[1 - index], "markersize": 10 - 3 * index, "markeredgecolor": "white", "zorder": 3}
            right.plot(own[when], own["place"], plots.MARKERS[index], label=_WORDS[when], clip_on=False, **look)
        right.axvspan(0.9, TOP + 0.5, color=colours[2], alpha=0.15, linewidth=0, label=f"top {TOP}")
        right.axvline((num_films + 1) / 2, color="0.45", linestyle=":", label="blind guess")
        ticks = [tick for tick in (1, 5, 10, 50, 100, 500, 1000, 5000, 10000) if tick <= num_films]
        right.set(xscale="log", xticks=ticks, xticklabels=[f"{tick:,}" for tick in ticks], xlim=(0.9, 1.1 * num_films))
        right.minorticks_off()
        right.set_xlabel(f"rank of the true film among {num_films:,} (left is better)")
        right.grid(axis="y", visible=False)
        right.tick_params(axis="y", left=False, labelleft=False)
        right.set_title(title, loc="left", fontsize=11)
        right.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=9)
    return right.figure
