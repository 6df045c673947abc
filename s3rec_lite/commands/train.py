"""``pretrain`` and ``finetune``: training that leaves checkpoints and goes on where it stopped."""

import dataclasses
from pathlib import Path
from typing import Any

import click

from s3rec_lite.commands import options
from s3rec_lite.commands.checkpoints import load_data_for, open_checkpoint, pretrained_checkpoint
from s3rec_lite.support.errors import SettingError

_LOSSES = ("aap", "mip", "map", "sp", "loss")


@click.command(short_help="Pre-train on the four objectives.")
@options.run_options
@options.workers_option
@options.output_option
@options.setting_options("model", "pretrain")
@options.pass_shared
def pretrain(shared: options.Shared) -> None:
    """Pre-train S³-Rec on its four objectives.

    Leaves S3Rec-DATA-last.pth, -best.pth and one every save_step epochs in the output folder. The same
    command again goes on where it stopped; with more --epochs it continues the run.
    """
    model_config, config, _ = shared.configs()
    data = shared.load_data()

    import s3rec_lite as s3

    folder = shared.run_folder(data)
    model = s3.S3Rec(data.num_items, data.num_attributes, model_config, seed=config.seed)
    history = s3.pretrain(model, data, config, folder=folder, **shared.running)

    result = {
        "command": "pretrain",
        "data": data.name,
        "checkpoint": str(folder / f"S3Rec-{data.name}-last.pth"),
        "epochs": len(history),
        "best": None,
        "settings": {"model": dataclasses.asdict(model_config), "pretrain": dataclasses.asdict(config)},
        "history": history.to_dict(orient="records"),
    }
    _show(shared, result, folder / f"S3Rec-{data.name}-history.csv", shared.command_line("finetune"))


@click.command(short_help="Fine-tune as a next-item recommender.")
@click.option(
    "--checkpoint",
    "--pre-model-path",
    type=click.Path(),
    metavar="FILE",
    help="Weights to start from: of this kit, the authors' or RecBole's. [default: S3Rec-DATA-last.pth in --output]",
)
@click.option(
    "--from-scratch", is_flag=True, help="Start from fresh weights: the control without pre-training (SASRec)."
)
@click.option("--name", help="Part of the file names. [default: finetuned, or scratch]")
@options.item_list_option
@options.run_options
@options.workers_option
@options.output_option
@options.setting_options("finetune", "model")
@options.pass_shared
def finetune(shared: options.Shared, checkpoint: str | None, from_scratch: bool, name: str | None) -> None:
    """Fine-tune as a next-item recommender, with early stopping on validation.

    Leaves S3Rec-DATA-finetuned-best.pth and -last.pth in the output folder. The same command again goes on
    where it stopped. Model settings count with --from-scratch; otherwise the checkpoint has them.
    """
    model_config, _, config = shared.configs()
    if from_scratch and checkpoint:
        raise SettingError("--from-scratch and --checkpoint exclude each other; leave one out")
    data = load_data_for(shared, checkpoint)

    import s3rec_lite as s3

    folder = shared.run_folder(data)
    if from_scratch:
        model = s3.S3Rec(data.num_items, data.num_attributes, model_config, seed=config.seed)
    else:
        path = checkpoint or pretrained_checkpoint(shared, data)
        model = open_checkpoint(path, data, shared)
    name = name or ("scratch" if from_scratch else "finetuned")
    try:
        history = s3.finetune(model, data, config, folder=folder, name=name, **shared.running)
    except SettingError as error:
        if "holds another run" in str(error):
            raise SettingError(f"{error}; to keep both in this folder, add --name with another name") from None
        raise

    rows = history.to_dict(orient="records")
    best_path = str(folder / f"S3Rec-{data.name}-{name}-best.pth")
    result = {
        "command": "finetune",
        "data": data.name,
        "checkpoint": best_path,
        "epochs": len(rows),
        "best": max(rows, key=lambda row: row[config.monitor], default=None),
        "settings": {"model": dataclasses.asdict(model.config), "finetune": dataclasses.asdict(config)},
        "history": rows,
    }
    evaluation = shared.command_line("evaluate", "--checkpoint", best_path)
    _show(shared, result, folder / f"S3Rec-{data.name}-{name}-history.csv", evaluation)


def _show(shared: options.Shared, result: dict[str, Any], history_path: Path, next_command: str) -> None:
    """Say what was trained, where it is and what comes next."""
    if not result["epochs"]:
        return shared.show({**result, "checkpoint": None}, "0 epochs: nothing was trained or written")
    losses = [f"{name} {value:.4f}" for name, value in result["history"][-1].items() if name in _LOSSES]
    lines = [f"{result['epochs']} epochs on {result['data']}; last epoch: {', '.join(losses)}"]
    if result["best"]:
        monitor, best = result["settings"]["finetune"]["monitor"], result["best"]
        lines.append(f"best validation {monitor} {best[monitor]:.4f} in epoch {best['epoch']:.0f}")
    lines += [f"model    {result['checkpoint']}", f"history  {history_path}", f"next     {next_command}"]
    return shared.show(result, "\n".join(lines))
