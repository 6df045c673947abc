"""``tune`` and ``reproduce``: many trainings from one command."""

from pathlib import Path
from typing import Any

import click

from s3rec_lite.commands import options as common
from s3rec_lite.commands.shared import RUNS, data_words, print_json, take_data
from s3rec_lite.commands.train import print_explanation
from s3rec_lite.experiments.presets import configs


@click.command(short_help="Search settings on validation.")
@common.data_options
@click.option(
    "--set",
    "space",
    multiple=True,
    required=True,
    metavar="STAGE.SETTING=VALUES",
    help="Values to try, such as pretrain.epochs=50,100,150; a range "
    "is log:1e-4:1e-2 or range:0.1:0.5; a single "
    "value is fixed. STAGE is model, pretrain or finetune. May be repeated.",
)
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    help="How many settings to try. [default: all of a grid of lists, otherwise 20]",
)
@click.option("--storage", metavar="URL", help="Optuna's storage. [default: sqlite:///OUTPUT/tune.db]")
@click.option("--study", metavar="NAME", help="Name of the study. [default: made from data and settings]")
@click.option("--metric", default="NDCG@10", show_default=True, help="Validation metric to maximise.")
@click.option(
    "--protocol",
    type=click.Choice(["full", "sampled", "authors"]),
    default="full",
    show_default=True,
    help="Ranking of the metric.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the search.")
@common.preset_option
@common.output_option
@common.json_option
@common.machine_options
@click.pass_context
def tune(
    context: click.Context,
    space: tuple[str, ...],
    trials: int | None,
    storage: str | None,
    study: str | None,
    metric: str,
    protocol: str,
    seed: int,
    preset: str,
    output: str | None,
    as_json: bool,
    device: str,
    no_progress: bool,
    debug: bool,
    **options: Any,
) -> None:
    """Sweep settings on validation; the test split is never looked at.

    \b
    s3rec-lite tune --data ml-100k --set pretrain.epochs=50,100,150
    s3rec-lite tune --set finetune.learning_rate=log:1e-4:1e-2 --set model.hidden_size=32,64 --trials 20

    Trials with the same model and pre-training settings share one pre-training, continued as far as they
    need; pretrain.epochs=0 means none. The same command again goes on where it stopped.
    """
    from s3rec_lite.experiments.search_space import parse_space

    searched = parse_space(space)
    data = take_data({**options, "no_progress": no_progress})

    from s3rec_lite.experiments.tune import Search, tune
    from s3rec_lite.support.runtime import keep_freed_memory

    keep_freed_memory()
    search = Search(
        data,
        searched,
        preset=preset,
        metric=metric,
        protocol=protocol,
        trials=trials,
        seed=seed,
        study=study,
        storage=storage,
        runs=Path(output) if output else RUNS / data.name,
        device=device,
        progress=not no_progress,
        data_words=data_words(context),
    )
    result = tune(search)
    if as_json:
        print_json(result.to_dict())
    else:
        click.echo(str(result))


@click.command(short_help="The whole way, with and without pre-training.")
@common.data_options
@common.preset_option
@common.explain_option
@click.option("--seed", type=click.IntRange(min=0), help="The seed of both stages. [default: 42]")
@click.option("--results", type=click.Path(), default="data/results", show_default=True, help="Folder of the records.")
@click.option("--figures", type=click.Path(), default="figures", show_default=True, help="Folder of the figures.")
@click.option(
    "--runs",
    "--output",
    type=click.Path(),
    default=str(RUNS),
    show_default=True,
    help="Folder of checkpoints.",
)
@common.restart_option
@common.json_option
@common.machine_options
@common.setting_options("model", "pretrain", "finetune", prefixed=True)
def reproduce(
    preset: str,
    explain: bool,
    seed: int | None,
    results: str,
    figures: str,
    runs: str,
    restart: bool,
    as_json: bool,
    device: str,
    no_progress: bool,
    debug: bool,
    **options: Any,
) -> None:
    """The whole way: pre-train, fine-tune with and without, evaluate both; leaves table, records, figures.

    The same command again goes on where it stopped.
    """
    given = common.given_settings(options)
    if seed is not None:
        for stage in ("pretrain", "finetune"):
            given[stage].setdefault("seed", seed)
    configs(preset, **given)  # bad settings fail before the data are fetched
    if explain:
        return print_explanation(preset, given)
    data = take_data({**options, "no_progress": no_progress})

    from s3rec_lite.experiments.reproduce import reproduce
    from s3rec_lite.runs.records import results_table
    from s3rec_lite.support.runtime import keep_freed_memory

    keep_freed_memory()
    records = reproduce(
        data,
        preset=preset,
        **given,
        device=device,
        results=results,
        figures=figures,
        runs=runs,
        restart=restart,
        progress=not no_progress,
    )
    if as_json:
        print_json(records)
    else:
        click.echo(results_table(records))
    return None
