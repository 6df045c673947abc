"""``pretrain`` and ``finetune``."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from s3rec_lite.commands import options as common
from s3rec_lite.commands.shared import (
    command_line,
    default_checkpoint,
    open_checkpoint,
    print_json,
    run_folder,
    take_data,
)
from s3rec_lite.experiments.presets import configs, explain
from s3rec_lite.support.errors import SettingError

if TYPE_CHECKING:
    import pandas as pd


@click.command(short_help="Pre-train on the four objectives.")
@common.data_options
@common.preset_option
@common.explain_option
@common.output_option
@common.restart_option
@common.json_option
@common.machine_options
@common.setting_options("model", "pretrain")
@click.pass_context
def pretrain(
    context: click.Context,
    preset: str,
    explain: bool,
    output: str | None,
    restart: bool,
    as_json: bool,
    device: str,
    no_progress: bool,
    debug: bool,
    **options: Any,
) -> None:
    """Pre-train S³-Rec on its four objectives.

    Leaves S3Rec-DATA-last.pth, -best.pth and one every save_step epochs in the output folder. The same
    command again goes on where it stopped; with more --epochs it continues the run.
    """
    given = common.given_settings(options)
    model_config, config, _ = configs(preset, given["model"], given["pretrain"])
    if explain:
        return print_explanation(preset, given)
    data = take_data({**options, "no_progress": no_progress})

    from s3rec_lite.model import S3Rec
    from s3rec_lite.support.runtime import keep_freed_memory
    from s3rec_lite.training import pretrain

    keep_freed_memory()
    folder = run_folder(output, data)
    model = S3Rec(data.num_items, data.num_attributes, model_config, seed=config.seed)
    history = pretrain(model, data, config, device=device, folder=folder, restart=restart, progress=not no_progress)
    report_training(
        "pretrain",
        data.name,
        folder / f"S3Rec-{data.name}-last.pth",
        folder / f"S3Rec-{data.name}-history.csv",
        history,
        {"model": model_config, "pretrain": config},
        command_line("finetune", context),
        as_json,
    )
    return None


@click.command(short_help="Fine-tune as a next-item recommender.")
@common.data_options
@click.option(
    "--checkpoint",
    "--pre-model-path",
    type=click.Path(),
    metavar="FILE",
    help="Weights to start from: of this kit, the authors' or RecBole's. [default: S3Rec-DATA-last.pth in --output]",
)
@click.option(
    "--from-scratch",
    is_flag=True,
    help="Start from fresh weights: the control without pre-training (SASRec).",
)
@click.option("--name", help="Part of the file names. [default: finetuned, or scratch]")
@common.preset_option
@common.explain_option
@common.output_option
@common.restart_option
@common.json_option
@common.machine_options
@common.setting_options("finetune", "model")
@click.pass_context
def finetune(
    context: click.Context,
    checkpoint: str | None,
    from_scratch: bool,
    name: str | None,
    preset: str,
    explain: bool,
    output: str | None,
    restart: bool,
    as_json: bool,
    device: str,
    no_progress: bool,
    debug: bool,
    **options: Any,
) -> None:
    """Fine-tune as a next-item recommender, with early stopping on validation.

    Leaves S3Rec-DATA-finetuned-best.pth and -last.pth in the output folder. The same command again goes on
    where it stopped. Model settings count with --from-scratch; otherwise the checkpoint has them.
    """
    given = common.given_settings(options)
    model_config, _, config = configs(preset, given["model"], None, given["finetune"])
    if explain:
        return print_explanation(preset, given)
    if from_scratch and checkpoint:
        raise SettingError("--from-scratch and --checkpoint exclude each other; leave one out")
    data = take_data({**options, "no_progress": no_progress})

    from s3rec_lite.model import S3Rec
    from s3rec_lite.support.runtime import keep_freed_memory
    from s3rec_lite.training import finetune

    keep_freed_memory()
    folder = run_folder(output, data)
    if from_scratch:
        model = S3Rec(data.num_items, data.num_attributes, model_config, seed=config.seed)
    else:
        checkpoint = checkpoint or default_checkpoint(
            folder,
            f"S3Rec-{data.name}-last.pth",
            command_line("pretrain", context),
            "; or start from fresh weights with --from-scratch",
        )
        model = open_checkpoint(checkpoint, data, preset, given["model"])
    name = name or ("scratch" if from_scratch else "finetuned")
    history = finetune(
        model,
        data,
        config,
        device=device,
        folder=folder,
        name=name,
        restart=restart,
        progress=not no_progress,
    )
    stem = f"S3Rec-{data.name}-{name}"
    best = folder / f"{stem}-best.pth"
    report_training(
        "finetune",
        data.name,
        best,
        folder / f"{stem}-history.csv",
        history,
        {"model": model.config, "finetune": config},
        command_line("evaluate", context, "--checkpoint", str(best)),
        as_json,
    )
    return None


def print_explanation(preset: str, given: dict[str, dict[str, Any]]) -> None:
    """The table of a preset with the typed settings on top."""
    click.echo(explain(preset, given["model"], given["pretrain"], given["finetune"]))


def report_training(
    stage: str,
    data_name: str,
    checkpoint: Path,
    history_path: Path,
    history: "pd.DataFrame",
    settings: dict[str, Any],
    next_command: str,
    as_json: bool,
) -> None:
    """Say what was trained, where it is and what comes next."""
    rows = history.to_dict(orient="records")
    monitor = settings[stage].monitor if stage == "finetune" else None
    best = max(rows, key=lambda row: row[monitor]) if monitor and rows else None
    if as_json:
        print_json(
            {
                "command": stage,
                "data": data_name,
                "checkpoint": str(checkpoint) if rows else None,
                "epochs": len(rows),
                "best": best,
                "settings": {key: dataclasses.asdict(value) for key, value in settings.items()},
                "history": rows,
            }
        )
        return
    if not rows:
        click.echo("0 epochs: nothing was trained or written")
        return
    last = rows[-1]
    facts = ", ".join(f"{key} {value:.4f}" for key, value in last.items() if key in ("aap", "mip", "map", "sp", "loss"))
    click.echo(f"{len(rows)} epochs on {data_name}; last epoch: {facts}")
    if best:
        click.echo(f"best validation {monitor} {best[monitor]:.4f} in epoch {best['epoch']:.0f}")
    click.echo(f"model    {checkpoint}\nhistory  {history_path}\nnext     {next_command}")
