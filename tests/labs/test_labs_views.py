"""The labs on masking, segments and attention: their numbers against loops, and what every control does."""

import math

import numpy as np
import pytest
import torch
from helpers import make_data
from hypothesis import given, settings
from hypothesis import strategies as st

from s3rec_lite import ModelConfig, S3Rec
from s3rec_lite.datasets import take_users
from s3rec_lite.labs import attention, films, make_lab, masking, segment_cuts, segments
from s3rec_lite.labs.lab import Choice, png
from s3rec_lite.labs.material import INIT, PRETRAINED, SCRATCH, STAGES, Material
from s3rec_lite.objectives import pretraining_losses
from s3rec_lite.support.errors import DataError
from s3rec_lite.views import Views

CONFIG = ModelConfig(hidden_size=8, inner_size=12, max_length=20, initializer_range=0.5)
NAMES = ("masking", "segments", "attention")
NUM_ITEMS = 40


def small_material() -> Material:
    rng = np.random.default_rng(1)
    data = make_data([rng.permutation(NUM_ITEMS)[:length] + 1 for length in (25, 9, 24, 3, 30, 14)], NUM_ITEMS)
    models = {name: S3Rec(NUM_ITEMS, 3, CONFIG, seed=seed) for seed, name in enumerate((*STAGES, SCRATCH, PRETRAINED))}
    return Material(data, take_users(data, np.array([1, 4])), models)


@pytest.fixture(scope="module")
def material():
    return small_material()


def moved(control):
    """The value that one step with the keyboard leads to."""
    if isinstance(control, Choice):
        values = [value for _, value in control.options]
        place = values.index(control.value)
        return values[place + 1 if place + 1 < len(values) else place - 1]
    step = control.step if control.value + control.step <= control.high else -control.step
    return control.value + step


@pytest.mark.parametrize("name", NAMES)
def test_every_control_changes_numbers_picture_and_facts(material, name):
    lab = make_lab(name, material)
    first = lab.answer(**lab.defaults)
    picture = png(first.draw())
    for control in lab.controls:
        other = lab.answer(**{**lab.defaults, control.name: moved(control)})
        assert other.numbers != first.numbers
        assert other.facts["setting"] != first.facts["setting"]
        assert png(other.draw()) != picture


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_is_the_same_each_time_and_in_a_new_lab(material, name):
    lab, again = make_lab(name, material), make_lab(name, small_material())
    answers = [made.answer(**{**lab.defaults, "user": 3}) for made in (lab, lab, again)]
    assert len({answer.numbers for answer in answers}) == 1
    assert len({png(answer.draw()) for answer in answers[1:]}) == 1
    assert answers[0].alt


@pytest.mark.parametrize("name", NAMES)
def test_presets_and_both_ends_of_every_slider_are_answered(material, name):
    lab = make_lab(name, material)
    assert lab.name == name
    assert lab.question.endswith("?")
    for preset in lab.presets:
        assert set(preset.settings) <= set(lab.defaults)
        assert "nan" not in lab.answer(**{**lab.defaults, **preset.settings}).numbers
        for control in lab.controls:  # the widget has to accept the value
            widget = control.widget()
            widget.value = preset.settings.get(control.name, control.value)
            widget.close()
    for control in lab.controls:
        for value in (control.low, control.high) if not isinstance(control, Choice) else ():
            answer = lab.answer(**{**lab.defaults, control.name: value})
            assert len(answer.draw().axes) >= 2
            assert "nan" not in answer.numbers


def test_the_slider_goes_through_users_with_two_training_films(material):
    who = films.people(material)
    assert who.users == (0, 1, 2, 4, 5)  # user 3 has one
    assert who.seen == {1, 4}
    assert "not among the 2" in who.words(0)
    assert "not" not in who.words(4)
    data = make_data([[1, 2, 3]])
    with pytest.raises(DataError, match="two training items"):
        films.people(Material(data, data, {}))


def test_titles_are_cut_and_marked():
    assert films.short("Gattaca") == "Gattaca"
    assert films.short("Ends, at a comma", 6) == "Ends…"
    assert films.short("x" * 30) == "x" * 23 + "…"


# Masking


@given(st.integers(1, 12), st.floats(0, 1), st.floats(0, 1), st.integers(0, 40), st.integers(0, 20), st.booleans())
@settings(max_examples=20)
def test_a_higher_ratio_hides_more_and_uncovers_nothing(length, one, two, user, draw, mask_last):
    low, high = sorted((one, two))
    fewer, more = (masking.hidden_films(length, ratio, user, draw, mask_last) for ratio in (low, high))
    assert (more | ~fewer).all()
    assert not masking.hidden_films(length, 0, user, draw, False).any()
    assert masking.hidden_films(length, 1, user, draw, False).all()
    assert more[-1] or not mask_last


def test_each_film_is_hidden_as_often_as_the_ratio_says():
    hidden = [masking.hidden_films(12, 0.3, user, draw, False) for user in range(40) for draw in range(20)]
    assert np.mean(hidden) == pytest.approx(0.3, abs=0.02)


def test_ranks_and_top_five_are_those_of_a_loop_over_films(material):
    model, items = material.models[INIT], material.data.sequence(0)[:12]
    hidden = np.zeros(12, dtype=bool)
    hidden[[0, 4, 11]] = True
    ranks, tops = masking.guesses(model, items[None], hidden[None])
    masked = torch.tensor([[model.mask_token if hide else int(item) for item, hide in zip(items, hidden, strict=True)]])
    with model.evaluating():
        states = model.encode(masked)[0]
        for rank, top, place in zip(ranks, tops, (0, 4, 11), strict=True):
            asked = model.heads["mip"](states[place])
            scores = {film: float(asked @ model.item_embeddings.weight[film]) for film in range(1, NUM_ITEMS + 1)}
            order = sorted(scores, key=scores.get, reverse=True)
            assert top.tolist() == order[:5]
            assert rank == order.index(items[place]) + 1


def test_the_masking_answer_counts_what_is_hidden(material):
    lab = make_lab("masking", material)
    answer = lab.answer(mask_ratio=50, user=2, draw=3, mask_last=True)
    places = answer.facts["hidden"]
    assert places[-1] == 11
    assert places == np.flatnonzero(masking.hidden_films(12, 0.5, 2, 3, True)).tolist()
    assert f"{len(places)} of user 2's last 12 training films hidden" in answer.numbers
    for when, ranks in answer.facts["ranks"].items():
        assert len(ranks) == len(places)
        assert answer.facts["hits"][when] == sum(rank <= 5 for rank in ranks)
        assert f"mean rank of the true film <b>{sum(ranks) / len(ranks):.0f}</b>" in answer.numbers
    assert answer.numbers.count("✓") == sum(answer.facts["hits"].values())


def test_the_means_over_all_people_are_those_of_asking_one_by_one(material):
    who, lab = films.people(material), make_lab("masking", material)
    gaps = masking.gaps_of_all(material, who, 40, 1, False)
    together = {}
    for place, user in enumerate(who.users):
        items = material.data.history(user, "train")[-masking.MOST_FILMS :]
        hidden = masking.hidden_films(len(items), 0.4, user, 1, False)
        for when, stage in masking.MODELS.items():
            expected = masking.guesses(material.models[stage], items[None], hidden[None])[0].tolist()
            assert gaps[when][gaps["person"] == place].tolist() == expected
            together.setdefault((when, user in who.seen), []).extend(expected)
    answer = lab.answer(mask_ratio=40, user=0, draw=1, mask_last=False)
    words, means = answer.numbers, answer.facts["mean_ranks"]
    for group, seen in (("never saw", False), ("were trained on", True)):
        expected = tuple(np.mean(together[when, seen]) for when in masking.MODELS)
        assert means[group] == pytest.approx(expected)
        assert f"from <b>{expected[0]:.0f}</b> to <b>{expected[1]:.0f}</b> for people that the models {group}" in words
    nothing = lab.answer(mask_ratio=0, user=0, draw=1, mask_last=False)
    assert nothing.facts["mean_ranks"] == {} and "Over all" not in nothing.numbers


def test_the_masking_lab_opens_on_somebody_that_training_never_saw(material):
    lab = make_lab("masking", material)
    who = films.people(material)
    assert who.users[lab.defaults["user"]] not in who.seen
    assert lab.controls[0].widget().description == "Mask ratio [%]"
    assert "Over all 5 people of the slider" in lab.answer(**lab.defaults).numbers


def test_a_model_that_knows_the_answer_ranks_it_first():
    data = make_data([[1, 2, 3, 4, 5, 6]])
    model = S3Rec(6, 3, CONFIG)
    with torch.no_grad():  # the head always answers with film 4's vector, which is the longest
        model.heads["mip"].weight.zero_()
        model.item_embeddings.weight[4] *= 20
        model.heads["mip"].bias.copy_(model.item_embeddings.weight[4])
    lab = make_lab("masking", Material(data, data, dict.fromkeys(STAGES, model)))
    answer = lab.answer(mask_ratio=0, user=0, draw=0, mask_last=True)
    assert answer.facts["ranks"] == {"before": [1], "after": [1]}
    assert "the top 5 of all gaps together name 5 different films" in answer.numbers


def test_with_nothing_hidden_the_lab_says_so(material):
    answer = make_lab("masking", material).answer(mask_ratio=0, user=0, draw=0, mask_last=False)
    assert answer.facts["ranks"] == {"before": [], "after": []}
    assert "Nothing is hidden" in answer.numbers
    assert "<table" not in answer.numbers
    answer.draw()


# Segments


@pytest.fixture(scope="module")
def prepared(material):
    return segment_cuts.Prepared(material)


def test_the_three_inputs_by_hand():
    data = make_data([[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]])
    cut = segment_cuts.Cut(0, np.array([1, 2, 3, 4]), 1, 2, np.array([6, 7]))
    assert cut.views(data).tolist() == [[1, 13, 13, 4], [13, 2, 3, 13], [13, 7, 8, 13]]
    assert segments.kinds(cut, np.array([False, True])).tolist() == [[1, 0, 0, 1], [0, 1, 1, 0], [0, 2, 3, 0]]


@given(st.integers(1, 10), st.integers(1, 20), st.sampled_from([0, 1, 2, 4, 5]), st.sampled_from(["clean", "leaky"]))
@settings(max_examples=25)
def test_cuts_fit_and_clean_ones_take_one_other_users_training_films(prepared, length, start, user, rule):
    data = prepared.data
    cut = prepared.cut_out(length, start, user, rule)
    count = min(20, int(data.lengths[user]) - 2)
    assert cut.items.tolist() == data.sequence(user)[:-2][-20:].tolist()
    assert cut.length == min(length, count // 2) == len(cut.foreign)
    assert cut.first == min(start - 1, count - cut.length)
    assert cut.foreign.tolist() == prepared.cut_out(length, start, user, rule).foreign.tolist()
    if rule == "clean":
        owners = {next(u for u in range(6) if place < data.offsets[u + 1]) for place in cut.foreign}
        assert len(owners) == 1
        assert owners != {user}
        assert all(place < data.offsets[max(owners) + 1] - 2 for place in cut.foreign)


def test_settings_that_do_not_fit_are_drawn_back_and_the_numbers_say_so(material):
    lab = make_lab("segments", material)
    answer = lab.answer(length=10, start=20, user=1, rule="clean", stage=INIT)  # 7 training films
    assert answer.facts["setting"] == (3, 5, 1, "clean", INIT)
    assert "length 10 was cut to 3" in answer.numbers
    assert "start 20 was moved to 5" in answer.numbers
    assert "places 5 to 7" in answer.numbers
    fits = lab.answer(length=2, start=3, user=1, rule="clean", stage=INIT)
    assert "<i>" not in fits.numbers
    assert "place 3 (" not in fits.numbers


def test_the_loss_is_that_of_pre_training(material):
    lab = make_lab("segments", material)
    for user, rule in ((0, "clean"), (1, "leaky"), (3, "clean")):
        answer = lab.answer(length=3, start=2, user=user, rule=rule, stage=STAGES[2])
        inputs = [torch.from_numpy(row)[None] for row in answer.facts["views"]]
        whole = torch.where(inputs[0] == NUM_ITEMS + 1, inputs[1], inputs[0])
        views = Views(whole, whole, whole, *inputs)
        for stage in STAGES:
            with material.models[stage].evaluating() as model:
                loss = pretraining_losses(model, views, material.data.attributes, "pairwise")["sp"]
            assert answer.facts["losses"][stage] == pytest.approx(float(loss), abs=1e-5)
        positive, negative = answer.facts["scores"]
        assert answer.facts["probability"] == pytest.approx(1 / (1 + math.exp(negative - positive)))
        assert answer.facts["losses"][STAGES[2]] == pytest.approx(-math.log(answer.facts["probability"]))


def test_group_means_are_means_over_people_that_were_seen_and_not(material, prepared):
    assert prepared.groups == {"seen": [1, 4], "new": [0, 2, 5]}
    lab = make_lab("segments", material)
    answer = lab.answer(length=2, start=3, user=0, rule="leaky", stage=INIT)
    slider = {user: place for place, user in enumerate(prepared.who.users)}
    for group, members in prepared.groups.items():
        single = [
            lab.answer(length=2, start=3, user=slider[user], rule="leaky", stage=INIT).facts["losses"][INIT]
            for user in members
        ]
        assert answer.facts["mean_losses"][group][INIT] == pytest.approx(sum(single) / len(single), abs=1e-5)


def test_padding_does_not_change_scores(prepared):
    model = prepared.models[STAGES[1]]
    cuts = [prepared.cut_out(2, 2, user, "clean") for user in (0, 1, 5)]
    together = segment_cuts.scores(model, segment_cuts.stack(cuts, prepared.data))
    for cut, row in zip(cuts, together, strict=True):
        np.testing.assert_allclose(segment_cuts.scores(model, cut.views(prepared.data)[None])[0], row, atol=1e-5)


def test_losses_of_equal_scores_are_log_2():
    pairs = np.array([[1.5, 1.5], [800.0, -800.0], [-800.0, 800.0]])
    np.testing.assert_allclose(segment_cuts.pair_losses(pairs), [math.log(2), 0, 1600])


@given(st.lists(st.booleans(), min_size=3, max_size=20), st.integers(1, 3))
@settings(max_examples=20)
def test_the_share_of_slices_with_a_held_out_film_is_that_of_a_loop(flags, length):
    slices = [flags[begin : begin + length] for begin in range(len(flags) - length + 1)]
    share = segment_cuts.share_with_held_out(np.array(flags), length)
    assert share == pytest.approx(sum(any(part) for part in slices) / len(slices))


def test_the_preset_shows_a_slice_that_leaks(material):
    lab = make_lab("segments", material)
    answer = lab.answer(**{**lab.defaults, **lab.presets[0].settings})
    assert any(answer.facts["held_out"])
    count = sum(answer.facts["held_out"])
    assert f"holds {count} held-out interaction" in answer.numbers
    assert answer.numbers.count("(held out)") == count
    assert "text-align:right" not in answer.numbers  # both columns are titles
    clean = lab.answer(**{**lab.defaults, **lab.presets[0].settings, "rule": "clean"})
    assert not any(clean.facts["held_out"])


def test_held_out_flags_are_the_last_two_of_a_user(material, prepared):
    lab, data = make_lab("segments", material), material.data
    seen = set()
    for start in range(1, 12):
        answer = lab.answer(length=6, start=start, user=0, rule="leaky", stage=INIT)
        cut = prepared.cut_out(6, start, 0, "leaky")
        for place, flag, owner in zip(
            cut.foreign, answer.facts["held_out"], answer.facts["foreign_users"], strict=True
        ):
            assert data.offsets[owner] <= place < data.offsets[owner + 1]
            assert flag == (place >= data.offsets[owner + 1] - 2)
            seen.add(flag)
    assert seen == {True, False}


# Attention


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("n_heads", [1, 2, 4])
def test_weights_reproduce_what_the_blocks_pass_on(causal, n_heads):
    model = S3Rec(9, 3, ModelConfig(hidden_size=8, inner_size=12, n_heads=n_heads, initializer_range=0.5)).eval()
    items = torch.tensor([[0, 0, 3, 1, 9], [5, 4, 3, 2, 8]])
    seen = []
    for block in model.blocks:
        attend = block.attention.attend
        block.attention.attend = lambda x, *rest, attend=attend: seen.append((x, attend(x, *rest))) or seen[-1][1]
    with torch.no_grad():
        model.encode(items, causal)
    weights = attention.attention_weights(model, items, causal)
    assert weights.shape == (2, n_heads, 2, 5, 5)
    size = 8 // n_heads
    for layer, (x, context) in enumerate(seen[:2]):
        attend = model.blocks[layer].attention.query_key_value
        values = x @ attend.weight[16:].T + attend.bias[16:]  # the last third projects values
        for head in range(n_heads):
            part = slice(head * size, (head + 1) * size)
            torch.testing.assert_close(weights[layer, head] @ values[:, :, part], context[:, :, part])


def test_rows_sum_to_one_and_masks_hide(material):
    model, items = material.models[PRETRAINED], torch.tensor([[0, 5, 6, 7, 8]])
    causal, both = (attention.attention_weights(model, items, rule)[:, :, 0].numpy() for rule in (True, False))
    for weights in (causal[:, :, 1:], both):
        np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-6)
        assert (weights[..., 0] == 0).all()
    assert (np.triu(causal[:, :, 1:, 1:], 1) == 0).all()
    assert (np.triu(both[:, :, 1:, 1:], 1) > 0).any()
    np.testing.assert_allclose(causal[0, :, -1], both[0, :, -1], atol=1e-6)  # the newest film sees all either way


def test_entropy_has_its_known_values():
    assert attention.entropy(np.full(12, 1 / 12)) == pytest.approx(math.log(12))
    assert attention.entropy(np.array([0.0, 1.0])) == 0
    assert attention.entropy(np.array([0.25, 0.75])) == pytest.approx(0.25 * math.log(4) + 0.75 * math.log(4 / 3))


def test_the_attention_numbers_are_those_of_the_shown_map(material):
    lab = make_lab("attention", material)
    answer = lab.answer(layer=2, head=1, user=4, causal=False, model=INIT)
    items = material.data.sequence(5)[:-2][-12:]
    weights = attention.attention_weights(material.models[INIT], torch.from_numpy(items)[None], False)[1, 0, 0]
    np.testing.assert_array_equal(answer.facts["weights"], weights.numpy())
    row = weights[-1].tolist()
    assert answer.facts["newest"] == row[-1]
    assert answer.facts["entropy"] == pytest.approx(-sum(value * math.log(value) for value in row), abs=1e-6)
    assert answer.facts["most"] == math.log(12)
    best = sorted(range(12), key=lambda place: -row[place])[:3]
    assert answer.facts["looked_at"] == [(items[place], row[place]) for place in best]
    newer = sum(float(weights[query, key]) for query in range(12) for key in range(query + 1, 12)) / 12
    assert answer.facts["newer"] == pytest.approx(newer)
    assert f"{newer:.1%} of the weight goes to newer films" in answer.numbers
    causal = lab.answer(layer=2, head=1, user=4, causal=True, model=INIT)
    assert causal.facts["newer"] == 0
    assert "none of the weight goes to newer films" in causal.numbers


def test_a_short_sequence_has_a_small_map(material):
    answer = make_lab("attention", material).answer(layer=1, head=1, user=1, causal=True, model=INIT)
    assert answer.facts["weights"].shape == (7, 7)
    assert "the last 7 training films" in answer.numbers
    answer.draw()
