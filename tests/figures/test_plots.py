"""Figures show the numbers that went in, say what they are, and leave matplotlib's settings alone."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from s3rec_lite.figures import plots

HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3],
        "aap": [150.0, 120.0, 90.0],
        "mip": [1.34, 1.3, 1.2],
        "map": [80.0, 60.0, 40.0],
        "sp": [0.69, 0.65, 0.6],
    }
)
CURVES = {
    "with": {"epoch": [1, 2, 3], "NDCG@10": [0.02, 0.05, 0.04]},
    "without": {"epoch": [1, 2], "NDCG@10": [0.01, 0.03]},
}


def facts(value: float, candidates: int) -> dict:
    names = ("HR@10", "NDCG@10", "MRR")
    return {
        "metrics": dict.fromkeys(names, value),
        "intervals": {name: [value - 0.02, value + 0.03] for name in names},
        "chance": dict.fromkeys(names, 0.01),
        "candidates": {"least": candidates, "mean": candidates, "most": candidates},
    }


REPORTS = {
    "with": {"full": facts(0.1, 1000), "sampled": facts(0.5, 100)},
    "without": {"full": facts(0.08, 1000), "sampled": facts(0.4, 100)},
}


def test_loss_curves_draw_the_four_objectives_with_their_unit():
    axes = plots.loss_curves(HISTORY)
    assert [ax.get_title(loc="left").split(":")[0] for ax in axes] == ["AAP", "MIP", "MAP", "SP"]
    for ax, name in zip(axes, ("aap", "mip", "map", "sp"), strict=True):
        assert ax.lines[0].get_ydata().tolist() == HISTORY[name].tolist()
        assert ax.get_ylabel() == "loss [nats per sequence]"
    assert axes[-1].get_xlabel() == "pre-training epoch"
    assert plots.loss_curves(HISTORY, reduction="mean")[0].get_ylabel() == "loss [nats per term]"


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_ticks_stand_at_whole_epochs(epochs):
    for ax in plots.loss_curves(HISTORY[:epochs]):
        low, high = ax.get_xlim()
        ticks = [tick for tick in ax.get_xticks() if low <= tick <= high]
        assert ticks
        assert all(float(tick).is_integer() for tick in ticks)


def test_validation_curves_mark_the_best_epoch():
    ax = plots.validation_curves(CURVES, "NDCG@10")
    marks = [line for line in ax.lines if len(line.get_xdata()) == 1]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in marks] == [(2, 0.05), (2, 0.03)]
    assert ax.get_ylabel() == "validation NDCG@10"
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "best: 0.0500 after 2 epochs" in texts


def test_comparison_draws_values_and_intervals_of_every_protocol():
    axes = plots.comparison(REPORTS)
    assert [ax.get_title(loc="left") for ax in axes] == ["full ranking", "99 drawn negatives"]
    for ax, protocol in zip(axes, ("full", "sampled"), strict=True):
        for container, report in zip(ax.containers, REPORTS.values(), strict=True):
            points, _, (bars,) = container
            assert points.get_ydata().tolist() == list(report[protocol]["metrics"].values())
            drawn = [segment[:, 1].tolist() for segment in bars.get_segments()]
            assert drawn == pytest.approx(np.array(list(report[protocol]["intervals"].values())))


def test_models_differ_by_more_than_colour():
    ax = plots.comparison(REPORTS)[0]
    assert len({container[0].get_marker() for container in ax.containers}) == 2
    curves = plots.validation_curves(CURVES, "NDCG@10")
    assert len({line.get_linestyle() for line in curves.lines if len(line.get_xdata()) > 1}) == 2


def test_given_axes_are_drawn_in():
    ax = plots.panels(1, 1, 4, 3)[0, 0]
    assert plots.validation_curves(CURVES, "NDCG@10", ax) is ax
    axes = list(plots.panels(1, 2, 4, 3).flat)
    assert plots.comparison(REPORTS, axes=axes)[0] is axes[0]


def test_saved_figures_carry_their_description_and_are_the_same_bytes_each_time(tmp_path):
    for name in ("a", "b"):
        figure = plots.validation_curves(CURVES, "NDCG@10").figure
        plots.save_figure(figure, tmp_path / f"{name}.png", "Two curves that rise: é, ³.")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.text["Description"] == "Two curves that rise: é, ³."
        assert min(image.size) > 500
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "Two curves that rise: é, ³.\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.txt", "b.png", "b.txt"]


def test_global_settings_stay_as_they_are(tmp_path):
    before = dict(mpl.rcParams)
    plots.loss_curves(HISTORY)
    plots.comparison(REPORTS)
    plots.save_figure(plots.validation_curves(CURVES, "NDCG@10").figure, tmp_path / "x.png", "x")
    assert dict(mpl.rcParams) == before


def test_blue_is_with_and_orange_is_without_pretraining():
    colours = plots.palette()[plots.WITH], plots.palette()[plots.WITHOUT]
    assert [colour[2] > colour[0] for colour in colours] == [True, False]  # more blue than red, or less
    drawn = [container[0].get_color() for container in plots.comparison(REPORTS)[0].containers]
    assert drawn == list(colours)
