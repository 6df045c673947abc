"""Settings: ranges, one-line errors, and that they cannot change once made."""

import dataclasses
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3rec_lite import FinetuneConfig, ModelConfig, PretrainConfig, S3RecError, SettingError
from s3rec_lite.support.config import OBJECTIVES, describe

CLASSES = (ModelConfig, PretrainConfig, FinetuneConfig)

AT_LEAST_ONE = {
    ModelConfig: ("hidden_size", "inner_size", "n_layers", "n_heads", "max_length"),
    PretrainConfig: ("batch_size", "num_negatives"),
    FinetuneConfig: ("batch_size",),
}
AT_LEAST_ZERO = {
    PretrainConfig: ("epochs", "save_step", "length_window", "seed"),
    FinetuneConfig: ("epochs", "save_step", "patience", "min_steps", "seed"),
}
POSITIVE = {
    ModelConfig: ("layer_norm_eps", "initializer_range"),
    PretrainConfig: ("learning_rate",),
    FinetuneConfig: ("learning_rate",),
}
NOT_NEGATIVE = {
    PretrainConfig: ("weight_decay", "aap_weight", "mip_weight", "map_weight", "sp_weight"),
    FinetuneConfig: ("weight_decay",),
}
CHOICES = {
    ModelConfig: ("hidden_act", "finetune_positions"),
    PretrainConfig: (
        "aap_form", "mip_form", "map_form", "sp_form", "aap_view", "reduction", "negative_items", "negatives_avoid",
        "segment_negatives", "prefixes", "precision",
    ),
    FinetuneConfig: ("loss", "samples", "negative_items", "negatives_avoid", "monitor_protocol", "precision"),
}  # fmt: skip


def wrong_values():
    for table, values in (
        (AT_LEAST_ONE, [0, -1, 1.5, "many", None, math.inf]),
        (AT_LEAST_ZERO, [-1, 0.5, "x", None, math.nan]),
        (POSITIVE, [0, -0.1, math.nan, math.inf, "fast", None]),
        (NOT_NEGATIVE, [-0.1, math.nan, math.inf, "x", None]),
        (CHOICES, ["nonsense", "", None, 3]),
    ):
        for cls, names in table.items():
            yield from ((cls, name, value) for name in names for value in values)
    for value in (-0.1, 1, 1.5, math.nan, "x"):
        yield from ((ModelConfig, name, value) for name in ("hidden_dropout_prob", "attn_dropout_prob"))
    yield from ((PretrainConfig, "mask_ratio", value) for value in (-0.01, 1.5, math.nan, "x"))
    yield from ((FinetuneConfig, "monitor", value) for value in ("", "HR", "HR@0", "NDCG@", "recall@5", "MRR@x", 5))
    yield from ((PretrainConfig, name, "perhaps") for name in ("mask_last", "bounded_critic", "skip_single_items"))


@pytest.mark.parametrize(("cls", "name", "value"), list(wrong_values()))
def test_a_value_out_of_range_gives_one_line_that_names_it(cls, name, value):
    with pytest.raises(SettingError) as caught:
        cls(**{name: value})
    message = str(caught.value)
    assert "\n" not in message
    assert name in message
    assert repr(value) in message or "@" in message
    assert isinstance(caught.value, S3RecError)


@pytest.mark.parametrize("cls", CLASSES)
def test_an_unknown_setting_is_refused_with_the_nearest_name(cls):
    known = dataclasses.fields(cls)[0].name
    with pytest.raises(SettingError, match=f"did you mean '{known}'") as caught:
        cls(**{known + "s": 1})
    assert "\n" not in str(caught.value)
    with pytest.raises(SettingError, match="has no setting 'zzz'"):
        cls(zzz=1)


@pytest.mark.parametrize(("hidden_size", "n_heads"), [(64, 3), (10, 4), (2, 8)])
def test_heads_must_divide_the_width(hidden_size, n_heads):
    with pytest.raises(SettingError, match=f"n_heads={n_heads} does not divide hidden_size={hidden_size}"):
        ModelConfig(hidden_size=hidden_size, n_heads=n_heads)


def test_pre_training_needs_an_objective():
    weights = {f"{name}_weight": 0 for name in OBJECTIVES}
    with pytest.raises(SettingError, match="nothing to train"):
        PretrainConfig(**weights)
    assert PretrainConfig(**{**weights, "sp_weight": 1}).weights == {"aap": 0, "mip": 0, "map": 0, "sp": 1}


@pytest.mark.parametrize("cls", CLASSES)
def test_settings_are_frozen(cls):
    config = cls()
    for field in dataclasses.fields(cls):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(config, field.name, getattr(config, field.name))


@pytest.mark.parametrize("cls", CLASSES)
def test_a_changed_copy_is_validated_too(cls):
    field = AT_LEAST_ONE[cls][0]
    assert getattr(dataclasses.replace(cls(), **{field: 4}), field) == 4
    with pytest.raises(SettingError, match=field):
        dataclasses.replace(cls(), **{field: 0})


@pytest.mark.parametrize("cls", CLASSES)
def test_settings_survive_json(cls):
    config = cls()
    assert cls(**json.loads(json.dumps(dataclasses.asdict(config)))) == config
    assert hash(config) == hash(cls())


@pytest.mark.parametrize("cls", CLASSES)
def test_every_setting_is_described(cls):
    texts = describe(cls)
    assert list(texts) == [field.name for field in dataclasses.fields(cls)]
    assert all(len(text) > 8 for text in texts.values())


@given(
    st.integers(1, 200), st.integers(1, 16), st.floats(0, 1, exclude_max=True), st.floats(1e-9, 1e9),
)  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_values_in_range_are_kept_as_they_are(width, n_heads, dropout, scale):
    config = ModelConfig(
        hidden_size=width * n_heads, n_heads=n_heads, hidden_dropout_prob=dropout, initializer_range=scale
    )
    assert config.hidden_size == width * n_heads
    assert (config.hidden_dropout_prob, config.initializer_range) == (dropout, scale)


def test_the_defaults_are_the_corrected_ones():
    """Each of these is a correction of the authors' code, and the paper's weights."""
    pretrain, finetune, model = PretrainConfig(), FinetuneConfig(), ModelConfig()
    assert pretrain.weights == {"aap": 0.2, "mip": 1.0, "map": 1.0, "sp": 0.5}
    assert model.zero_padding_row
    assert (pretrain.negative_items, pretrain.segment_negatives) == ("training", "clean")
    assert (finetune.negative_items, finetune.negatives_avoid) == ("training", "training")
    assert not finetune.clamped_logs and not finetune.special_candidates
    assert "authors" not in pretrain.forms.values()
    assert finetune.min_steps > 0
    assert (pretrain.precision, finetune.precision) == ("fp32", "fp32")
