"""Named deviations from the defaults, each with its reason: the paper, the authors' code, RecBole 1.2.1.

The default is the corrected version. A preset lists only what differs from it; what no setting can express
stands in its ``limits``.
"""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from s3rec_lite.support.config import FinetuneConfig, ModelConfig, PretrainConfig
from s3rec_lite.support.errors import SettingError
from s3rec_lite.support.text import suggest, text_table

CONFIG_CLASSES = {"model": ModelConfig, "pretrain": PretrainConfig, "finetune": FinetuneConfig}
"""The settings classes by the part of a preset that changes them."""
_EVALUATION_DEFAULTS = {"protocol": "full", "remove_seen": True}
"""What `s3rec_lite.evaluate` does unless told otherwise, as far as presets change it."""
_DATA_DEFAULTS = {"k_core": 5, "id_order": "name", "time_rounding": "none"}
"""How the commands read data unless told otherwise, as far as presets change it."""
_WIDTH = 100
"""columns of the explanation, more only where a long value needs them"""
Overrides = Mapping[str, Any] | None


@dataclass(frozen=True)
class Change:
    """One setting that a preset changes, and why."""

    value: Any
    why: str


@dataclass(frozen=True)
class Preset:
    """A named set of changes to the defaults.

    Attributes:
        name: what ``--preset`` takes.
        summary: one line on what it stands for.
        data, model, pretrain, finetune, evaluation: changes by setting name.
        limits: what the preset cannot express, one line each.
    """

    name: str
    summary: str
    data: Mapping[str, Change] = field(default_factory=dict)
    model: Mapping[str, Change] = field(default_factory=dict)
    pretrain: Mapping[str, Change] = field(default_factory=dict)
    finetune: Mapping[str, Change] = field(default_factory=dict)
    evaluation: Mapping[str, Change] = field(default_factory=dict)
    limits: tuple[str, ...] = ()

    def values(self, part: str) -> dict[str, Any]:
        """The changed settings of "data", "model", "pretrain", "finetune" or "evaluation" without the reasons."""
        return {name: change.value for name, change in getattr(self, part).items()}


_DEFAULT = Preset("default", "the corrected version: every switch at its default")

_INFONCE = "equations 2 and 3: one positive against many negatives in a softmax, where the default takes"
_PAPER = Preset(
    "paper",
    "the text and equations of the paper, where it says something",
    model={"hidden_act": Change("relu", "equation 8 has ReLU in the feed-forward network; both code bases use GELU")},
    pretrain={
        "epochs": Change(100, "pre-trained for 100 epochs (section 5.1.4)"),
        "aap_form": Change("infonce", f"{_INFONCE} binary cross-entropy over all attributes"),
        "mip_form": Change("infonce", f"{_INFONCE} a single negative"),
        "map_form": Change("infonce", f"{_INFONCE} binary cross-entropy over all attributes"),
        "sp_form": Change("infonce", f"{_INFONCE} a single negative"),
        "bounded_critic": Change(
            True,
            "equations 11, 13, 15 and 17 squash the score, which caps the bound below 1 nat for any number",
        ),
        "aap_view": Change("item", "equation 11 scores the item's embedding itself, not the encoder's output"),
        "reduction": Change(
            "mean", "the weights are meant per item and sequence; sums make AAP and MAP drown the rest"
        ),
        "mask_last": Change(
            False, "a plain 20% of the items is masked; the forced last item is an addition of the code"
        ),
    },
    finetune={"loss": Change("bpr", "equation 18 is the pairwise rank loss; the code has binary cross-entropy")},
    evaluation={"protocol": Change("sampled", "Table 2 ranks the target among 99 items that the user never touched")},
    limits=(
        "equations 10, 12, 14 and 16 leave the positive out of the denominator; here it is inside, as in equation 2",
        "equation 12 lets every other item be a negative; here the items of the prefix never are",
        "the number of negatives is not given; num_negatives stays at its default",
        "fine-tuning epochs, early stopping, dropout and initial weights are not given and stay at the defaults",
        "negative segments are called corrupted without a recipe; they come from other users' training items",
    ),
)

_SQUASHED = "both scores are squashed before their difference is squashed again: the loss stays above 0.313"
_MASK_ID = "the range of random ids reaches the mask token, which is no item"
_AUTHORS = Preset(
    "authors",
    "the authors' code as released, quirks included",
    model={
        "zero_padding_row": Change(False, "initialisation overwrites the zeroed padding row, and it then never learns")
    },
    pretrain={
        "epochs": Change(150, "the released LastFM, Beauty and Toys weights are those of epoch 150 (others: 100)"),
        "batch_size": Change(100, "the code's default; the paper says 200"),
        "mip_form": Change("authors", _SQUASHED),
        "sp_form": Change("authors", _SQUASHED),
        "attribute_column_zero": Change(True, "attribute id 0, which no item has, is trained as a sure negative"),
        "negative_items": Change("all", _MASK_ID),
        "negatives_avoid": Change("prefix", "a negative may be an item that the same user takes later"),
        "segment_negatives": Change(
            "leaky", "foreign segments are cut from all sequences laid end to end, held-out items included"
        ),
        "skip_single_items": Change(False, "prefixes of one item are kept in SP, where they add log 2 and no signal"),
        "length_window": Change(0, "batches are shuffled without a look at lengths; every sequence is padded to 50"),
    },
    finetune={
        "loss": Change("bce", "SASRec's loss with one negative a position, not the paper's pairwise one"),
        "negative_items": Change("all", _MASK_ID),
        "negatives_avoid": Change(
            "everything",
            "the whole sequence is avoided: held-out items are never negatives, which gives them away",
        ),
        "clamped_logs": Change(True, "log(1 - sigmoid + 1e-24) freezes at 55.26 with no gradient from scores of 17 on"),
        "min_steps": Change(0, "patience of 10 epochs may fire at once, on LastFM within a quarter of the training"),
        "monitor": Change("NDCG@20", "the script for full ranking stops on NDCG@20 (the sampled one on MRR)"),
        "monitor_protocol": Change("authors", "validation is ranked by the same rules as the test"),
    },
    evaluation={
        "protocol": Change("authors", "seen items get score 0 instead of being removed; padding and mask compete")
    },
    limits=(
        "AAP and MAP: form bce is the same sum; the code's cut of single logarithms at -100 is left out",
        "ties: the code leaves them to its sorting routine, here they count at their expectation",
        "the script for sampled ranking stops on MRR: --monitor MRR --monitor-protocol sampled",
        "random streams differ, so a run repeats the code's results within the spread of seeds only",
    ),
)

_RECBOLE_BATCH = "RecBole's general default"
_RECBOLE = Preset(
    "recbole",
    "RecBole 1.2.1 with its S3Rec defaults",
    data={
        "k_core": Change(0, "it filters only when told to"),
        "id_order": Change("recbole", "users, items and attributes are numbered in the order of their rows"),
        "time_rounding": Change("scaled", "times are compared as float32, on ml-100k after scaling to [0, 1]"),
    },
    model={
        "zero_padding_row": Change(False, "initialisation overwrites the zeroed padding row"),
        "finetune_positions": Change(
            "left",
            "fine-tuning pads on the right, so short histories meet position vectors hardly pre-trained",
        ),
    },
    pretrain={
        "epochs": Change(500, "RecBole's default for pre-training"),
        "batch_size": Change(2048, _RECBOLE_BATCH),
        "mip_form": Change("authors", "the score is squashed before the loss takes its logit: the double sigmoid"),
        "sp_form": Change("authors", "the score is squashed before the loss takes its logit: the double sigmoid"),
        "mask_last": Change(False, "a plain 20% of the items; 15 to 42% of the prefixes then have none masked"),
        "negative_items": Change("all", _MASK_ID),
        "negatives_avoid": Change("prefix", "a negative may be an item that the same user takes later"),
        "segment_negatives": Change("batch", "foreign segments are cut from the other prefixes of the batch"),
        "shards": Change(1, "a batch is not cut: its negative segments come from all of it"),
        "skip_single_items": Change(False, "prefixes of one item are kept in SP, where they add log 2 and no signal"),
        "prefixes": Change("recbole", "its augmentation leaves the target out: the last training item is never input"),
        "length_window": Change(0, "batches are shuffled without a look at lengths"),
        "save_step": Change(50, "the value in the settings file (the documentation page says 10)"),
        "seed": Change(2020, _RECBOLE_BATCH),
    },
    finetune={
        "epochs": Change(300, _RECBOLE_BATCH),
        "batch_size": Change(2048, _RECBOLE_BATCH),
        "samples": Change("prefixes", "one target a sample, at its newest position only"),
        "special_candidates": Change(True, "the softmax runs over the whole table, padding and mask rows included"),
        "min_steps": Change(0, "10 epochs without a better value stop it, however few steps that is"),
        "monitor": Change("MRR@10", "it watches the reciprocal rank, cut at 10"),
        "seed": Change(2020, _RECBOLE_BATCH),
    },
    evaluation={
        "remove_seen": Change(False, "its sequential settings allow repeats, so the history stays among the candidates")
    },
    limits=(
        "it validates with the history left among the candidates; here it is removed",
        "in fine-tuning RecBole never loads without a pre-trained checkpoint; here --from-scratch gives the control",
        "releases up to 1.2.0 had the weights of AAP and MIP swapped (1.0 and 0.2): --aap-weight 1 --mip-weight 0.2",
        "an item without a value in a single-valued attribute column gets the last attribute there, none here",
        "only where its setting normalize_all is on are times scaled (ml-100k: on); elsewhere --time-rounding float32",
        "it drops interactions with items that the .item file lacks; here they stay",
        "data options of the preset count for ml-100k and .inter files; no other format has an order of RecBole's",
    ),
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in (_DEFAULT, _PAPER, _AUTHORS, _RECBOLE)}


def find_preset(name: str) -> Preset:
    """A preset by its name. Raises SettingError with the nearest name."""
    if name not in PRESETS:
        raise SettingError(f"no preset {name!r}; {suggest(name, PRESETS)}")
    return PRESETS[name]


def configs(
    preset: str = "default", model: Overrides = None, pretrain: Overrides = None, finetune: Overrides = None
) -> tuple[ModelConfig, PretrainConfig, FinetuneConfig]:
    """The settings of a preset with the given ones on top.

    Raises SettingError for what is unknown or out of range.
    """
    chosen = find_preset(preset)
    return (
        ModelConfig(**{**chosen.values("model"), **(model or {})}),
        PretrainConfig(**{**chosen.values("pretrain"), **(pretrain or {})}),
        FinetuneConfig(**{**chosen.values("finetune"), **(finetune or {})}),
    )


def evaluation_settings(preset: str = "default") -> dict[str, Any]:
    """``protocol`` and ``remove_seen`` for `s3rec_lite.evaluate`."""
    return {**_EVALUATION_DEFAULTS, **find_preset(preset).values("evaluation")}


def data_settings(preset: str = "default") -> dict[str, Any]:
    """``k_core``, ``id_order`` and ``time_rounding`` for `s3rec_lite.load_dataset`."""
    return {**_DATA_DEFAULTS, **find_preset(preset).values("data")}


def default_of(part: str, name: str) -> Any:
    """The default of a setting of "data", "model", "pretrain", "finetune" or "evaluation"."""
    plain = {"data": _DATA_DEFAULTS, "evaluation": _EVALUATION_DEFAULTS}
    return plain[part][name] if part in plain else getattr(CONFIG_CLASSES[part](), name)


def explain(
    preset: str = "default", model: Overrides = None, pretrain: Overrides = None, finetune: Overrides = None
) -> str:
    """A table of what differs from the default: setting, default, value, and why; below it the limits."""
    chosen = find_preset(preset)
    rows = [("setting", "default", chosen.name, "why")]
    parts = {"data": None, "model": model, "pretrain": pretrain, "finetune": finetune, "evaluation": None}
    for part, given in parts.items():
        changes = {**getattr(chosen, part), **{name: Change(value, "given") for name, value in (given or {}).items()}}
        for name, change in changes.items():
            default = default_of(part, name)
            if change.value != default:
                rows.append((f"{part}.{name}", str(default), str(change.value), change.why))

    lines = [f"{chosen.name}: {chosen.summary}"]
    lines += ["", *_wrapped_table(rows)] if len(rows) > 1 else ["nothing differs from the default"]
    if chosen.limits:
        lines += ["", "not expressed by settings:"]
        for limit in chosen.limits:
            lines += textwrap.wrap(limit, _WIDTH, initial_indent="  * ", subsequent_indent="    ")
    return "\n".join(lines)


def _wrapped_table(rows: list[tuple[str, str, str, str]]) -> list[str]:
    """Aligned columns below a ruled head; the last column is wrapped."""
    head, *body = text_table(rows).splitlines()
    indent = head.rindex("why")
    lines = [head]
    for line in body:
        lines += textwrap.wrap(line, max(_WIDTH, indent + 30), subsequent_indent=" " * indent)
    return [head, "-" * max(map(len, lines)), *lines[1:]]
