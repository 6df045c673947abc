"""s3rec_lite: S³-Rec (CIKM 2020) rebuilt to be read, trained and questioned.

The modules beside this file are the subject and nothing else: read them in the order below. Everything around it
lives in rooms: support (errors, settings, files, speed tricks), datasets, information, runs, experiments, figures,
labs and commands. Names are imported when they are first used, so that the command line answers at once.

The package in one evening (lines, minutes):

    plain        260  22  all of S³-Rec in plain loops: views, encoder, four losses, rank, HR and NDCG
    data         178  15  sequences in one flat array, attributes, the leave-one-out split
    negatives    118  10  items that a user does not have, and other users' segments
    views        167  14  prefixes, masks and segments of a whole batch at once
    encoder       91   8  attention and feed-forward blocks
    model        168  14  embeddings, the walk through the blocks, scores, recommendations
    objectives   228  19  AAP, MIP, MAP and SP: one function each
    pretraining  115  10  one step of pre-training
    metrics       99   8  HR, NDCG and MRR from ranks, ties by expectation
    evaluation   156  13  ranks over all items or against sampled negatives
    finetuning   204  17  one step of fine-tuning, validation and early stopping
    training     142  12  the loop of both stages
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_MODULES = {
    "config": "support.config",
    "datasets": "datasets",
    "evaluation": "evaluation",
    "information": "information",
    "interop": "runs.interop",
    "objectives": "objectives",
    "plots": "figures.plots",
    "presets": "experiments.presets",
    "views": "views",
}
_NAMES_OF = {
    "data": ("SequenceData",),
    "datasets": ("load_dataset",),
    "experiments.comparisons": ("compare",),
    "experiments.reports": ("evaluate",),
    "model": ("S3Rec",),
    "runs.checkpoints": ("load_model", "save_model"),
    "runs.sessions": ("pretrain", "finetune"),
    "support.config": ("ModelConfig", "PretrainConfig", "FinetuneConfig"),
    "support.errors": ("S3RecError", "DataError", "SettingError", "CheckpointError", "TrainingError"),
}
_NAMES = {name: module for module, names in _NAMES_OF.items() for name in names}
__all__ = sorted([*_NAMES, *_MODULES])


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{_MODULES[name]}")
    if name in _NAMES:
        value = getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
