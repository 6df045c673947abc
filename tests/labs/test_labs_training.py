"""The labs on loss weights and on training: their numbers against autograd and the package's own loops."""

import asyncio
import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import s3rec_lite as s3
from s3rec_lite import ModelConfig, S3Rec
from s3rec_lite.datasets import planted, take_users
from s3rec_lite.information.gradients import Probe
from s3rec_lite.labs import job, loss_weights, make_lab, runs, train
from s3rec_lite.labs.lab import Choice, png
from s3rec_lite.labs.loss_weights import PAPER, RECBOLE_DOCS, equal_weights, probe
from s3rec_lite.labs.material import INIT, PRETRAINED, SCRATCH, STAGES, Material
from s3rec_lite.labs.run_figures import MAX_RUNS, draw_runs, in_words, runs_table, verdict
from s3rec_lite.labs.runs import FINETUNE, METRICS, PROTOCOLS, Settings, StopRun, train_once
from s3rec_lite.labs.view import LabView
from s3rec_lite.objectives import pretraining_losses
from s3rec_lite.support.config import OBJECTIVES, PretrainConfig
from s3rec_lite.support.errors import SettingError
from s3rec_lite.views import ViewSampler

CONFIG = ModelConfig(hidden_size=8, inner_size=12, max_length=12, initializer_range=0.3)
WEIGHT = st.floats(0, 2, allow_subnormal=False)


def small_material(double: bool = False) -> Material:
    data = planted(num_users=60, seed=3)
    names = (*STAGES, SCRATCH, PRETRAINED)
    models = {name: S3Rec(data.num_items, data.num_attributes, CONFIG, seed=seed) for seed, name in enumerate(names)}
    models = {name: (model.double() if double else model).eval() for name, model in models.items()}
    return Material(data, take_users(data, 40), models)


@pytest.fixture(scope="module")
def material():
    return small_material()


@pytest.fixture(scope="module")
def exact():
    """In double precision: the lab, and each objective's loss and gradient at the second stage by autograd."""
    material = small_material(double=True)
    model, config = material.models[STAGES[1]], PretrainConfig()
    sampler, rng = ViewSampler(material.some, config, model.max_length), np.random.default_rng(0)
    views = sampler.batch(rng.permutation(len(sampler))[:200], rng)
    parameters = [value for name, value in model.named_parameters() if "heads" not in name]

    def gradient(weights):
        losses = pretraining_losses(model, views, material.some.attributes, config)
        total = sum(weight * losses[name] for weight, name in zip(weights, OBJECTIVES, strict=True)) / 200
        grads = torch.autograd.grad(total, parameters, allow_unused=True)
        return total.item(), torch.cat([part.flatten() for part in grads if part is not None]).numpy()

    unit = [gradient(row) for row in np.eye(4)]
    return make_lab("loss-weights", material), gradient, unit


def cosine(a, b):
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


@settings(max_examples=12)
@given(st.tuples(WEIGHT, WEIGHT, WEIGHT, WEIGHT).filter(lambda weights: max(weights) > 0.01))
@example((0.2, 1.0, 1.0, 0.5))
@example((0.0, 0.0, 0.0, 1.3))
def test_gram_matrix_says_what_autograd_says(exact, weights):
    lab, gradient, unit = exact
    facts = lab.answer(stage=STAGES[1], **dict(zip(OBJECTIVES, weights, strict=True))).facts
    total, joint = gradient(weights)
    assert facts["step_length"] == pytest.approx(np.linalg.norm(joint), rel=1e-5)
    lengths = [weight * np.linalg.norm(single) for weight, (_, single) in zip(weights, unit, strict=True)]
    for place, (loss, single) in enumerate(unit):
        assert facts["loss_shares"][place] == pytest.approx(weights[place] * loss / total, rel=1e-5)
        assert facts["gradient_shares"][place] == pytest.approx(lengths[place] / sum(lengths), rel=1e-5, abs=1e-12)
        assert facts["step_cosines"][place] == pytest.approx(cosine(joint, single), rel=1e-5, abs=1e-9)
        assert facts["slopes"][place] == pytest.approx(-(joint @ single), rel=1e-5, abs=1e-9)
        for other, (_, second) in enumerate(unit):
            assert facts["cosines"][place, other] == pytest.approx(cosine(single, second), rel=1e-5, abs=1e-9)


@settings(max_examples=30)
@given(st.lists(st.floats(0.1, 10), min_size=4, max_size=4))
def test_equal_weights_are_on_the_sliders_and_equal_up_to_their_step(lengths):
    lengths = np.array(lengths)
    weights = np.array(list(equal_weights(np.diag(lengths**2)).values()))
    assert weights.max() == 2 and weights.min() >= 0.01
    assert weights == pytest.approx(np.round(weights, 2), abs=1e-12)
    assert np.abs(weights * lengths - 2 * lengths.min()).max() <= 0.0051 * lengths.max()


def test_equal_weights_hold_on_to_an_objective_that_outweighs_the_others():
    weights = equal_weights(np.diag([1e8, 1.0, 1.0, 4.0]))
    assert weights == {"aap": 0.01, "mip": 2.0, "map": 2.0, "sp": 1.0}


def moved(control):
    """The value that one step with the keyboard leads to."""
    if isinstance(control, Choice):
        return control.options[1][1]
    return control.value + control.step


def test_every_control_of_loss_weights_changes_numbers_picture_and_facts(material):
    lab = make_lab("loss-weights", material)
    assert lab.defaults == {**PAPER, "stage": INIT}
    first, again = (lab.answer(**lab.defaults) for _ in range(2))
    picture = png(first.draw())
    assert first.numbers == again.numbers and png(again.draw()) == picture
    for control in lab.controls:
        other = lab.answer(**{**lab.defaults, control.name: moved(control)})
        assert other.numbers != first.numbers
        assert not np.array_equal(other.facts["step_cosines"], first.facts["step_cosines"])
        assert png(other.draw()) != picture


def test_presets_of_loss_weights(material):
    lab = make_lab("loss-weights", material)
    presets = {preset.label: preset.settings for preset in lab.presets}
    assert presets["Paper"] == presets["Authors"] == {"aap": 0.2, "mip": 1.0, "map": 1.0, "sp": 0.5}
    assert presets["RecBole docs"] == {"aap": 1.0, "mip": 0.2, "map": 1.0, "sp": 0.5}
    equal = [settings for label, settings in presets.items() if label.startswith("Equal shares")]
    assert [settings["stage"] for settings in equal] == list(STAGES)
    for chosen in equal:
        assert all(0 < chosen[name] <= 2 for name in OBJECTIVES)
        shares = lab.answer(**chosen).facts["gradient_shares"]
        assert np.ptp(shares) < 0.2 < np.ptp(lab.answer(**{**chosen, **PAPER}).facts["gradient_shares"])


def test_paper_and_authors_say_that_they_are_the_same_numbers(material):
    paper, authors, docs, *_ = make_lab("loss-weights", material).presets
    assert "the same numbers" in paper.tooltip and "the same numbers" in authors.tooltip
    assert "wrong way round" in docs.tooltip


def test_loss_weights_without_any_weight_say_so(material):
    answer = make_lab("loss-weights", material).answer(INIT, aap=0.0, mip=0.0, map=0.0, sp=0.0)
    assert "nothing would be learned" in answer.numbers and "nan" not in answer.numbers
    png(answer.draw())


def test_words_name_the_losses_that_rise():
    gram = np.array([[4.0, -3.0, 0, 0], [-3.0, 9.0, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 1.0]])
    probes = {stage: Probe(np.ones(4), gram) for stage in STAGES}
    words = loss_weights.answer(probes, INIT, aap=0.1, mip=1, map=1, sp=1).numbers
    assert "raises the loss of AAP." in words  # 0.1 * 4 - 3 < 0, all others above
    assert "lowers all four" in loss_weights.answer(probes, INIT, aap=1, mip=1, map=1, sp=1).numbers


def test_loss_weights_view_sets_presets(material):
    view = LabView(make_lab("loss-weights", material))
    view.set(**view.lab.presets[3].settings)
    assert view.settings() == pytest.approx(view.lab.presets[3].settings)
    view.close()


# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(material):
    """Three finished runs; the last repeats the first."""
    chosen = (Settings(epochs=2, share=50), Settings(mip=0.0, sp=0.0, epochs=1), Settings(epochs=2, share=50))
    return [train_once(material, one) for one in chosen]


def epoch_means(run, data):
    """Mean losses of each epoch per prefix, [epochs, 4], from those of the steps; the last batch is the short one."""
    count = sum(min(len(data.sequence(user)) - 2, CONFIG.max_length) for user in range(data.num_users))
    sizes = [200] * (count // 200) + [count % 200] * (count % 200 > 0)
    return np.average(run.losses.reshape(run.settings.epochs, len(sizes), 4), axis=1, weights=sizes)


@pytest.mark.training
def test_a_run_is_the_packages_own_training(material, finished):
    run = finished[0]
    weights = {name: value.clone() for name, value in material.models[INIT].state_dict().items()}
    model = S3Rec(material.data.num_items, material.data.num_attributes, CONFIG, seed=0)
    data = Settings(share=50).users(material.some)
    config = PretrainConfig(epochs=2, length_window=0)
    history = s3.pretrain(model, data, config, device="cpu", progress=False)
    assert epoch_means(run, data) == pytest.approx(history[list(OBJECTIVES)].to_numpy(), rel=1e-6)
    s3.finetune(model, data, FINETUNE, device="cpu", progress=False)
    for protocol in PROTOCOLS:
        report = s3.evaluate(model, material.data, "test", protocol)
        assert np.array_equal(report.ranks.greater, run.reports[protocol].ranks.greater)
        for metric in METRICS:
            expected = (report.metrics[metric], *report.interval(metric))
            assert run.results[protocol][metric] == pytest.approx(expected)
    for name, value in material.models[INIT].state_dict().items():
        assert torch.equal(value, weights[name])


def test_steps_of_a_run_and_their_means(material):
    seen = []
    threads = torch.get_num_threads()
    run = train_once(material, Settings(aap=0.0, epochs=2), seen.append)
    assert torch.get_num_threads() == threads
    data = material.some
    count = sum(min(len(data.sequence(user)) - 2, CONFIG.max_length) for user in range(data.num_users))
    per_epoch = -(-count // 200)
    assert run.num_steps == 2 * per_epoch
    counts = [len(one.losses) for one in seen if one.stage == runs.PRETRAINING]
    assert counts == list(range(2 * per_epoch + 1))
    assert [one.epoch for one in seen if one.stage == runs.FINETUNING] == list(range(1, FINETUNE.epochs + 1))
    assert seen[-1] is run and run.finished and not any(one.finished for one in seen[:-1])
    assert np.isnan(run.losses[:, 0]).all() and np.isfinite(run.losses[:, 1:]).all()


def stopped_after(calls, material, settings=None):
    """A run that is stopped at that call, and what was seen of it."""
    seen = []

    def watch(run):
        seen.append(run)
        if len(seen) == calls:
            raise StopRun

    return train_once(material, settings or Settings(), watch), seen


@pytest.mark.training
@pytest.mark.parametrize("steps", [1, 3, 14])
def test_stop_leaves_what_was_done_and_no_result(material, steps):
    run, seen = stopped_after(steps, material, Settings(epochs=3))
    assert run.stopped and not run.finished and not run.reports and not run.results
    assert len(seen) == steps
    assert len(run.losses) == min(steps - 1, run.num_steps)


def test_a_smaller_share_of_users_is_part_of_a_larger_one(material):
    whole = {tuple(material.some.sequence(user)) for user in range(material.some.num_users)}
    shares = [Settings(share=share).users(material.some) for share in (20, 50, 100)]
    assert [data.num_users for data in shares] == [8, 20, 40]
    sets = [{tuple(data.sequence(user)) for user in range(data.num_users)} for data in shares]
    assert sets[0] < sets[1] < sets[2] == whole


def test_settings_without_any_weight_are_refused():
    with pytest.raises(SettingError, match="all four objective weights are 0"):
        Settings(0, 0, 0, 0)


def test_table_says_what_compare_says(finished):
    assert runs_table([]) == "<p>No run is finished yet.</p>"
    html = runs_table(finished)
    assert html == runs_table(finished) and html.count("<tr>") == 1 + 2 * len(finished)
    for protocol in PROTOCOLS:
        found = s3.compare(finished[1].reports[protocol], finished[0].reports[protocol], "NDCG@10")
        word = "clear" if found.larger_than_chance else "not clear"
        assert f"{found.difference:+.3f} ({found.low:+.3f} to {found.high:+.3f}), {word}" in html
        value, low, high = finished[1].results[protocol]["HR@10"]
        assert f"{value:.3f} ({low:.3f} to {high:.3f})" in html
    assert html.count(">the same<") == 2  # the run that repeats the first
    assert "0.2 / 0 / 1 / 0" in html


def test_the_pure_function_of_the_train_lab_is_a_whole_run(material, finished):
    answer = make_lab("train", material).answer(**{**PAPER, "epochs": 2, "share": 50})
    assert answer.numbers == runs_table(finished[:1])
    assert png(answer.draw()) == png(draw_runs(finished[:1]))


def test_a_clear_difference_is_called_clear(finished):
    first = finished[0].reports["full"]
    ranks = type(first.ranks)(np.zeros_like(first.ranks.greater), 0 * first.ranks.ties, first.ranks.num_candidates)
    perfect = type(first)("perfect", first.split, first.protocol, ranks, first.users, first.targets, first.cutoffs)
    assert verdict(perfect, first).endswith("), clear") and verdict(first, first) == "the same"


@pytest.mark.training
def test_figure_lays_runs_over_each_other(material, finished):
    half, _ = stopped_after(5, material)
    figure = draw_runs(finished, half)
    axes = figure.axes
    for index, expected in enumerate((4, 3, 4, 3)):  # the second run has weight 0 for mip and sp
        lines = [line for line in axes[index + index // 2].lines if len(line.get_xdata()) > 1]
        assert len(lines) == expected
        values = lines[-1].get_ydata()
        assert np.array_equal(values, half.losses[:, index])
    assert [text.get_text() for text in figure.legends[0].texts] == ["run 1", "run 2", "run 3", "stopped"]
    assert len(axes[2].containers) == len(finished)
    assert "3 finished runs and one that is stopped" in in_words(finished, half)
    assert png(figure) == png(draw_runs(finished, half))
    png(draw_runs([]))
    png(draw_runs([finished[0]] * MAX_RUNS))


class Gate:
    """Lets the thread take so many steps and no more."""

    def __init__(self, monkeypatch):
        self.permits = threading.Semaphore(0)
        hold = job.Job._hold

        def gated(running):
            assert self.permits.acquire(timeout=60)
            hold(running)

        monkeypatch.setattr(job.Job, "_hold", gated)

    def open(self, steps=10_000):
        self.permits.release(steps)


def train_view(material):
    lab = make_lab("train", material)
    return lab.make_view(lab)


@pytest.fixture
def view(material):
    view = train_view(material)
    yield view
    view.close()


def until(view, wanted, seconds=60):
    end = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < end, view.status.value
        time.sleep(0.01)
        view.poll()


def steps_of(view):
    return 0 if view.current is None else len(view.current.losses)


@pytest.mark.training
def test_view_starts_pauses_resumes_and_keeps_two_runs(view, monkeypatch):
    gate = Gate(monkeypatch)
    assert "idle" in view.status.value and "No run is finished" in view.numbers.value and view.alt
    empty = view.image.value
    view.start()
    gate.open(3)
    until(view, lambda: steps_of(view) == 3)
    assert "pre-training: epoch 1 of 3, step 3 of" in view.status.value and view.image.value != empty
    view.start()
    assert "One run is under way" in view.status.value and len(view.runs) == 0
    view.pause()
    assert "pausing" in view.status.value and view.buttons["pause"].description == "Resume"
    gate.open()
    until(view, lambda: "paused at pre-training" in view.status.value)
    before = steps_of(view)
    time.sleep(0.2)
    view.poll()
    assert steps_of(view) == before == 3
    view.pause()
    assert view.buttons["pause"].description == "Pause"
    until(view, lambda: not view.running)
    assert "done: run 1" in view.status.value and view.numbers.value.count("<tr>") == 3 and view.current is None
    view.controls["sp"].value = 0.0
    view.controls["epochs"].value = 1
    view.start()
    until(view, lambda: not view.running)
    assert len(view.runs) == 2 and view.numbers.value.count("<tr>") == 5
    assert view.runs[1].settings == Settings(sp=0.0, epochs=1)
    view.reset()
    assert view.settings() == {**PAPER, "epochs": 3, "share": 100}
    assert view.runs == [] and "idle" in view.status.value and view.image.value == empty


@pytest.mark.training
@pytest.mark.parametrize("paused", [False, True])
def test_stop_leaves_the_curves_and_no_row(view, monkeypatch, paused):
    gate = Gate(monkeypatch)
    view.start()
    gate.open(2)
    until(view, lambda: steps_of(view) == 2)
    if paused:
        view.pause()
        gate.open()
        until(view, lambda: "paused at" in view.status.value)
        view.stop()
    else:
        view.stop()
        assert "stopping" in view.status.value
        gate.open()
    until(view, lambda: not view.running)
    assert "stopped (pre-training: epoch 1 of 3, step 2 of" in view.status.value
    assert steps_of(view) == 2 and view.runs == [] and view.numbers.value.count("<tr>") == 0
    assert view.alt.endswith("0 finished runs and one that is stopped.")


def test_pause_after_stop_does_not_keep_the_run(material, monkeypatch):
    gate = Gate(monkeypatch)
    run = job.Job(material, Settings())
    run.start()
    run.stop()
    run.pause()
    assert not run.pausing
    gate.open()
    run.join()
    assert run.latest.stopped and not run.paused


@pytest.mark.training
def test_reset_does_not_wait_and_shows_nothing_of_the_run_any_more(view, monkeypatch):
    gate = Gate(monkeypatch)
    empty = view.image.value
    view.start()
    gate.open(2)
    until(view, lambda: steps_of(view) == 2)
    late = view.job
    view.reset()  # the thread stands at the gate: waiting for it would never end
    assert late.is_alive() and late.stopping and not view.running
    gate.open()
    late.join()
    view.poll()
    assert late.latest is not None
    assert "idle" in view.status.value and view.current is None and view.runs == [] and view.image.value == empty


def test_presets_of_the_train_lab_move_its_sliders(view, material):
    equal = equal_weights(probe(material.models[INIT], material.some).gram)
    assert [button.description for button in view.presets] == [
        "Paper", "Authors", "RecBole docs", "Equal shares at the start",
    ]  # fmt: skip
    view.controls["epochs"].value = 1
    for button, wanted in zip(view.presets, (PAPER, PAPER, RECBOLE_DOCS, equal), strict=True):
        view.set(**dict.fromkeys(OBJECTIVES, 0.77))
        button.click()
        assert view.settings() == pytest.approx({**wanted, "epochs": 1, "share": 100})
    assert not view.running


@pytest.mark.training
@pytest.mark.parametrize("button", ["stop", "pause"])
def test_a_click_right_after_start_is_not_lost(view, monkeypatch, button):
    gate = Gate(monkeypatch)
    monkeypatch.setattr(train, "SETTLE", 0.02)

    async def main():
        view.buttons["start"].click()
        view.buttons[button].click()
        await asyncio.sleep(0.1)

    asyncio.run(main())
    if button == "stop":
        assert view.job is None and "idle" in view.status.value and "Nothing" not in view.status.value
    else:
        assert view.job.pausing and "Nothing" not in view.status.value
    gate.open()


@pytest.mark.training
def test_close_ends_a_paused_thread_and_closes_the_widgets(view):
    view.start()
    view.pause()
    until(view, lambda: "paused at" in view.status.value or not view.running)
    thread = view.job
    view.close()
    assert not thread.is_alive() and view.job is None and view.root.comm is None


@pytest.mark.training
def test_view_refuses_what_cannot_be_done(view, finished):
    view.pause()
    assert "Nothing to pause" in view.status.value
    view.stop()
    assert "Nothing to stop" in view.status.value
    for name in OBJECTIVES:
        view.controls[name].value = 0.0
    view.start()
    assert not view.running and "Not started: all four objective weights are 0" in view.status.value
    view.reset()
    view.runs = finished * 3
    view.start()
    assert not view.running and "8 runs are kept at most" in view.status.value


def test_failure_of_the_thread_is_shown(view, monkeypatch):
    def broken(*_):
        raise ValueError("no <luck>")

    monkeypatch.setattr(job, "train_once", broken)
    view.start()
    until(view, lambda: not view.running)
    assert "failed: ValueError: no &lt;luck&gt;" in view.status.value and view.runs == []


@pytest.mark.training
def test_in_an_event_loop_only_its_thread_touches_widgets(view, monkeypatch):
    monkeypatch.setattr(train, "POLL", 0.02)
    writers, ticks = set(), 0
    for widget in (view.status, view.image, view.numbers):
        widget.observe(lambda _: writers.add(threading.get_ident()), names="value")

    async def main():
        nonlocal ticks
        view.buttons["start"].click()
        view.controls["epochs"].value = 1  # overtaken by the click
        while not view.runs:
            await asyncio.sleep(0.01)
            ticks += 1

    asyncio.run(asyncio.wait_for(main(), 60))
    assert len(view.runs) == 1 and "done" in view.status.value and view.runs[0].settings.epochs == 1
    assert writers == {threading.get_ident()}
    assert ticks >= 3  # the loop went on while the thread trained


def test_closing_takes_back_a_click_on_start(material, monkeypatch):
    monkeypatch.setattr(train, "SETTLE", 0.02)
    view = train_view(material)

    async def main():
        view.buttons["start"].click()
        view.close()
        await asyncio.sleep(0.1)

    asyncio.run(main())
    assert view.job is None
