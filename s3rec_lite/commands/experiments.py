"""``reproduce``, ``tune`` and ``study``: many trainings from one command."""

from pathlib import Path
from typing import Any

import click

from s3rec_lite.commands import options
from s3rec_lite.support.errors import SettingError

_SHARES = options.NumberList(
    click.FloatRange(min=0, min_open=True, max=1), "shares", "shares above 0 and up to 1; for example 0.2,0.6"
)


@click.command(short_help="The whole way, with and without pre-training.")
@click.option("--seed", type=options.SEED, help="The seed of both stages. [default: 42]")
@click.option("--results", type=click.Path(), default="data/results", help="Folder of the records.")
@click.option("--figures", type=click.Path(), default="figures", help="Folder of the figures.")
@click.option("--runs", "--output", type=click.Path(), default=str(options.RUNS), help="Folder of checkpoints.")
@options.run_options
@options.workers_option
@options.setting_options("model", "pretrain", "finetune", prefixed=True)
@options.pass_shared
def reproduce(shared: options.Shared, seed: int | None, **folders: Any) -> None:
    """The whole way: pre-train, fine-tune with and without, evaluate both; leaves table, records, figures.

    The same command again goes on where it stopped.
    """
    if seed is not None:
        for stage in ("pretrain", "finetune"):
            shared.given[stage].setdefault("seed", seed)
    shared.configs()  # bad settings fail before the data are fetched
    data = shared.load_data()

    from s3rec_lite.experiments.reproduce import reproduce
    from s3rec_lite.runs.records import results_table

    records = reproduce(
        data,
        preset=shared.preset,
        **shared.given,
        **shared.running,
        **folders,
    )
    shared.show(records, results_table(records))


@click.command(short_help="Search settings on validation.")
@click.option(
    "--set",
    "space",
    multiple=True,
    metavar="STAGE.SETTING=VALUES",
    help="Values to try, such as pretrain.epochs=50,100,150; a range is log:1e-4:1e-2 or range:0.1:0.5; "
    "a single value is fixed. STAGE is model, pretrain or finetune. RecBole's names work, too. May be repeated.",
)
@click.option(
    "--params-file", type=click.Path(), metavar="FILE", help="RecBole's hyper.test: lines of name, kind and values."
)
@click.option(
    "--trials", type=options.POSITIVE, help="How many settings to try. [default: all of a grid of lists, otherwise 20]"
)
@click.option("--storage", metavar="URL", help="Optuna's storage. [default: sqlite:///OUTPUT/tune.db]")
@click.option("--study", metavar="NAME", help="Name of the study. [default: made from data and settings]")
@click.option("--metric", type=options.METRIC, default="NDCG@10", help="Validation metric to maximise.")
@click.option(
    "--protocol", type=click.Choice(["full", "sampled", "authors"]), default="full", help="Ranking of the metric."
)
@click.option("--seed", type=options.SEED, default=0, help="Seed of the search.")
@options.run_options
@options.preset_option
@options.output_option
@options.pass_shared
def tune(shared: options.Shared, space: tuple[str, ...], params_file: str | None, **search: Any) -> None:
    """Sweep settings on validation; the test split is never looked at.

    \b
    s3rec-lite tune --data ml-100k --set pretrain.epochs=50,100,150
    s3rec-lite tune --set finetune.learning_rate=log:1e-4:1e-2 --set model.hidden_size=32,64 --trials 20

    Trials with the same model and pre-training settings share one pre-training, continued as far as they
    need; pretrain.epochs=0 means none. The same command again goes on where it stopped.
    """
    from s3rec_lite.experiments.search_space import parse_space, read_params_file

    listed, typed = read_params_file(params_file) if params_file else {}, parse_space(space)
    if twice := sorted({*listed} & {*typed}):
        raise SettingError(f"{twice[0]} is in {params_file} and in --set; leave one out")
    searched = {**listed, **typed}
    if not searched:
        raise SettingError("nothing to try; give --set STAGE.SETTING=VALUES, or --params-file with RecBole's lines")

    from s3rec_lite.experiments.tune import Search, tune

    data = shared.load_data()
    whole = Search(
        data,
        searched,
        preset=shared.preset,
        runs=shared.run_folder(data),
        device=shared.device,
        progress=shared.progress,
        data_words=shared.data_words(),
        **search,
    )
    result = tune(whole)
    shared.show(result.to_dict(), str(result))


@click.command(short_help="Ablations, data shares, epochs and seeds in one record.")
@click.option("--epochs", type=options.POSITIVE, default=5, help="Pre-training epochs.")
@click.option("--finetune-epochs", type=options.POSITIVE, default=60, help="Most epochs.")
@click.option("--seeds", type=options.POSITIVE_LIST, default="42,1,2", help="Ask everything with each.")
@click.option("--shares", type=_SHARES, default="0.2,0.6", help="Shares of users to train on.")
@click.option("--stops", type=options.POSITIVE_LIST, default="1,5,10", help="Pre-training lengths.")
@click.option("--results", type=click.Path(file_okay=False), default="data/results", help="For the record.")
@options.run_options
@options.output_option
@options.pass_shared
def study(shared: options.Shared, finetune_epochs: int, results: str, **plan: Any) -> None:
    """Many small runs that differ in one thing: seed, objective left out, share of users, pre-training length.

    Writes one record, DATA-study.json, with paired differences and intervals over users, for every seed and for their
    mean. Smaller shares of the users are trained as many steps as all users. About three hours on 2 cores for ml-100k
    with three seeds. The same command again goes on where it stopped.
    """
    data = shared.load_data()

    from s3rec_lite.experiments.study import Study, run_study
    from s3rec_lite.support.config import FinetuneConfig
    from s3rec_lite.support.runtime import pick_device

    whole = Study(
        data,
        finetuning=FinetuneConfig(epochs=finetune_epochs, min_steps=200),
        runs=Path(shared.output) if shared.output else options.RUNS / "study",
        results=Path(results),
        device=str(pick_device(shared.device)),
        progress=shared.progress,
        **plan,
    )
    record = run_study(whole, lambda line: click.echo(line, err=shared.as_json))
    if shared.as_json:
        shared.show(record, "")
