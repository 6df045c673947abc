"""``fetch``, ``check`` and ``bench``: data, the machine, its speed."""

import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import Any

import click

from s3rec_lite.commands import options as common
from s3rec_lite.commands.shared import print_json, set_threads, table, take_data

PACKAGES = (
    "s3rec-lite",
    "torch",
    "numpy",
    "pandas",
    "pydantic",
    "click",
    "pooch",
    "tqdm",
    "optuna",
    "matplotlib",
    "psutil",
)


@click.command(short_help="Get data sets and check them.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--data", default="ml-100k", show_default=True, metavar="NAME", help="The same as NAME.")
@click.option("--weights", is_flag=True, help="The authors' pre-trained weights too (lastfm, beauty and toys).")
@common.json_option
@click.option("--no-progress", is_flag=True, help="No progress bars.")
@common.debug_option
def fetch(names: tuple[str, ...], data: str, weights: bool, as_json: bool, no_progress: bool, debug: bool) -> None:
    """Get data sets into the cache and check them by SHA-256: lastfm, beauty, sports, toys, yelp, ml-100k."""
    from s3rec_lite.datasets import fetch, fetch_checkpoint

    found: dict[str, list[Path]] = {}
    for name in names or (data,):
        found[name] = list(fetch(name, progress=not no_progress).values())
        if weights:
            found[name].append(fetch_checkpoint(name, progress=not no_progress))
    if as_json:
        print_json({name: [str(path) for path in paths] for name, paths in found.items()})
        return
    for name, paths in found.items():
        if not paths:
            click.echo(f"{name} needs no file")
        for path in paths:
            click.echo(f"{path}  {path.stat().st_size / 1e6:.1f} MB")


@click.command(short_help="Print versions, devices and cached data.")
@common.threads_option
@common.json_option
@common.debug_option
def check(threads: int | None, as_json: bool, debug: bool) -> None:
    """Print versions, devices, threads and cached data: what a bug report needs."""
    set_threads(threads)
    facts = {"versions": versions(), "machine": machine_facts(), "data": data_facts()}
    if as_json:
        print_json(facts)
        return
    rows = [*facts["versions"].items(), *facts["machine"].items()]
    rows += [(key, value) for key, value in facts["data"].items() if key != "files"]
    click.echo(table([(key, "not set" if value is None else value) for key, value in rows]))
    click.echo("\ncached data")
    click.echo(table([(f"  {name}", state) for name, state in facts["data"]["files"].items()]))


def versions() -> dict[str, str]:
    """Installed versions by distribution."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def machine_facts() -> dict[str, Any]:
    """Processor, memory, threads and devices."""
    import torch

    from s3rec_lite.support.runtime import machine, pick_device

    facts = {key: value for key, value in machine().items() if key not in ("python", "torch")}
    facts["platform"] = platform.platform()
    facts["cores"] = os.cpu_count()
    try:
        import psutil

        facts["memory"] = f"{psutil.virtual_memory().total / 2**30:.1f} GiB"
    except ImportError:
        facts["memory"] = "unknown"
    facts["cuda"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    facts["mps"] = "available" if torch.backends.mps.is_available() else "none"
    facts["device auto"] = str(pick_device())
    facts["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS")
    facts["executable"] = sys.executable
    return facts


def data_facts() -> dict[str, Any]:
    """Where the cache is and which files are in it, with their checksums tested."""
    from s3rec_lite.datasets import cache_root
    from s3rec_lite.datasets.download import has_checksum
    from s3rec_lite.datasets.sources import CHECKSUMS

    root, files = cache_root(), {}
    for name, checksum in CHECKSUMS.items():
        path = root / name
        if not path.is_file():
            files[name] = "not there"
        else:
            files[name] = "ok" if has_checksum(path, checksum) else "wrong checksum; `s3rec-lite fetch` replaces it"
    mirror = os.environ.get("S3REC_MIRROR")
    return {
        "cache": str(root),
        "S3REC_DATA": os.environ.get("S3REC_DATA"),
        "S3REC_MIRROR": mirror,
        "files": files,
    }


@click.command(short_help="Measure speed and memory here.")
@common.data_options
@click.option(
    "--stage",
    type=click.Choice(["pretrain", "evaluate", "all"]),
    default="all",
    show_default=True,
    help="What to time.",
)
@click.option(
    "--batches", type=click.IntRange(min=1), default=100, show_default=True, help="pretrain: batches a round."
)
@click.option(
    "--batch-size",
    "--train-batch-size",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="pretrain: sequences a batch.",
)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="pretrain: rounds to repeat.")
@click.option(
    "--against",
    type=click.Choice(["reference"]),
    help="pretrain: time the plain step of tests/reference.py too (needs a checkout).",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of weights and batches.")
@click.option("--results", type=click.Path(), metavar="FOLDER", help="Write the records there, such as data/results.")
@common.json_option
@common.machine_options
def bench(
    stage: str,
    batches: int,
    batch_size: int,
    rounds: int,
    against: str | None,
    seed: int,
    results: str | None,
    as_json: bool,
    device: str,
    no_progress: bool,
    debug: bool,
    **options: Any,
) -> None:
    """Measure speed and memory of pre-training and evaluation on this machine.

    --data also takes sports-sized: as large as the Sports data, but made up.
    """
    from s3rec_lite.experiments.benchmark import bench_evaluate, bench_pretrain, load_bench_data
    from s3rec_lite.runs.records import write_record
    from s3rec_lite.support.runtime import keep_freed_memory, pick_device

    where = str(pick_device(device))
    data = take_data({**options, "no_progress": no_progress}, load_bench_data)
    keep_freed_memory()
    measured: dict[str, dict[str, Any]] = {}
    if stage in ("pretrain", "all"):
        measured["pretrain"] = bench_pretrain(
            data, batches=batches, batch_size=batch_size, against=against, seed=seed, rounds=rounds, device=where
        )
    if stage in ("evaluate", "all"):
        measured["evaluate"] = bench_evaluate(data, seed=seed, device=where)
    if results:
        for record in measured.values():
            click.echo(f"wrote {write_record(record, results)}", err=True)
    if as_json:
        print_json(measured if stage == "all" else measured[stage])
        return
    for name, result in measured.items():
        click.echo(f"{name} on {data.name}")
        click.echo(table([(f"  {key}", text) for key, text in flat(result)]))


def flat(result: dict[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Nested results as rows of name and text."""
    rows = []
    for key, value in result.items():
        if isinstance(value, dict):
            rows += flat(value, f"{before}{key}.")
        else:
            rows.append((before + key, f"{value:,.4g}" if isinstance(value, float) else str(value)))
    return rows
