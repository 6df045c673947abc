"""Lab "masking": hide films of a sequence and see what the model makes of the gaps, before and after pre-training."""

from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from matplotlib.figure import Figure

from s3rec_lite.data import pad_left
from s3rec_lite.datasets import SequenceData
from s3rec_lite.figures import plots
from s3rec_lite.labs.films import People, escaped, newest, one, people, titles
from s3rec_lite.labs.material import EPOCHS, INIT, Material, after
from s3rec_lite.labs.view import Answer, Choice, Lab, Preset, Slider, fix_margins
from s3rec_lite.model import S3Rec

MOST_FILMS, TOP = 12, 5
STAGES = {"before": INIT, "after": after(EPOCHS[-1])}
WORDS = {"before": "before pre-training", "after": f"after {EPOCHS[-1]} epochs"}


@dataclass(frozen=True)
class Guess:
    """What one model says to one hidden film."""

    rank: int
    """of the true film among all films, 1 is best"""
    top: tuple[int, ...]
    """the item ids it holds most likely, best first"""


def hidden_places(length: int, ratio: float, user: int, draw: int, mask_last: bool) -> np.ndarray:
    """Which of ``length`` films are hidden, bool [length].

    Each film gets a number between 0 and 1 that depends on user and draw only, and is hidden where it lies below the
    ratio: so a higher ratio hides more films and never uncovers one.
    """
    hidden = np.random.default_rng([user, draw]).random(length) < ratio
    if mask_last:
        hidden[-1] = True
    return hidden


def guesses(model: S3Rec, items: np.ndarray, hidden: np.ndarray) -> list[Guess]:
    """The model's answer to each hidden place of a sequence [L], oldest first: the scores of MIP, equation (12)."""
    masked = np.where(hidden, model.mask_token, items)
    with model.evaluating():
        states = model.encode(one(masked))[0, torch.from_numpy(hidden)]  # [M, H]
        films = model.item_embeddings.weight[1 : model.num_items + 1]  # no padding, no mask token
        scores = (model.heads["mip"](states) @ films.T).numpy()  # [M, num_items]
    found = []
    for row, item in zip(scores, items[hidden], strict=True):
        best = np.argsort(-row, kind="stable")[:TOP] + 1
        found.append(Guess(1 + int((row > row[item - 1]).sum()), tuple(best.tolist())))
    return found


@dataclass(frozen=True, eq=False)
class Everybody:
    """Ranks of the hidden films of all people of the slider; each setting is computed once and kept."""

    material: Material
    who: People
    kept: dict[tuple[int, int, bool], dict[str, list[np.ndarray]]] = field(default_factory=dict)

    def ranks(self, mask_ratio: int, draw: int, mask_last: bool) -> dict[str, list[np.ndarray]]:
        """For both models, the ranks of each person's hidden films, as `guesses` gives them."""
        key = (mask_ratio, draw, mask_last)
        if key not in self.kept:
            rows = [newest(self.material.data, user, MOST_FILMS) for user in self.who.users]
            hidden = [
                hidden_places(len(row), mask_ratio / 100, user, draw, mask_last)
                for row, user in zip(rows, self.who.users, strict=True)
            ]
            self.kept[key] = {
                when: ranks_of_all(self.material.models[stage], rows, hidden) for when, stage in STAGES.items()
            }
        return self.kept[key]

    def words(self, mask_ratio: int, draw: int, mask_last: bool) -> tuple[str, dict[str, tuple[float, float]]]:
        """Mean ranks before and after, of people that training saw and of others: a sentence, and by group."""
        ranks, means = self.ranks(mask_ratio, draw, mask_last), {}
        seen = np.array([user in self.who.seen for user in self.who.users])
        for group, members in (("never saw", ~seen), ("were trained on", seen)):
            gaps = [
                np.concatenate([row for row, member in zip(ranks[when], members, strict=True) if member] or [[]])
                for when in STAGES
            ]
            if len(gaps[0]):
                means[group] = tuple(float(values.mean()) for values in gaps)
        parts = [
            f"from <b>{before:.0f}</b> to <b>{after_:.0f}</b> for people that the models {group}"
            for group, (before, after_) in means.items()
        ]
        who = f"all {len(self.who.users)} people of the slider"
        return f"Over {who}, pre-training moves the mean rank {' and '.join(parts)}." if parts else "", means

    def typical(self, mask_ratio: int, draw: int, mask_last: bool) -> int:
        """Place of the person whose mean ranks are nearest those of the whole group, of people that training never saw.

        Only people with enough gaps count. If training saw everybody, the group is everybody.
        """
        ranks = self.ranks(mask_ratio, draw, mask_last)
        gaps = np.array([len(row) for row in ranks["before"]])
        new = np.array([user not in self.who.seen for user in self.who.users])
        group = new if new.any() else ~new
        distance = np.zeros(len(gaps))
        for rows in ranks.values():
            own = np.array([row.mean() if len(row) else np.inf for row in rows])
            mean = np.concatenate([row for row, inside in zip(rows, group, strict=True) if inside]).mean()
            distance += np.abs(np.log(own / mean))
        return int(np.where(group & (gaps >= np.median(gaps[group])), distance, np.inf).argmin())


def ranks_of_all(model: S3Rec, rows: list[np.ndarray], hidden: list[np.ndarray]) -> list[np.ndarray]:
    """Ranks of the hidden films of several sequences at once: a list of int64 [hidden films] each."""
    lengths = np.array([len(row) for row in rows])
    ends = lengths.cumsum()
    items = pad_left(np.concatenate(rows), ends - lengths, ends, MOST_FILMS)  # [U, L]
    places = pad_left(np.concatenate(hidden).astype(np.int64), ends - lengths, ends, MOST_FILMS).astype(bool)
    with model.evaluating():
        states = model.encode(torch.from_numpy(np.where(places, model.mask_token, items)))[torch.from_numpy(places)]
        films = model.item_embeddings.weight[1 : model.num_items + 1]
        scores = model.heads["mip"](states) @ films.T  # [all hidden films, num_items]
        own = scores.gather(1, torch.from_numpy(items[places])[:, None] - 1)
        ranks = 1 + (scores > own).sum(dim=1).numpy()
    return np.split(ranks, places.sum(axis=1).cumsum()[:-1])


def answer(everybody: Everybody, mask_ratio: int, user: int, draw: int, mask_last: bool) -> Answer:
    """Hide, ask both models, count. ``mask_ratio`` in percent."""
    material, who = everybody.material, everybody.who
    number = who.users[user]
    items = newest(material.data, number, MOST_FILMS)
    hidden = hidden_places(len(items), mask_ratio / 100, number, draw, mask_last)
    found = {when: guesses(material.models[stage], items, hidden) for when, stage in STAGES.items()}
    ranks = {when: [guess.rank for guess in made] for when, made in found.items()}
    together, means = everybody.words(mask_ratio, draw, mask_last)
    facts = {
        "hidden": np.flatnonzero(hidden).tolist(),
        "ranks": ranks,
        "hits": {when: sum(rank <= TOP for rank in made) for when, made in ranks.items()},
        "mean_ranks": means,
        "setting": (mask_ratio, number, draw, mask_last),
    }
    rule = f"Mask ratio {mask_ratio}%" + (", newest film always hidden" if mask_last else "")
    words = f"{rule}: {int(hidden.sum())} of user {number}'s last {len(items)} training films hidden (draw {draw})."
    num_films = material.data.num_items
    alt = f"The films of user {number}, hidden ones marked, with the rank of each hidden film before and after."
    return Answer(
        f"<p>{words} {summary(found, num_films)} {who.words(number)} {together}</p>"
        f"{guess_table(material.data, items, hidden, found)}",
        lambda: figure(titles(material.data, items), hidden, ranks, num_films, f"{rule}; user {number}, draw {draw}"),
        alt, facts,
    )  # fmt: skip


def summary(found: dict[str, list[Guess]], num_films: int) -> str:
    """Mean ranks, hits, and how much the top five differ from gap to gap, in sentences."""
    count = len(found["before"])
    if not count:
        return "Nothing is hidden, so there is nothing to guess: raise the ratio or always hide the newest film."
    parts = []
    for when, made in found.items():
        mean = np.mean([guess.rank for guess in made])
        hits = sum(guess.rank <= TOP for guess in made)
        names = len({film for guess in made for film in guess.top})
        parts.append(
            f"{WORDS[when].capitalize()}: mean rank of the true film <b>{mean:.0f}</b>, in the top {TOP} for {hits} "
            f"of {count} gaps; the top {TOP} of all gaps together name {names} different films."
        )
    blind = (num_films + 1) / 2
    return f"{' '.join(parts)} Guessing blindly gives a mean rank of {blind:.0f} among {num_films:,} films."


def guess_table(data: SequenceData, items: np.ndarray, hidden: np.ndarray, found: dict[str, list[Guess]]) -> str:
    """HTML: a row for each hidden film, with ranks and top five; the true film is bold where it is among them."""
    if not hidden.any():
        return ""
    head = ("place", "hidden film", "rank before", "rank after", f"top {TOP} before", f"top {TOP} after")
    lines = ["".join(f"<th style='text-align:left;padding:2px 10px 2px 0'>{name}</th>" for name in head)]
    for place, before, after_ in zip(np.flatnonzero(hidden), found["before"], found["after"], strict=True):
        item = int(items[place])
        name = f"<b>{escaped(titles(data, [item])[0])}</b>"
        tops = (_top(data, guess, item) for guess in (before, after_))
        cells = (str(place + 1), name, f"{before.rank:,}", f"{after_.rank:,}", *tops)
        lines.append("".join(f"<td style='vertical-align:top;padding:2px 10px 2px 0'>{cell}</td>" for cell in cells))
    rows = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table style='border-collapse:collapse;line-height:1.3;font-size:0.85em'>{rows}</table>"


def _top(data: SequenceData, guess: Guess, item: int) -> str:
    names = zip(guess.top, titles(data, guess.top, 18), strict=True)
    return " · ".join(f"<b>✓ {escaped(name)}</b>" if film == item else escaped(name) for film, name in names)


def figure(names: list[str], hidden: np.ndarray, ranks: dict[str, list[int]], num_films: int, title: str) -> Figure:
    """The sequence as a strip, hidden films dark, and the ranks of the hidden ones on a log scale beside it."""
    with plots.style():
        strip, right = plots.panels(1, 2, 4.7, 3.5, width_ratios=(0.06, 1), sharey=True)[0]
        fix_margins(right.figure, left=0.24, right=0.79, bottom=0.2, top=0.92, wspace=0.05)
        places = np.arange(len(names))
        edges = np.arange(len(names) + 1) - 0.5
        shades = {"cmap": "Greys", "vmin": -0.15, "vmax": 1.3, "edgecolors": "white", "linewidth": 2}
        strip.pcolormesh([-0.5, 0.5], edges, hidden[:, None].astype(float), **shades)
        strip.set_ylim(len(names) - 0.5, -0.5)
        strip.set_yticks(places, [f"{name}  {place + 1}" for place, name in enumerate(names)], fontsize=9)
        strip.set_xticks([0], ["dark:\nhidden"], fontsize=9)
        strip.grid(False)
        strip.tick_params(length=0)
        colours, rows = plots.palette(), np.flatnonzero(hidden)
        right.hlines(rows, ranks["before"], ranks["after"], color="0.7", linewidth=2)
        for index, when in enumerate(STAGES):
            right.plot(
                ranks[when], rows, plots.MARKERS[index], color=colours[1 - index], markersize=10 - 3 * index,
                markeredgecolor="white", label=WORDS[when], clip_on=False, zorder=3,
            )  # fmt: skip
        right.axvspan(0.9, TOP + 0.5, color=colours[2], alpha=0.15, linewidth=0, label=f"top {TOP}")
        right.axvline((num_films + 1) / 2, color="0.45", linestyle=":", label="blind guess")
        ticks = [tick for tick in (1, 5, 10, 50, 100, 500, 1000, 5000, 10000) if tick <= num_films]
        right.set_xscale("log")
        right.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        right.minorticks_off()
        right.set_xlim(0.9, 1.1 * num_films)
        right.set_xlabel(f"rank of the true film among {num_films:,} (left is better)")
        right.grid(axis="y", visible=False)
        right.tick_params(axis="y", left=False, labelleft=False)
        right.set_title(title, loc="left", fontsize=11)
        right.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=9)
    return right.figure


def make_lab(material: Material) -> Lab:
    """The lab on the labs' models."""
    everybody = Everybody(material, people(material))
    opening = {"mask_ratio": 20, "draw": 0, "mask_last": True}
    return Lab(
        "masking",
        "Masking films",
        "Films are hidden and the model names them from the rest (masked item prediction). Hide more and "
        "watch the rank of the true films: how much context does the pre-trained model need, and do its best five "
        "films depend on the gap at all?",
        (
            Slider("mask_ratio", "Mask ratio", 0, 80, opening["mask_ratio"], 5, unit="%"),
            everybody.who.slider(everybody.typical(**opening)),
            Slider("draw", "Which draw", 0, 20, opening["draw"]),
            Choice("mask_last", "Newest film", (("hidden always", True), ("hidden by chance only", False)), True),
        ),
        partial(answer, everybody),
        (
            Preset("Nothing hidden", {"mask_ratio": 0, "mask_last": False}),
            Preset("Almost all hidden", {"mask_ratio": 80, "mask_last": True}),
        ),
    )  # fmt: skip
