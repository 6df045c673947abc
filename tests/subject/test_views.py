"""Views: masks, segments and the order of batches, for any data and any switches."""

import random

import numpy as np
import pytest
import torch
from helpers import (
    authors_file,
    distinct_data,
    make_data,
    needs_mirror,
    not_by_chance,
    sequence_data,
    two_sample,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import s3rec_lite as s3
from s3rec_lite import plain as reference
from s3rec_lite.datasets import planted, toy
from s3rec_lite.negatives import SegmentSource
from s3rec_lite.support.config import PretrainConfig
from s3rec_lite.views import Views, ViewSampler, batch_order, list_prefixes

AUTHORS = {"negative_items": "all", "negatives_avoid": "prefix", "segment_negatives": "leaky"}
FEW = settings(max_examples=60, deadline=None)


@st.composite
def configs(draw, **fixed) -> PretrainConfig:
    """Every switch that changes the views."""
    drawn = {
        "mask_ratio": draw(st.sampled_from([0.0, 0.2, 0.7, 1.0])),
        "mask_last": draw(st.booleans()),
        "negative_items": draw(st.sampled_from(["training", "all"])),
        "negatives_avoid": draw(st.sampled_from(["history", "prefix"])),
        "segment_negatives": draw(st.sampled_from(["clean", "leaky", "batch"])),
        "prefixes": draw(st.sampled_from(["authors", "recbole"])),
        "length_window": draw(st.sampled_from([0, 1, 100])),
        "batch_size": draw(st.integers(1, 9)),
    }
    return PretrainConfig(**{**drawn, **fixed})


def all_views(data, config, max_length: int, seed: int):
    """The sampler, the index array of each batch of one epoch and its views as arrays."""
    rng = np.random.default_rng(seed)
    sampler = ViewSampler(data, config, max_length)
    batches = sampler.epoch(rng) if len(sampler) else []
    return sampler, [(indices, Views(*(view.numpy() for view in sampler.batch(indices, rng)))) for indices in batches]


def plain_prefixes(data, max_length: int, rule: str) -> list[tuple[int, ...]]:
    """What the rules say, user by user."""
    found = []
    for user in range(data.num_users):
        training = data.sequence(user)[:-2].tolist()
        if rule == "authors":
            training = training[-max_length:]
            found += [tuple(training[: i + 1]) for i in range(len(training))]
        else:  # what stands before each target
            found += [tuple(training[max(0, i - max_length) : i]) for i in range(1, len(training))]
    return sorted(found)


class TestEveryBatch:
    """Properties that hold for any data and any settings."""

    @given(sequence_data(), configs(), st.integers(1, 10), st.integers(0, 2**32 - 1))
    @FEW
    def test_shapes_padding_and_the_prefix_itself(self, data, config, max_length, seed):
        sampler, batches = all_views(data, config, max_length, seed)
        for indices, views in batches:
            lengths = sampler.prefixes.lengths[indices]
            shape = (len(indices), lengths.max())
            real = np.arange(shape[1]) >= shape[1] - lengths[:, None]  # right-aligned
            for view in views:
                assert view.shape == shape
                assert view.dtype == np.int64
                assert np.array_equal(view != 0, real), "one padding for all six"
                assert view.max() <= data.mask_token
            for row, index in enumerate(indices):
                start, end = sampler.prefixes.starts[index], sampler.prefixes.ends[index]
                assert np.array_equal(views.pos_items[row, real[row]], data.items[start:end])

    @given(sequence_data(), configs(), st.integers(1, 10), st.integers(0, 2**32 - 1))
    @FEW
    def test_masks_and_negative_items(self, data, config, max_length, seed):
        sampler, batches = all_views(data, config, max_length, seed)
        trained = set(np.flatnonzero(data.seen_in_training()))
        for indices, views in batches:
            masked = views.masked_items == data.mask_token
            real = views.pos_items != 0
            assert not (masked & ~real).any(), "only real items are masked"
            assert np.array_equal(views.masked_items[~masked], views.pos_items[~masked])
            assert np.array_equal(views.neg_items[~masked], views.pos_items[~masked])
            if config.mask_last:
                assert masked[:, -1].all()
            if config.mask_ratio == 1:
                assert np.array_equal(masked, real)
            if config.mask_ratio == 0:
                assert not masked[:, :-1].any()
                assert masked[:, -1].all() == config.mask_last
            for row, column in np.argwhere(masked):
                negative = views.neg_items[row, column]
                assert 1 <= negative <= data.mask_token
                if config.negative_items == "training":
                    assert negative in trained
                if config.negatives_avoid == "history":
                    user = sampler.prefixes.users[indices[row]]
                    assert negative not in data.sequence(user)[:-2]
                else:
                    assert negative not in views.pos_items[row]

    @given(sequence_data(), configs(), st.integers(1, 10), st.integers(0, 2**32 - 1))
    @FEW
    def test_segments(self, data, config, max_length, seed):
        _, batches = all_views(data, config, max_length, seed)
        for _, views in batches:
            for row in range(len(views.pos_items)):
                real = views.pos_items[row] != 0
                _, prefix, _, context, positive, negative = (view[row, real] for view in views)
                if len(prefix) == 1:
                    assert prefix == context == positive == negative, "a single item has no segment"
                    continue
                cut = context == data.mask_token
                places = np.flatnonzero(cut)
                assert 1 <= len(places) <= len(prefix) // 2
                assert np.array_equal(places, np.arange(places[0], places[-1] + 1)), "one run"
                assert np.array_equal(np.where(cut, positive, context), prefix), "put back, it is the prefix"
                assert (positive[~cut] == data.mask_token).all()
                assert (negative[~cut] == data.mask_token).all()
                assert ((negative[cut] >= 1) & (negative[cut] <= data.num_items)).all()

    @given(sequence_data(), configs(), st.integers(1, 10), st.integers(0, 2**32 - 1))
    @FEW
    def test_every_prefix_once_an_epoch(self, data, config, max_length, seed):
        sampler, batches = all_views(data, config, max_length, seed)
        seen = [tuple(row[row != 0].tolist()) for _, views in batches for row in views.pos_items]
        assert sorted(seen) == plain_prefixes(data, max_length, config.prefixes)
        assert len(sampler) == len(seen)
        drawn = np.concatenate([indices for indices, _ in batches]) if batches else []
        assert np.array_equal(np.sort(drawn), np.arange(len(sampler)))

    @given(sequence_data(), configs(), st.integers(0, 2**32 - 1))
    @settings(max_examples=20, deadline=None)
    def test_one_seed_gives_one_epoch(self, data, config, seed):
        first, second = (all_views(data, config, 8, seed)[1] for _ in range(2))
        for (one, views), (other, same) in zip(first, second, strict=True):
            assert np.array_equal(one, other)
            assert all(np.array_equal(a, b) for a, b in zip(views, same, strict=True))


class TestForeignSegments:
    """Items of the data here are all different: an id tells its user and its place."""

    @given(distinct_data(), configs(segment_negatives="clean"), st.integers(0, 2**32 - 1))
    @FEW
    def test_clean_ones_are_training_items_of_one_other_user(self, data, config, seed):
        sampler, batches = all_views(data, config, 10, seed)
        owner = np.repeat(np.arange(data.num_users), data.lengths)
        held_out = np.zeros(data.num_interactions, dtype=bool)
        held_out[data.offsets[1:] - 1] = held_out[data.offsets[1:] - 2] = True
        training = data.lengths - 2
        for indices, views in batches:
            for row, index in enumerate(indices):
                cut = views.masked_segment[row] == data.mask_token
                segment = views.neg_segment[row, cut] - 1  # places in data.items
                if not len(segment):
                    continue
                user = sampler.prefixes.users[index]
                assert not held_out[segment].any()
                assert np.array_equal(segment, np.arange(segment[0], segment[0] + len(segment)))
                assert len(set(owner[segment])) == 1
                if (np.delete(training, user) >= len(segment)).any():
                    assert owner[segment[0]] != user

    def test_clean_ones_come_from_others_however_long_the_own_history_is(self):
        data = make_data([range(1, 61), range(61, 66)])
        sampler = ViewSampler(data, PretrainConfig(), max_length=50)
        rng = np.random.default_rng(0)
        shorter = np.flatnonzero((sampler.prefixes.users == 0) & (sampler.prefixes.lengths < 8))
        views = sampler.batch(np.repeat(shorter, 50), rng)
        cut = (views.masked_segment == data.mask_token) & (views.pos_items != 0)
        assert set(views.neg_segment[cut].tolist()) == {61, 62, 63}

    def test_clean_ones_are_uniform_over_the_other_users_places(self):
        data = make_data(np.split(np.arange(1, 41), [7, 16, 30]))
        source = SegmentSource(data, "clean")
        rng, draws = np.random.default_rng(1), 6000
        for length in (1, 2, 4, 6):
            for user in range(4):
                _, starts = source.start(np.full(draws, length), np.full(draws, user), None, None, rng)
                counts = np.bincount(starts, minlength=data.num_interactions)
                allowed = np.zeros(data.num_interactions)
                for other in range(4):
                    if other != user:
                        first, last = data.offsets[other], data.offsets[other + 1] - 2 - length
                        allowed[first : last + 1] = 1
                assert not_by_chance(counts, allowed / allowed.sum() * draws) < 5

    def test_leaky_ones_hold_held_out_items_and_cross_users(self):
        data = make_data(np.split(np.arange(1, 41), [7, 16, 30]))
        rng, sampler = np.random.default_rng(0), ViewSampler(data, PretrainConfig(**AUTHORS), 50)
        views = sampler.batch(np.repeat(np.arange(len(sampler)), 40), rng)
        cut = (views.masked_segment == data.mask_token) & (views.pos_items != 0)
        drawn = set(views.neg_segment[cut].tolist())
        assert drawn == set(range(1, 41)), "every interaction can be drawn, the held-out ones too"
        crossing = ((views.neg_segment == 7) & cut)[:, :-1] & ((views.neg_segment == 8) & cut)[:, 1:]
        assert crossing.any()

    @given(distinct_data(), st.integers(0, 2**32 - 1))
    @settings(max_examples=30, deadline=None)
    def test_those_of_the_batch_hold_only_what_the_batch_holds(self, data, seed):
        _, batches = all_views(data, PretrainConfig(segment_negatives="batch", batch_size=7), 10, seed)
        for _, views in batches:
            drawn = set(views.neg_segment.flatten().tolist()) - {0, data.mask_token}
            assert drawn <= set(views.pos_items.flatten().tolist())


class TestPrefixes:
    def test_by_hand_on_the_toy(self):
        """Ada 6 4 1, Ben 3 5 6 3 and Cleo 2 4 2 3 4 are training items."""
        data = toy()
        authors = list_prefixes(data, 3)
        rows = [data.items[s:e].tolist() for s, e in zip(authors.starts, authors.ends, strict=True)]
        assert rows == [
            [6], [6, 4], [6, 4, 1],
            [5], [5, 6], [5, 6, 3],
            [2], [2, 3], [2, 3, 4],
        ]  # fmt: skip
        recbole = list_prefixes(data, 3, "recbole")
        rows = [data.items[s:e].tolist() for s, e in zip(recbole.starts, recbole.ends, strict=True)]
        assert rows == [
            [6], [6, 4],
            [3], [3, 5], [3, 5, 6],
            [2], [2, 4], [2, 4, 2], [4, 2, 3],
        ]  # fmt: skip

    @given(distinct_data(), st.integers(1, 10))
    @settings(max_examples=30, deadline=None)
    def test_recboles_rule_never_uses_the_last_training_item(self, data, max_length):
        prefixes = list_prefixes(data, max_length, "recbole")
        used = set()
        for start, end in zip(prefixes.starts, prefixes.ends, strict=True):
            used |= set(data.items[start:end].tolist())
        last = set(data.items[data.offsets[1:] - 3].tolist())
        assert used == set(data.items[data.seen_in_training()[data.items]].tolist()) - last

    @needs_mirror
    @pytest.mark.parametrize(
        ("name", "file", "count", "mean", "single"),
        [
            ("lastfm", "LastFM.txt", 25_726, 19.41, 0.042),
            ("beauty", "Beauty.txt", 150_258, 7.15, 0.149),
            ("yelp", "Yelp.txt", 247_854, 8.82, 0.123),
        ],
    )
    def test_real_data_have_the_published_number_of_prefixes(self, name, file, count, mean, single):
        authors_file(file)
        lengths = list_prefixes(s3.load_dataset(name), 50).lengths
        assert len(lengths) == count
        assert lengths.mean() == pytest.approx(mean, abs=0.005)
        assert (lengths == 1).mean() == pytest.approx(single, abs=0.0005)


class TestOrder:
    @given(
        st.lists(st.integers(1, 50), min_size=1, max_size=300),
        st.integers(1, 40), st.integers(0, 12), st.integers(0, 2**32 - 1),
    )  # fmt: skip
    @settings(max_examples=50, deadline=None)
    def test_every_sample_once_in_full_batches(self, lengths, batch_size, window, seed):
        batches = batch_order(np.array(lengths), batch_size, window, np.random.default_rng(seed))
        assert np.array_equal(np.sort(np.concatenate(batches)), np.arange(len(lengths)))
        sizes = sorted(map(len, batches))
        assert len(batches) == -(-len(lengths) // batch_size)
        assert all(size == batch_size for size in sizes[1:])

    def test_a_window_saves_padding_and_none_is_a_plain_shuffle(self):
        lengths = np.random.default_rng(0).integers(1, 51, 4000)
        padded = {}
        for window in (0, 5, 100):
            batches = batch_order(lengths, 100, window, np.random.default_rng(1))
            padded[window] = sum(len(batch) * lengths[batch].max() for batch in batches)
        assert padded[100] < 1.05 * lengths.sum()
        assert padded[100] < padded[5] < padded[0]

    def test_a_sample_meets_other_companions_in_every_epoch(self):
        lengths, rng = np.random.default_rng(0).integers(1, 51, 1000), np.random.default_rng(2)
        companions = [
            {int(i) for batch in batch_order(lengths, 20, 10, rng) if 7 in batch for i in batch} for _ in range(3)
        ]
        assert companions[0] != companions[1] != companions[2]


SAMPLES = 4000


@pytest.fixture(scope="module")
def drawn():
    """Both ways of drawing the same prefix of 9 items many times, as arrays [6, N, 9]."""
    data = make_data(np.split(np.arange(1, 31), [11, 20]))
    plain = reference.PlainSamples(data, 9)
    index = next(i for i, prefix in enumerate(plain.prefixes) if prefix == list(range(1, 10)))
    rng = random.Random(5)
    one = np.array([plain.sample(index, rng) for _ in range(SAMPLES)]).transpose(1, 0, 2)
    sampler = ViewSampler(data, PretrainConfig(**AUTHORS), 9)
    (ours,) = np.flatnonzero((sampler.prefixes.users == 0) & (sampler.prefixes.lengths == 9))
    views = sampler.batch(np.full(SAMPLES, ours), np.random.default_rng(6))
    return data, one, np.stack([view.numpy() for view in views])


class TestDistribution:
    """The same as that of the plain reference, one sample at a time."""

    def test_masked_places(self, drawn):
        data, plain, ours = drawn
        counts = [(views[0] == data.mask_token).sum(axis=0) for views in (plain, ours)]
        assert counts[0][-1] == counts[1][-1] == SAMPLES
        for place in range(8):
            tables = [np.array([count[place], SAMPLES - count[place]]) for count in counts]
            assert two_sample(*tables) < 10  # one degree of freedom: about 4 standard deviations
            assert counts[1][place] / SAMPLES == pytest.approx(0.2, abs=0.03)
        together = [np.bincount((views[0] == data.mask_token).sum(axis=1), minlength=10) for views in (plain, ours)]
        assert two_sample(*together) < 5, "places are masked independently of each other"

    def test_negative_items(self, drawn):
        data, plain, ours = drawn
        counts = [np.bincount(views[2, :, -1], minlength=data.mask_token + 1) for views in (plain, ours)]
        assert two_sample(*counts) < 5
        expected = np.zeros(data.mask_token + 1)
        expected[10:] = SAMPLES / (data.mask_token - 9)
        assert not_by_chance(counts[1], expected) < 5
        assert counts[1][data.mask_token] > 0, "the authors' rule draws the mask token as well"

    def test_segments(self, drawn):
        data, plain, ours = drawn
        tables = []
        for views in (plain, ours):
            cut = views[3] == data.mask_token  # [N, 9]
            tables.append(np.zeros((10, 10)))
            np.add.at(tables[-1], (cut.sum(axis=1), cut.argmax(axis=1)), 1)
        assert two_sample(*tables) < 5
        expected = np.zeros((10, 10))
        for length in range(1, 5):
            expected[length, : 9 - length + 1] = SAMPLES / 4 / (9 - length + 1)
        assert not_by_chance(tables[1].ravel(), expected.ravel()) < 5

    def test_foreign_segments(self, drawn):
        data, plain, ours = drawn
        counts = []
        for views in (plain, ours):
            cut = views[3] == data.mask_token
            first = views[5][np.arange(SAMPLES), cut.argmax(axis=1)]
            counts.append(np.bincount(first, minlength=data.mask_token))
        assert two_sample(*counts) < 5

    @pytest.mark.parametrize("ratio", [0.0, 0.1, 0.5, 0.9, 1.0])
    def test_the_masked_share_is_the_setting(self, ratio):
        data = planted(num_users=300)
        config = PretrainConfig(mask_ratio=ratio, mask_last=False, batch_size=10_000)
        _, batches = all_views(data, config, 50, 0)
        masked = sum((views.masked_items == data.mask_token).sum() for _, views in batches)
        total = sum((views.pos_items != 0).sum() for _, views in batches)
        assert masked / total == pytest.approx(ratio, abs=5 * np.sqrt(ratio * (1 - ratio) / total) + 1e-12)

    @needs_mirror
    def test_the_effective_masked_share_of_lastfm(self):
        authors_file("LastFM.txt")
        _, batches = all_views(s3.load_dataset("lastfm"), PretrainConfig(batch_size=5000), 50, 0)
        masked = sum((views.masked_items == 3647).sum() for _, views in batches)
        assert masked / sum((views.pos_items != 0).sum() for _, views in batches) == pytest.approx(0.241, abs=0.002)

    def test_corrected_negatives_never_are_the_mask_token_and_are_uniform(self):
        data = make_data([[1, 2, 3, 4, 5], [4, 5, 6, 7, 8], [1, 6, 7, 9, 10]], num_items=12)
        sampler = ViewSampler(data, PretrainConfig(), 9)
        (index,) = np.flatnonzero((sampler.prefixes.users == 0) & (sampler.prefixes.lengths == 3))
        views = sampler.batch(np.full(3000, index), np.random.default_rng(0))
        counts = np.bincount(views.neg_items[:, -1].numpy(), minlength=14)
        expected = np.zeros(14)
        expected[[4, 5, 6, 7]] = 3000 / 4  # training items of anyone, less 1 2 3
        assert not_by_chance(counts, expected) < 5


class TestErrors:
    def test_a_user_who_has_every_item_gives_one_clear_line(self):
        data = make_data([[1, 2, 3, 1, 2], [1, 3, 2, 1]])
        sampler = ViewSampler(data, PretrainConfig(), 10)
        with pytest.raises(s3.DataError, match="user number 1 has .* every one of the 3 candidate items") as caught:
            sampler.batch(np.arange(len(sampler)), np.random.default_rng(0))
        assert "\n" not in str(caught.value)

    def test_a_user_with_all_items_but_one_gets_that_one(self):
        data = make_data([[*range(1, 100), 1, 2], [100, 100, 100]])
        sampler = ViewSampler(data, PretrainConfig(mask_ratio=1.0), 50)
        rows = np.flatnonzero(sampler.prefixes.users == 0)
        views = sampler.batch(rows[-4:], np.random.default_rng(0))
        assert set(views.neg_items.unique().tolist()) <= {0, 100}

    def test_views_move_to_a_device_together(self):
        ids = torch.tensor([[1]])
        moved = Views(ids, ids, ids, ids, ids, ids).to("meta")
        assert isinstance(moved, Views)
        assert {view.device.type for view in moved} == {"meta"}
