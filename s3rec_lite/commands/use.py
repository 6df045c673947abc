"""``evaluate`` and ``recommend``: what a trained model is good for."""

from pathlib import Path
from typing import Any

import click

from s3rec_lite.commands import options
from s3rec_lite.commands.checkpoints import finetuned_checkpoint, load_data_for, open_checkpoint
from s3rec_lite.experiments.presets import evaluation_settings
from s3rec_lite.support.errors import SettingError
from s3rec_lite.support.text import text_table

_checkpoint_option = click.option(
    "--checkpoint",
    type=click.Path(),
    metavar="FILE",
    help="The model: of this kit, the authors' or RecBole's. [default: S3Rec-DATA-finetuned-best.pth in --output]",
)


@click.command(short_help="Measure a model: HR, NDCG and MRR.")
@_checkpoint_option
@click.option("--split", type=click.Choice(["valid", "test"]), default="test", help="Which targets.")
@click.option(
    "--protocol",
    type=click.Choice(["full", "sampled", "authors"]),
    help="full: rank among all unseen items; sampled: among negatives; authors: full by their rules. [default: full]",
)
@click.option(
    "--negatives",
    type=click.Choice(["drawn", "given"]),
    default="drawn",
    help="sampled: drawn with --seed, or the file's own.",
)
@click.option("--num-negatives", type=options.POSITIVE, default=99, help="sampled: how many to draw.")
@click.option("--seed", type=options.SEED, default=0, help="sampled: seed of the negatives.")
@click.option(
    "--cutoffs", type=options.POSITIVE_LIST, help="The k of HR@k and NDCG@k. [default: 5,10,20; sampled: 1,5,10]"
)
@click.option(
    "--remove-seen/--keep-seen", default=None, help="full: take the items of the history out. [default: removed]"
)
@click.option("--against", type=click.Path(), metavar="FILE", help="Another model, for a paired comparison.")
@click.option("--metric", type=options.METRIC, default="NDCG@10", help="The metric of the comparison.")
@options.item_list_option
@options.run_options
@options.preset_option
@options.output_option
@options.pass_shared
def evaluate(shared: options.Shared, checkpoint: str | None, against: str | None, metric: str, **ranking: Any) -> None:
    """Rank each user's held-out item: HR, NDCG and MRR with 95% intervals over users.

    A preset sets --protocol and --keep-seen as its source has them.
    """
    default = evaluation_settings(shared.preset)
    ranking["protocol"] = ranking["protocol"] or default["protocol"]
    if ranking["remove_seen"] is None:
        ranking["remove_seen"] = default["remove_seen"] or ranking["protocol"] != "full"
    data = load_data_for(shared, checkpoint, against)

    from tqdm.auto import tqdm

    import s3rec_lite as s3
    from s3rec_lite.support.runtime import pick_device

    device = pick_device(shared.device)

    def report_of(path: str | Path) -> Any:
        model = open_checkpoint(path, data, shared).to(device)
        title = f"evaluate {ranking['split']}"
        with tqdm(desc=title, total=data.num_users, unit="user", disable=not shared.progress) as bar:
            return s3.evaluate(model, data, on_users=bar.update, name=Path(path).name, **ranking)

    path = checkpoint or finetuned_checkpoint(shared, data)
    report = report_of(path)
    result, text = {"data": data.name, "checkpoint": str(path), **report.to_dict()}, str(report)
    if against:
        other = report_of(against)
        comparison = s3.compare(report, other, metric)
        result["against"] = {"checkpoint": against, **other.to_dict()}
        result["comparison"] = comparison.to_dict()
        text = f"{report}\n\n{other}\n\n{comparison}"
    shared.show(result, text)


@click.command(short_help="Next items for a history.")
@_checkpoint_option
@click.option(
    "--history",
    required=True,
    metavar="ITEM,ITEM,...",
    help="Items in order, oldest first, by the names that the data give them: 12,7,55",
)
@click.option("-k", "k", type=options.POSITIVE, default=10, help="How many items.")
@click.option("--include-seen", is_flag=True, help="Items of the history may be recommended, too.")
@options.item_list_option
@options.run_options
@options.preset_option
@options.output_option
@options.pass_shared
def recommend(shared: options.Shared, checkpoint: str | None, history: str, k: int, include_seen: bool) -> None:
    """Recommend the next items for a history, with titles where the data have them."""
    names = [name.strip() for name in history.split(",") if name.strip()]
    if not names:
        raise SettingError(f"--history {history!r} holds no item; for example --history 12,7,55")
    data = load_data_for(shared, checkpoint)
    past = [data.item_id(name) for name in names]

    from s3rec_lite.support.runtime import pick_device

    path = checkpoint or finetuned_checkpoint(shared, data)
    model = open_checkpoint(path, data, shared).to(pick_device(shared.device))
    items, scores = model.recommend(past, k, exclude_seen=not include_seen)

    def described(item: int) -> dict[str, str]:
        """The item's name in the data's own files, and its title."""
        return {"item": data.item_tokens[item - 1] if data.item_tokens else str(item), "title": data.title(item)}

    ranked = enumerate(zip(items, scores, strict=True), start=1)
    rows: list[dict[str, Any]] = [{"rank": rank, **described(item), "score": score} for rank, (item, score) in ranked]
    result = {
        "data": data.name,
        "checkpoint": str(path),
        "history": [described(item) for item in past],
        "recommendations": rows,
    }
    cells = [(str(row["rank"]), row["item"], row["title"], f"{row['score']:.3f}") for row in rows]
    table = text_table([("rank", "item", "title", "score"), *cells], "rrlr")
    shared.show(result, f"after {', '.join(map(data.title, past))}\n{table}")
