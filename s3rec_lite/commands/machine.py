"""``fetch``, ``check`` and ``bench``: the data sets, this machine, and how fast it is."""

import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from typing import Any

import click

from s3rec_lite.commands import options
from s3rec_lite.support.text import text_table, without_passwords

_PACKAGES = ("torch", "numpy", "pandas", "pydantic", "click", "pooch", "tqdm", "optuna", "matplotlib", "psutil")


@click.command(short_help="Get data sets and check them.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--data", default="ml-100k", metavar="NAME", help="The same as NAME.")
@click.option("--weights", is_flag=True, help="The authors' pre-trained weights too (lastfm, beauty and toys).")
@options.json_option
@options.progress_option
@options.pass_shared
def fetch(shared: options.Shared, names: tuple[str, ...], data: str, weights: bool) -> None:
    """Get data sets into the cache and check them by SHA-256: lastfm, beauty, sports, toys, yelp, ml-100k."""
    from s3rec_lite import datasets

    fetched, lines = {}, []
    for name in names or (data,):
        paths = list(datasets.fetch(name, progress=shared.progress).values())
        if weights:
            paths.append(datasets.fetch_checkpoint(name, progress=shared.progress))
        fetched[name] = [str(path) for path in paths]
        lines += [f"{path}  {path.stat().st_size / 1e6:.1f} MB" for path in paths] or [f"{name} needs no file"]
    shared.show(fetched, "\n".join(lines))


@click.command(short_help="Print versions, devices and cached data.")
@options.threads_option
@options.json_option
@options.pass_shared
def check(shared: options.Shared) -> None:
    """Print versions, devices, threads and cached data: what a bug report needs."""
    facts = {"versions": _versions(), "machine": _machine_facts(), "data": _data_facts()}
    cache = {key: value for key, value in facts["data"].items() if key != "files"}
    rows = [*facts["versions"].items(), *facts["machine"].items(), *cache.items()]
    table = text_table([(key, "not set" if value is None else str(value)) for key, value in rows])
    files = text_table([(f"  {name}", state) for name, state in facts["data"]["files"].items()])
    shared.show(facts, f"{table}\n\ncached data\n{files}")


def _versions() -> dict[str, str]:
    """Installed versions by distribution."""
    versions = {"python": platform.python_version()}
    for name in ("s3rec-lite", *_PACKAGES):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def _machine_facts() -> dict[str, Any]:
    """Processor, memory, threads and devices."""
    import torch

    from s3rec_lite.support.runtime import machine, pick_device

    try:
        import psutil

        memory = f"{psutil.virtual_memory().total / 2**30:.1f} GiB"
    except ImportError:
        memory = "unknown"
    return {
        **{key: value for key, value in machine().items() if key not in ("python", "torch")},
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "memory": memory,
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "mps": "available" if torch.backends.mps.is_available() else "none",
        "device auto": str(pick_device()),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        "executable": sys.executable,
    }


def _data_facts() -> dict[str, Any]:
    """Where the cache is and which files are in it, with their checksums tested."""
    from s3rec_lite.datasets import cache_root
    from s3rec_lite.datasets.download import has_checksum
    from s3rec_lite.datasets.sources import CHECKSUMS

    def state(path: Path, checksum: str) -> str:
        if not path.is_file():
            return "not there"
        return "ok" if has_checksum(path, checksum) else "wrong checksum; `s3rec-lite fetch` replaces it"

    root, mirror = cache_root(), os.environ.get("S3REC_MIRROR")
    return {
        "cache": str(root),
        "S3REC_DATA": os.environ.get("S3REC_DATA"),
        "S3REC_MIRROR": mirror and without_passwords(mirror),
        "files": {name: state(root / name, checksum) for name, checksum in CHECKSUMS.items()},
    }


_SIZES = options.NumberList(
    click.FloatRange(min=0, min_open=True), "numbers", "millions of interactions, above 0; for example 0.1,1"
)


@click.command(short_help="Measure speed and memory here.")
@click.option(
    "--stage", type=click.Choice(["pretrain", "evaluate", "all", "scale"]), default="all", help="What to time."
)
@click.option("--batches", type=options.POSITIVE, default=100, help="pretrain: batches a round.")
@click.option(
    "--batch-size", "--train-batch-size", type=options.POSITIVE, default=100, help="pretrain: sequences a batch."
)
@click.option("--rounds", type=options.POSITIVE, default=3, help="pretrain: rounds to repeat.")
@click.option(
    "--against",
    type=click.Choice(["reference"]),
    help="pretrain: time the plain step of s3rec_lite/plain.py too.",
)
@click.option("--sizes", type=_SIZES, default="0.1,0.3,1,3,10", help="scale: millions of interactions.")
@click.option("--seed", type=options.SEED, default=0, help="Seed of weights and batches.")
@click.option("--results", type=click.Path(), metavar="FOLDER", help="Write the records there, such as data/results.")
@click.option("--figures", type=click.Path(), default="figures", help="scale: folder of the figure.")
@options.run_options
@options.preset_option
@options.pass_shared
def bench(
    shared: options.Shared,
    stage: str,
    sizes: tuple[float, ...],
    seed: int,
    results: str | None,
    figures: str,
    **rounds: Any,
) -> None:
    """Measure speed and memory of pre-training and evaluation on this machine.

    --data also takes sports-sized: as large as the Sports data, but made up. --stage scale makes its own data, of
    the given sizes and with a tenth as many items; the same command again goes on where it stopped.
    """
    if stage == "scale":
        _bench_scale(shared, sizes, seed, results or "data/results", figures)
        return
    from s3rec_lite.experiments.benchmark import bench_evaluate, bench_pretrain, load_bench_data
    from s3rec_lite.runs.records import write_record
    from s3rec_lite.support.runtime import pick_device

    device = str(pick_device(shared.device))
    data = shared.load_data(load_bench_data)
    measured = {}
    if stage in ("pretrain", "all"):
        measured["pretrain"] = bench_pretrain(data, seed=seed, device=device, preset=shared.preset, **rounds)
    if stage in ("evaluate", "all"):
        measured["evaluate"] = bench_evaluate(data, seed=seed, device=device)
    if results:
        for record in measured.values():
            click.echo(f"wrote {write_record(record, results)}", err=True)
    lines = []
    for name, record in measured.items():
        lines += [f"{name} on {data.name}", text_table([(f"  {key}", text) for key, text in _flat(record)])]
    shared.show(measured if stage == "all" else measured[stage], "\n".join(lines))


def _bench_scale(shared: options.Shared, sizes: tuple[float, ...], seed: int, results: str, figures: str) -> None:
    """Measure every stage at every size; leave the record and its figure."""
    from s3rec_lite.experiments.scaling import bench_scale
    from s3rec_lite.figures.records import scale_figure
    from s3rec_lite.support.runtime import pick_device

    def tell(line: str) -> None:
        click.echo(line, err=True)

    record = bench_scale(sizes, results, seed=seed, device=str(pick_device(shared.device)), on_size=tell)
    tell(f"wrote {scale_figure(record, Path(figures))}")
    shared.show(record, text_table([(f"  {key}", text) for key, text in _flat(record["sizes"])]))


def _flat(result: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested results as rows of name and text."""
    rows = []
    for key, value in result.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((prefix + key, f"{value:,.4g}" if isinstance(value, float) else str(value)))
    return rows
