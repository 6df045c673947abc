"""RecBole's names: of settings that this kit calls otherwise, and of options that it has no counterpart for."""

from s3rec_lite.support.config import FinetuneConfig, ModelConfig, PretrainConfig

ALIASES: dict[type, dict[str, tuple[str, ...]]] = {
    ModelConfig: {"max_length": ("max-item-list-length",)},
    PretrainConfig: {"epochs": ("pretrain-epochs",), "batch_size": ("train-batch-size",)},
    FinetuneConfig: {
        "loss": ("loss-type",),
        "batch_size": ("train-batch-size",),
        "patience": ("stopping-step",),
        "monitor": ("valid-metric",),
    },
}
"""RecBole's names where they differ from ours."""

_ORDER = "histories are always in the order of time, with the last item of each user for the test"
_ANSWERS = {
    "checkpoint-dir": "write --output FOLDER",
    "config-files": "settings files are not read: write each setting as an option (RecBole's names are understood), or "
    "--preset recbole for all its defaults",
    "data-path": "write --data with the folder of the data set, or its .inter file",
    "dataset": "write --data with a name, or with the folder of the data set",
    "eval-args": f"{_ORDER}; choose the ranking with --protocol full or sampled",
    "gpu-id": "write --device cuda",
    "item-inter-num-interval": "write --k-core N, for users and items alike",
    "learner": "Adam is the only optimizer; its settings are --learning-rate and --weight-decay",
    "load-col": "write --item-attribute COLUMN",
    "metrics": "HR (RecBole's Hit and Recall), NDCG and MRR are always there",
    "model": "the model is always S3Rec; for SASRec write finetune --from-scratch",
    "neg-sampling": "the loss decides: --loss ce draws no negatives, bce and bpr draw one a target",
    "normalize-all": "write --time-rounding scaled to sort times as RecBole does with it",
    "params-file": "write s3rec-lite tune --params-file FILE",
    "repeatable": "write evaluate --keep-seen",
    "topk": "write evaluate --cutoffs 5,10",
    "train-neg-sample-args": "the loss decides: --loss ce draws no negatives, bce and bpr draw one a target",
    "train-stage": "the command says it: s3rec-lite pretrain, then s3rec-lite finetune",
    "use-gpu": "write --device cuda or --device cpu",
    "user-inter-num-interval": "write --k-core N, for users and items alike",
}


def plain_form(name: str) -> str:
    """``--MAX_ITEM_LIST_LENGTH`` as ``max-item-list-length``."""
    return name.lstrip("-").lower().replace("_", "-")


def answer(name: str) -> str | None:
    """What to write here instead of an option or setting of RecBole's; None where there is nothing to say."""
    return _ANSWERS.get(plain_form(name))


def our_names(name: str) -> list[str]:
    """The settings ("pretrain.epochs") that RecBole calls by this name where ours differs."""
    stages = {ModelConfig: "model", PretrainConfig: "pretrain", FinetuneConfig: "finetune"}
    return [
        f"{stages[cls]}.{ours}"
        for cls, names in ALIASES.items()
        for ours, theirs in names.items()
        if plain_form(name) in theirs
    ]
