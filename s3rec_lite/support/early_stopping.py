"""When fine-tuning stops: what follows from the history of its validation values."""

from s3rec_lite.support.config import FinetuneConfig


def best_epoch(history: list[dict[str, float]], monitor: str) -> int:
    """The first epoch with the highest validation value; 0 for an empty history."""
    values = [row[monitor] for row in history]
    return values.index(max(values)) + 1 if values else 0


def should_stop(history: list[dict[str, float]], config: FinetuneConfig) -> bool:
    """Early stopping: ``patience`` epochs without a better value, but never before ``min_steps`` steps.

    On a small set an epoch is a handful of steps and the curve is flat at first: patience alone then decides the
    result (the authors' rule is ``min_steps=0``).
    """
    if not history or not config.patience or history[-1]["steps"] < config.min_steps:
        return False
    return len(history) - best_epoch(history, config.monitor) >= config.patience
