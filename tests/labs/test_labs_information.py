"""The labs on mutual information and on ranking protocols, and the view that all labs share."""

import asyncio
import dataclasses
import io
import math
import re
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from s3rec_lite import information, labs
from s3rec_lite.figures.plots import panels, style
from s3rec_lite.labs import mutual_information as mi
from s3rec_lite.labs import sampled_or_full as protocols
from s3rec_lite.labs import view as view_module
from s3rec_lite.labs.lab import DPI, Answer, Choice, Lab, Preset, Slider, png, table
from s3rec_lite.labs.material import SCRATCH
from s3rec_lite.labs.view import LabView
from s3rec_lite.metrics import Ranks, expected_metric
from s3rec_lite.support.errors import SettingError


def moved(control):
    """A neighbouring value, as the arrow keys would give."""
    if isinstance(control, Choice):
        values = [value for _, value in control.options]
        return values[(values.index(control.value) + 1) % len(values)]
    return control.value + (control.step if control.value + control.step <= control.high else -control.step)


# --- mutual information -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", list(mi.ESTIMATORS))
def test_the_optimal_critic_finds_a_small_truth_with_every_estimator(estimator):
    values = mi.estimates(0.5, 2, 128, mi.OPTIMAL, estimator)
    assert values.mean() == pytest.approx(information.gaussian_mi(0.5, 2), abs=0.06)


def test_the_features_span_the_optimal_critic():
    x, y = information.sample_gaussian(6, 3, 0.7, torch.Generator().manual_seed(0))
    products, squares = mi.features(x, y)
    left = 1 - 0.7**2
    ratio = information.gaussian_mi(0.7, 3) + 0.7 / left * products + 0.7**2 / left * squares
    torch.testing.assert_close(ratio, information.gaussian_log_ratio(x, y, 0.7))


@settings(max_examples=15, deadline=None)
@given(
    st.floats(0, 0.99), st.integers(1, 20), st.integers(2, 64), st.sampled_from([mi.OPTIMAL, mi.BOUNDED]),
)  # fmt: skip
def test_info_nce_never_passes_its_cap(correlation, dimension, num_candidates, critic):
    facts = mi.answer(correlation, dimension, num_candidates, critic, "info_nce").facts
    assert max(facts["values"]) <= facts["cap"] + 1e-9
    assert facts["truth"] == pytest.approx(information.gaussian_mi(correlation, dimension))


@pytest.mark.training
def test_a_trained_critic_comes_near_the_optimal_one_and_stays_finite():
    optimal, trained = (mi.estimates(0.8, 4, 32, critic, "info_nce") for critic in (mi.OPTIMAL, mi.TRAINED))
    assert trained.mean() == pytest.approx(optimal.mean(), abs=0.1)
    assert np.isfinite(mi.estimates(0.99, 20, 64, mi.TRAINED, "dv")).all()


def test_points_beyond_the_axis_are_counted_in_the_picture():
    facts = mi.answer(0.99, 20, 32, mi.OPTIMAL, "dv")
    values = np.array(facts.facts["values"])
    ax = facts.draw().axes[0]
    low, high = ax.get_ylim()
    beyond = int((values > high).sum()), int((values < low).sum())
    assert sum(beyond) > 20
    texts = [text.get_text() for text in ax.texts]
    for arrow, count in zip("↑↓", beyond, strict=True):
        assert [text for text in texts if text.startswith(f"{arrow} {count} of 40 outside")] or not count
    assert not mi.answer(0.5, 2, 32, mi.OPTIMAL, "info_nce").draw().axes[0].texts


def test_the_verdict_says_what_is_near_and_whether_the_rest_is_chance():
    assert "within a quarter of the truth" in mi.verdict(2.0, 1.6, 0.3, math.inf)
    assert "within 0.1 nats of the truth" in mi.verdict(0.1, 0.15, 0.3, math.inf)
    assert "stays well below" in mi.verdict(2.0, 1.4, 0.3, math.inf)
    assert "lies above" in mi.verdict(2.0, 2.6, 0.3, math.inf)
    assert mi.chance_words(-0.29, 0.27).endswith("6.8 standard errors, larger than chance.")
    assert mi.chance_words(0.01, 0.27).endswith("0.2 standard errors, no larger than chance.")
    assert "exactly" in mi.chance_words(0.0, 0.0)
    assert "Every batch" in mi.chance_words(0.2, 0.0)


# --- sampled or full --------------------------------------------------------------------------------------------


def test_sampled_ranks_have_the_distribution_of_drawing_items():
    full = Ranks(np.full(4000, 30), np.zeros(4000, int), np.full(4000, 101))
    drawn = protocols.sampled_ranks(full, 20, seed=3)
    assert drawn.greater.mean() == pytest.approx(20 * 30 / 100, abs=0.12)
    assert drawn.greater.max() <= 20
    assert (drawn.num_candidates == 21).all()


def test_all_negatives_are_the_full_ranking():
    rng = np.random.default_rng(0)
    full = Ranks(rng.integers(0, 50, 200), rng.integers(0, 5, 200), np.full(200, 60))
    drawn = protocols.sampled_ranks(full, 59, seed=0)
    assert np.array_equal(drawn.greater, full.greater)
    assert np.array_equal(drawn.ties, full.ties)


def test_fewer_negatives_make_the_metric_look_better_and_intervals_hold_the_mean():
    rng = np.random.default_rng(1)
    full = Ranks(rng.integers(0, 500, 300), np.zeros(300, int), np.full(300, 600))
    means = []
    for count in (500, 99, 10):
        found = protocols.means_with_intervals(protocols.sampled_ranks(full, count, 0))
        for value, low, high in found.values():
            assert low <= value <= high
        means.append(found["HR@10"][0])
    assert means == sorted(means)
    exact = protocols.means_with_intervals(full)["NDCG@10"][0]
    assert exact == pytest.approx(expected_metric(full, "NDCG@10").mean())


def test_histograms_of_both_protocols_count_every_user_and_the_top_ten():
    rng = np.random.default_rng(1)
    full = Ranks(rng.integers(0, 500, 300), np.zeros(300, int), np.full(300, 600))
    for count in (10, 99):
        answer = protocols.answer({SCRATCH: full}, count, SCRATCH, 0)
        drawn = protocols.sampled_ranks(full, count, 0)
        for name, ranks in (("full", full), ("sampled", drawn)):
            top, others = answer.facts["histograms"][name]
            assert top.sum() == (ranks.greater < 10).sum() == round(300 * answer.facts[name]["HR@10"][0])
            assert top.sum() + others.sum() == 300
            tenth = (10 * (ranks.greater + 0.5) / ranks.num_candidates).astype(int)
            assert (top + others).tolist() == np.bincount(tenth, minlength=10).tolist()
        left, middle, right = answer.draw().axes
        assert right.get_ylim()[1] < 1.5 * max(
            value[2] for name in ("full", "sampled") for value in answer.facts[name].values()
        )
        assert f"against {count} drawn films" in middle.get_title(loc="left")
        assert left.get_ylim() == middle.get_ylim()


# --- the view ---------------------------------------------------------------------------------------------------


def example_lab():
    def answer(height, kind):
        def draw():
            ax = panels(1, 1, 3, 2)[0, 0]
            ax.bar([0], [height])
            ax.set_title(kind)
            return ax.figure

        return Answer(f"<p>{height} {kind}</p>", draw, "a bar", {"height": height, "kind": kind})

    controls = (Slider("height", "Height", 0, 5, 2, unit="cm"), Choice("kind", "Kind", {"a": "A", "b": "B"}, "a"))
    presets = (Preset("tall", {"height": 5}),)
    return Lab("example", "Example", "What does it do?", controls, answer, presets)


def test_a_view_shows_what_the_pure_function_gives_after_every_change():
    lab = example_lab()
    view = LabView(lab)
    assert view.settings() == lab.defaults == {"height": 2, "kind": "a"}
    pictures = [view.image.value]
    for control in lab.controls:
        view.set(**{control.name: moved(control)})
        assert lab.answer(**view.settings()).numbers in view.numbers.value
        pictures.append(view.image.value)
    assert len(set(pictures)) == 3
    assert view.controls["height"].description == "Height [cm]"
    assert len(view.seconds) >= 3


def test_reset_and_presets_move_the_controls():
    view = LabView(example_lab())
    (tall,) = view.presets
    tall.click()
    assert view.settings()["height"] == 5
    view.reset.click()
    assert view.settings() == {"height": 2, "kind": "a"}


def test_an_answer_that_fails_says_so_and_the_view_lives_on():
    lab = dataclasses.replace(example_lab(), answer=lambda height, kind: 1 / (height - 3))
    view = LabView(lab)
    view.set(height=3)
    assert "ZeroDivisionError" in view.numbers.value


def test_after_a_failure_no_picture_of_an_earlier_answer_is_left():
    def answer(height, kind):
        assert height != 3, "no three"
        return example_lab().answer(height, kind)

    view = LabView(dataclasses.replace(example_lab(), answer=answer))
    view.set(height=3)
    assert "no three" in view.numbers.value
    assert view.image.value == b"" and view.alt == "" and view.facts == {}
    view.set(height=4)
    assert view.image.value and view.alt == "a bar" and view.facts["height"] == 4


def test_a_lab_whose_first_answer_fails_is_shown_all_the_same(monkeypatch, capsys):
    broken = dataclasses.replace(example_lab(), answer=lambda height, kind: 1 / 0)
    monkeypatch.setattr(labs, "make_lab", lambda name, using: broken)
    view = labs.show("example")
    assert "ZeroDivisionError" in view.numbers.value
    labs._OPEN.pop("example").close()


def test_showing_a_lab_again_closes_its_earlier_widgets(monkeypatch, capsys):
    monkeypatch.setattr(labs, "make_lab", lambda name, using: example_lab())
    first, other, second = labs.show("one"), labs.show("two"), labs.show("one")
    assert first.root.comm is None and first.image.comm is None
    assert second.root.comm is not None and other.root.comm is not None
    for name in ("one", "two"):
        labs._OPEN.pop(name).close()


def test_a_held_key_does_not_put_the_answer_off():
    async def main():
        view = LabView(example_lab())
        before, end = len(view.seconds), time.monotonic() + 20
        while len(view.seconds) == before:  # changes faster than the pause before an answer
            assert time.monotonic() < end
            view.controls["height"].value = (view.controls["height"].value + 1) % 6
            await asyncio.sleep(view_module.WAIT / 10)
        await asyncio.sleep(3 * view_module.WAIT)
        assert view.facts["height"] == view.controls["height"].value  # and the last position is answered
        view.close()

    asyncio.run(main())


def test_closing_a_view_closes_every_widget():
    view = LabView(example_lab())
    inner = [*view.controls.values(), view.image, view.numbers]
    view.close()
    assert all(widget.comm is None for widget in [*inner, view.root])


def test_pictures_repeat_and_tables_escape():
    answer = example_lab().answer(2, "a")
    assert png(answer.draw()) == png(answer.draw())
    assert "&lt;b&gt;" in table([("<b>", 1)], ("x", "y"))


def test_pictures_are_what_savefig_gives():
    figure, saved = example_lab().answer(2, "a").draw(), io.BytesIO()
    with style():
        figure.savefig(saved, format="png", dpi=DPI, facecolor="white")
    shown = (Image.open(data).convert("RGBA") for data in (saved, io.BytesIO(png(example_lab().answer(2, "a").draw()))))
    assert np.array_equal(*map(np.asarray, shown))


def test_an_unknown_lab_is_refused_with_the_names_that_exist():
    with pytest.raises(SettingError, match="no lab 'mask'; there are loss-weights"):
        labs.make_lab("mask")


def test_the_information_lab_answers_to_every_control():
    lab = mi.make_lab()
    base = lab.answer(**lab.defaults)
    assert base.numbers == lab.answer(**lab.defaults).numbers
    for control in lab.controls:
        other = lab.answer(**{**lab.defaults, control.name: moved(control)})
        assert other.numbers != base.numbers, control.name
        assert png(other.draw()) != png(base.draw()), control.name
    assert re.search(r"truth.*nats", base.numbers)
    assert math.isinf(mi.answer(0.5, 1, 8, mi.OPTIMAL, "dv").facts["cap"])
