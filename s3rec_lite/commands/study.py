"""``study``: what each objective, more data and more pre-training are worth."""

from pathlib import Path
from typing import Any

import click

from s3rec_lite.commands import options as common
from s3rec_lite.commands.shared import RUNS, print_json, take_data


class Shares(click.ParamType):
    """A comma-separated list of shares, such as 0.2,0.6."""

    name = "shares"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """``"0.2,0.6"`` to ``(0.2, 0.6)``."""
        if isinstance(value, tuple):
            return value
        try:
            shares = tuple(float(part) for part in value.split(","))
        except ValueError:
            shares = (0.0,)
        if not all(0 < share <= 1 for share in shares):
            self.fail(f"{value!r} is not a list of shares above 0 and up to 1; for example 0.2,0.6", param, ctx)
        return shares


@click.command(short_help="Ablations, data shares, epochs and seeds in one record.")
@common.data_options
@click.option("--epochs", type=click.IntRange(min=1), default=5, show_default=True, help="Pre-training epochs.")
@click.option("--finetune-epochs", type=click.IntRange(min=1), default=60, show_default=True, help="Most epochs.")
@click.option("--seeds", type=common.Numbers(), default="42,1,2", show_default=True, help="Ask everything with each.")
@click.option("--shares", type=Shares(), default="0.2,0.6", show_default=True, help="Shares of users to train on.")
@click.option("--stops", type=common.Numbers(), default="1,5,10", show_default=True, help="Pre-training lengths.")
@click.option(
    "--results", type=click.Path(file_okay=False), default="data/results", show_default=True, help="For the record."
)
@common.output_option
@common.json_option
@common.machine_options
def study(
    epochs: int,
    finetune_epochs: int,
    seeds: tuple[int, ...],
    shares: tuple[float, ...],
    stops: tuple[int, ...],
    results: str,
    output: str | None,
    as_json: bool,
    device: str,
    no_progress: bool,
    debug: bool,
    **options: Any,
) -> None:
    """Many small runs that differ in one thing: seed, objective left out, share of users, pre-training length.

    Writes one record, DATA-study.json, with intervals and paired differences, for every seed and for their mean.
    Smaller shares of the users are trained as many steps as all users. About three hours on 2 cores for ml-100k with
    three seeds. The same command again goes on where it stopped.
    """
    data = take_data({**options, "no_progress": no_progress})

    from s3rec_lite.experiments.study import Study, run_study
    from s3rec_lite.support.config import FinetuneConfig
    from s3rec_lite.support.runtime import keep_freed_memory, pick_device

    keep_freed_memory()
    plan = Study(
        data, epochs, seeds, shares, stops,
        finetuning=FinetuneConfig(epochs=finetune_epochs, min_steps=200),
        runs=Path(output) if output else RUNS / "study",
        results=Path(results),
        device=str(pick_device(device)),
        progress=not no_progress,
    )  # fmt: skip
    record = run_study(plan, lambda line: click.echo(line, err=as_json))
    if as_json:
        print_json(record)
