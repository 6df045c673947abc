"""Every setting of the kit: frozen, validated when it is made, described once.

The descriptions here are the help texts of the command line. The names follow RecBole's S3Rec page where those are
clear. `s3rec_lite.experiments.presets` holds the named deviations from these defaults.
"""

import dataclasses
import difflib
import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, dataclass_transform

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass as pydantic_dataclass

from s3rec_lite.support.errors import SettingError

Form = Literal["authors", "pairwise", "infonce", "bce"]
OBJECTIVES = ("aap", "mip", "map", "sp")
T = TypeVar("T")


def describe_error(error: ValidationError, class_name: str) -> str:
    """Turn pydantic's report into one line that names each setting, its value and the rule it breaks."""
    parts = []
    for problem in error.errors():
        name = ".".join(str(piece) for piece in problem["loc"]) or class_name
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "unexpected_keyword_argument":
            parts.append(f"{class_name} has no setting {name!r}")
        elif problem["loc"]:
            parts.append(f"{name}={problem['input']!r}: {message[0].lower()}{message[1:]}")
        else:
            parts.append(message)
    return "; ".join(parts)


class Settings:
    """What every settings class is to `dataclasses.fields`, `asdict` and `replace`."""

    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


@dataclass_transform(kw_only_default=True, frozen_default=True)
def settings(cls: type[T]) -> type[T]:
    """Make a frozen, validated dataclass whose errors are one line (`SettingError`)."""
    validated = pydantic_dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False), kw_only=True)
    made: Any = validated(cls)
    validated_init: Callable[..., None] = made.__init__

    @functools.wraps(validated_init)
    def __init__(self: object, *args: Any, **kwargs: Any) -> None:
        try:
            validated_init(self, *args, **kwargs)
        except ValidationError as error:
            line = describe_error(error, cls.__name__)
            names = [field.name for field in dataclasses.fields(made)]
            for unknown in (name for name in kwargs if name not in names):
                nearest = difflib.get_close_matches(unknown, names, n=1)
                line += f" (did you mean {nearest[0]!r}?)" if nearest else ""
            raise SettingError(line) from None

    made.__init__ = __init__
    return made


def setting(default: Any, description: str, **rules: Any) -> Any:
    """A field with its default, its help text and its range."""
    return Field(default=default, description=description, **rules)


def other_name_of_metric(metric: str) -> str | None:
    """What to say about RecBole's Recall@k and Hit@k, which are HR@k here; None for any other name."""
    found = re.fullmatch(r"(recall|hit)(@\d+)?", metric, re.IGNORECASE)
    return f"{metric} is called HR{found[2] or '@10'} here: with one target a user they are the same" if found else None


def describe(cls: type) -> dict[str, str]:
    """The help text of every setting of a settings class, in order."""
    schema = TypeAdapter(cls).json_schema()["properties"]
    return {name: schema[name].get("description", "") for name in schema}


def check_shards(shards: int) -> None:
    """Raise ValueError unless the number is a power of two: only then is a worker's block one branch of the sum."""
    if shards & (shards - 1):
        raise ValueError(f"shards={shards} is not a power of two; choose 1, 2, 4, 8 or 16")


def check_sparse(item_gradients: str, weight_decay: float) -> None:
    """Raise ValueError where rows that rest would have to decay."""
    if item_gradients == "sparse" and weight_decay:
        raise ValueError(f"item_gradients='sparse' does not go with weight_decay={weight_decay:g}; set it to 0")


@settings
class ModelConfig(Settings):
    """The encoder (equations 4 to 8) and the tables around it."""

    hidden_size: int = setting(64, "width of embeddings and hidden states", ge=1)
    inner_size: int = setting(256, "width of the feed-forward network", ge=1)
    n_layers: int = setting(2, "number of self-attention blocks", ge=1)
    n_heads: int = setting(2, "attention heads; must divide hidden_size", ge=1)
    max_length: int = setting(50, "longest history the encoder sees; older items are cut", ge=1)
    hidden_dropout_prob: float = setting(0.5, "dropout of embeddings and of both sub-layers", ge=0, lt=1)
    attn_dropout_prob: float = setting(0.5, "dropout of attention weights", ge=0, lt=1)
    hidden_act: Literal["gelu", "relu", "swish", "tanh", "sigmoid"] = setting("gelu", "feed-forward activation")
    layer_norm_eps: float = setting(1e-12, "epsilon of layer norms", gt=0)
    initializer_range: float = setting(0.02, "standard deviation of the initial weights", gt=0)
    zero_padding_row: bool = setting(True, "keep the embedding of the padding id at zero")
    finetune_positions: Literal["right", "left"] = setting(
        "right",
        "in the causal pass, number positions from the newest item back (right) or from the oldest (left)",
    )

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.hidden_size % self.n_heads:
            raise ValueError(f"n_heads={self.n_heads} does not divide hidden_size={self.hidden_size}; choose a divisor")
        return self


@settings
class PretrainConfig(Settings):
    """Pre-training with the four objectives (section 4.3, equations 10 to 17)."""

    epochs: int = setting(20, "passes over all pre-training prefixes", ge=0)
    batch_size: int = setting(200, "prefixes in a batch", ge=1)
    learning_rate: float = setting(0.001, "step size of Adam", gt=0)
    weight_decay: float = setting(0.0, "L2 penalty of Adam", ge=0)
    aap_weight: float = setting(0.2, "weight of associated attribute prediction", ge=0)
    mip_weight: float = setting(1.0, "weight of masked item prediction", ge=0)
    map_weight: float = setting(1.0, "weight of masked attribute prediction", ge=0)
    sp_weight: float = setting(0.5, "weight of segment prediction", ge=0)
    aap_form: Form = setting("bce", "loss of associated attribute prediction")
    mip_form: Form = setting("pairwise", "loss of masked item prediction")
    map_form: Form = setting("bce", "loss of masked attribute prediction")
    sp_form: Form = setting("pairwise", "loss of segment prediction")
    aap_view: Literal["contextual", "item"] = setting(
        "contextual",
        "AAP scores the encoder's output at un-masked positions, or the item embedding (equation 11)",
    )
    bounded_critic: bool = setting(False, "squash every critic of the infonce form with a sigmoid (equation 11)")
    attribute_column_zero: bool = setting(False, "count attribute id 0, which no item has, as a negative")
    num_negatives: int = setting(100, "negatives of the infonce form at most, drawn once a batch", ge=1)
    reduction: Literal["sum", "mean"] = setting("sum", "add up the terms of a batch, or average each objective's")
    mask_ratio: float = setting(0.2, "share of items that are masked", ge=0, le=1)
    mask_last: bool = setting(True, "always mask the last item of a prefix as well")
    negative_items: Literal["training", "all"] = setting(
        "training",
        "draw negative items from those seen in training, or from all ids including the mask token's",
    )
    negatives_avoid: Literal["history", "prefix"] = setting(
        "history", "negative items avoid the user's whole training history, or only the prefix"
    )
    segment_negatives: Literal["clean", "leaky", "batch"] = setting(
        "clean",
        "negative segments: from one other user's training items (clean), from all users' items laid end to end, "
        "held-out ones included (leaky), or from the prefixes of the batch (batch)",
    )
    skip_single_items: bool = setting(True, "leave prefixes of one item out of SP: they hold no signal")
    prefixes: Literal["authors", "recbole"] = setting(
        "authors",
        "every prefix of the last max_length training items, or RecBole's prefixes without their target",
    )
    length_window: int = setting(100, "sort prefixes by length within this many shuffled batches; 0: never", ge=0)
    shards: int = setting(
        2, "parts of a batch, each with random draws of its own: 1, 2, 4, 8 or 16; workers share them", ge=1, le=16
    )
    item_gradients: Literal["dense", "sparse"] = setting(
        "dense",
        "Adam moves every item in every step (dense), or only those of the batch (sparse): for large catalogues",
    )
    save_step: int = setting(10, "write a numbered checkpoint every this many epochs; 0: never", ge=0)
    seed: int = setting(42, "seed of initial weights, order, views and dropout", ge=0)
    precision: Literal["fp32", "bf16"] = setting("fp32", "arithmetic of matrix products")

    @classmethod
    def of_form(cls, form: Form) -> "PretrainConfig":
        """All four objectives in one form; with "authors" exactly the sums that their code computes."""
        forms: Any = {f"{name}_form": form for name in OBJECTIVES}
        authors = form == "authors"
        return cls(**forms, attribute_column_zero=authors, skip_single_items=not authors)

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each objective."""
        return {name: getattr(self, f"{name}_weight") for name in OBJECTIVES}

    @property
    def forms(self) -> dict[str, str]:
        """The form of each objective's loss."""
        return {name: getattr(self, f"{name}_form") for name in OBJECTIVES}

    @model_validator(mode="after")
    def _something_to_train(self) -> Self:
        if not any(self.weights.values()):
            raise ValueError("all four objective weights are 0: nothing to train; set at least one above 0")
        return self

    @model_validator(mode="after")
    def _batch_can_be_cut(self) -> Self:
        check_shards(self.shards)
        if self.item_gradients == "sparse" and self.touches_all_items:
            raise ValueError("item_gradients='sparse' does not go with mip_form='infonce'; use 'dense'")
        check_sparse(self.item_gradients, self.weight_decay)
        return self

    @property
    def touches_all_items(self) -> bool:
        """Whether a batch may touch any item: the pool of MIP's infonce form is drawn later than the views."""
        return bool(self.mip_weight) and self.mip_form == "infonce"


@settings
class FinetuneConfig(Settings):
    """Fine-tuning as a causal next-item recommender (section 4.4, equation 18)."""

    loss: Literal["bce", "bpr", "ce"] = setting("ce", "binary cross-entropy, pairwise (equation 18) or softmax loss")
    epochs: int = setting(200, "most passes over the training sequences", ge=0)
    batch_size: int = setting(256, "sequences in a batch", ge=1)
    learning_rate: float = setting(0.001, "step size of Adam", gt=0)
    weight_decay: float = setting(0.0, "L2 penalty of Adam", ge=0)
    samples: Literal["sequences", "prefixes"] = setting(
        "sequences", "one sample a user with a target at every position, or one a prefix with its last target"
    )
    negative_items: Literal["training", "all"] = setting(
        "training",
        "draw negatives of bce and bpr from items seen in training, or from all ids incl. the mask token",
    )
    negatives_avoid: Literal["training", "everything"] = setting(
        "training", "negatives avoid the user's training items, or also the held-out ones (a leak)"
    )
    clamped_logs: bool = setting(False, "bce through log(sigmoid + 1e-24), whose gradient dies at large scores")
    special_candidates: bool = setting(False, "ce counts the padding and mask rows as candidates")
    num_negatives: int = setting(
        0, "ce against this many sampled training items, shared by a batch; 0: against all items", ge=0
    )
    negative_distribution: Literal["uniform", "popularity"] = setting(
        "uniform", "draw the num_negatives evenly, or as often as they occur in training; the loss corrects for it"
    )
    patience: int = setting(10, "stop after this many epochs without a better validation value; 0: never", ge=0)
    min_steps: int = setting(400, "early stopping may not fire before this many optimiser steps", ge=0)
    monitor: str = setting("NDCG@10", "validation metric of early stopping: HR@k, NDCG@k, MRR or MRR@k")
    monitor_protocol: Literal["full", "sampled", "authors"] = setting("full", "ranking of the validation metric")
    shards: int = setting(
        2, "parts of a batch, each with random draws of its own: 1, 2, 4, 8 or 16; workers share them", ge=1, le=16
    )
    item_gradients: Literal["dense", "sparse"] = setting(
        "dense",
        "Adam moves every item in every step (dense), or only those of the batch (sparse): for large catalogues",
    )
    save_step: int = setting(0, "write a numbered checkpoint every this many epochs; 0: never", ge=0)
    seed: int = setting(42, "seed of order, negatives and dropout", ge=0)
    precision: Literal["fp32", "bf16"] = setting("fp32", "arithmetic of matrix products")

    @model_validator(mode="after")
    def _known_monitor(self) -> Self:
        if not re.fullmatch(r"(HR|NDCG|MRR)@[1-9][0-9]*|MRR", self.monitor):
            other = other_name_of_metric(self.monitor)
            problem = (
                f"monitor: {other}"
                if other
                else f"monitor={self.monitor!r} is not HR@k, NDCG@k, MRR or MRR@k; for example NDCG@10"
            )
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _batch_can_be_cut(self) -> Self:
        check_shards(self.shards)
        if self.item_gradients == "sparse" and self.touches_all_items:
            raise ValueError("item_gradients='sparse' does not go with the softmax over all items; set num_negatives")
        check_sparse(self.item_gradients, self.weight_decay)
        return self

    @property
    def touches_all_items(self) -> bool:
        """Whether every batch touches every item, as the softmax over all items does."""
        return self.loss == "ce" and not self.num_negatives

    @model_validator(mode="after")
    def _sampled_softmax(self) -> Self:
        asked = f"num_negatives={self.num_negatives}"
        if self.num_negatives and self.loss != "ce":
            raise ValueError(f"{asked} is for loss='ce'; loss={self.loss!r} draws one a target: leave it at 0")
        if self.num_negatives and self.special_candidates:
            raise ValueError(f"{asked} draws items only; leave num_negatives at 0 or special_candidates off")
        if self.negative_distribution != "uniform" and not self.num_negatives:
            raise ValueError(f"negative_distribution={self.negative_distribution!r} needs num_negatives above 0")
        return self
