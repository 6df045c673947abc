"""``evaluate`` and ``recommend``: what a trained model is good for."""

import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from s3rec_lite.commands import options as common
from s3rec_lite.commands.shared import (
    RUNS,
    command_line,
    default_checkpoint,
    open_checkpoint,
    print_json,
    run_folder,
    table,
    take_data,
)
from s3rec_lite.experiments.presets import evaluation_settings
from s3rec_lite.support.errors import SettingError

if TYPE_CHECKING:
    from s3rec_lite.datasets import SequenceData

checkpoint_option = click.option(
    "--checkpoint",
    type=click.Path(),
    metavar="FILE",
    help="The model: of this kit, the authors' or RecBole's. [default: S3Rec-DATA-finetuned-best.pth in --output]",
)


def chosen_checkpoint(checkpoint: str | None, output: str | None, data: "SequenceData", context: click.Context) -> Path:
    """The file that was given, or what `finetune` left, or else what `reproduce` left last."""
    if checkpoint:
        return Path(checkpoint)
    folder, name = run_folder(output, data), f"S3Rec-{data.name}-finetuned-best.pth"
    if output is None and not (folder / name).is_file():
        safe = glob.escape(data.name)
        found = RUNS.glob(f"{safe}-*/finetune-*/S3Rec-{safe}-after-*-best.pth")
        newest = max(found, key=lambda path: path.stat().st_mtime_ns, default=None)
        if newest is not None:
            click.echo(f"s3rec-lite: taking {newest}", err=True)
            return newest
    return default_checkpoint(folder, name, command_line("finetune", context))


@click.command(short_help="Measure a model: HR, NDCG and MRR.")
@common.data_options
@checkpoint_option
@click.option("--split", type=click.Choice(["valid", "test"]), default="test", show_default=True, help="Which targets.")
@click.option(
    "--protocol",
    type=click.Choice(["full", "sampled", "authors"]),
    help="full: rank among all unseen items; sampled: among negatives; authors: full by their rules. [default: full]",
)
@click.option(
    "--negatives",
    type=click.Choice(["drawn", "given"]),
    default="drawn",
    show_default=True,
    help="sampled: drawn with --seed, or the file's own.",
)
@click.option(
    "--num-negatives",
    type=click.IntRange(min=1),
    default=99,
    show_default=True,
    help="sampled: how many to draw.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="sampled: seed of the negatives."
)
@click.option("--cutoffs", type=common.Numbers(), help="The k of HR@k and NDCG@k. [default: 5,10,20; sampled: 1,5,10]")
@click.option(
    "--remove-seen/--keep-seen",
    default=None,
    help="full: take the items of the history out. [default: removed]",
)
@click.option("--against", type=click.Path(), metavar="FILE", help="Another model, for a paired comparison.")
@click.option("--metric", default="NDCG@10", show_default=True, help="The metric of the comparison.")
@common.preset_option
@common.output_option
@common.json_option
@common.machine_options
@click.pass_context
def evaluate(
    context: click.Context,
    checkpoint: str | None,
    split: str,
    protocol: str | None,
    negatives: str,
    num_negatives: int,
    seed: int,
    cutoffs: tuple[int, ...] | None,
    remove_seen: bool | None,
    against: str | None,
    metric: str,
    preset: str,
    output: str | None,
    as_json: bool,
    device: str,
    no_progress: bool,
    debug: bool,
    **options: Any,
) -> None:
    """Rank each user's held-out item: HR, NDCG and MRR with 95% intervals over users.

    A preset sets --protocol and --keep-seen as its source has them.
    """
    chosen = evaluation_settings(preset)
    chosen["protocol"] = protocol or chosen["protocol"]
    if remove_seen is not None or chosen["protocol"] != "full":
        chosen["remove_seen"] = True if remove_seen is None else remove_seen
    data = take_data({**options, "no_progress": no_progress})

    from s3rec_lite.experiments.comparisons import compare
    from s3rec_lite.experiments.reports import evaluate
    from s3rec_lite.support.runtime import pick_device

    where = pick_device(device)

    def report_of(path: str | Path):
        return evaluate(
            open_checkpoint(path, data, preset).to(where),
            data,
            split,
            cutoffs=cutoffs,
            negatives=negatives,
            num_negatives=num_negatives,
            seed=seed,
            progress=not no_progress,
            name=Path(path).name,
            **chosen,
        )

    path = chosen_checkpoint(checkpoint, output, data, context)
    report = report_of(path)
    other = report_of(against) if against else None
    comparison = compare(report, other, metric) if other else None
    if as_json:
        result = {"data": data.name, "checkpoint": str(path), **report.to_dict()}
        if other:
            result["against"] = {"checkpoint": against, **other.to_dict()}
            result["comparison"] = comparison.to_dict()
        print_json(result)
        return
    click.echo(str(report))
    if other:
        click.echo(f"\n{other}\n\n{comparison}")


@click.command(short_help="Next items for a history.")
@common.data_options
@checkpoint_option
@click.option(
    "--history",
    required=True,
    metavar="ITEM,ITEM,...",
    help="Items in order, oldest first, by the names that the data give them: 12,7,55",
)
@click.option("-k", "k", type=click.IntRange(min=1), default=10, show_default=True, help="How many items.")
@click.option("--include-seen", is_flag=True, help="Items of the history may be recommended, too.")
@common.output_option
@common.json_option
@common.machine_options
@click.pass_context
def recommend(
    context: click.Context,
    checkpoint: str | None,
    history: str,
    k: int,
    include_seen: bool,
    output: str | None,
    as_json: bool,
    device: str,
    no_progress: bool,
    debug: bool,
    **options: Any,
) -> None:
    """Recommend the next items for a history, with titles where the data have them."""
    tokens = [token.strip() for token in history.split(",") if token.strip()]
    if not tokens:
        raise SettingError(f"--history {history!r} holds no item; for example --history 12,7,55")
    data = take_data({**options, "no_progress": no_progress})
    ids = [data.item_id(token) for token in tokens]

    from s3rec_lite.support.runtime import pick_device

    path = chosen_checkpoint(checkpoint, output, data, context)
    model = open_checkpoint(path, data).to(pick_device(device))
    items, scores = model.recommend(ids, k, exclude_seen=not include_seen)
    rows = [
        {"rank": rank, "item": item_name(data, item), "title": data.title(item), "score": score}
        for rank, (item, score) in enumerate(zip(items, scores, strict=True), start=1)
    ]
    if as_json:
        past = [{"item": item_name(data, item), "title": data.title(item)} for item in ids]
        print_json({"data": data.name, "checkpoint": str(path), "history": past, "recommendations": rows})
        return
    click.echo("after " + ", ".join(data.title(item) for item in ids))
    shown = [(row["rank"], row["item"], row["title"], f"{row['score']:.3f}") for row in rows]
    click.echo(table([("rank", "item", "title", "score"), *shown], right="rrlr"))


def item_name(data: "SequenceData", item: int) -> str:
    """The name of an item in the data's own files."""
    return data.item_tokens[item - 1] if data.item_tokens else str(item)
