"""The README says what the records, the settings and the commands say."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from s3rec_lite.commands.cli import main
from s3rec_lite.datasets import planted
from s3rec_lite.runs.records import make_record, read_records
from s3rec_lite.support.errors import DataError
from tools.readme import bench_block, readme_blocks, replace_blocks, results_block

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RECORDS = read_records(ROOT / "data" / "results")


@pytest.mark.parametrize("name", ["course", "package", "rooms", "results", "settings", "bench"])
def test_tables_are_those_of_the_committed_records(name):
    shown = README.split(f"<!-- {name}:begin -->")[1].split(f"<!-- {name}:end -->")[0].strip()
    assert shown == readme_blocks(RECORDS)[name], "run `make readme`"


def test_results_and_speed_have_records_behind_them():
    kinds = {record["kind"] for record in RECORDS}
    assert {"run", "comparison", "bench-pretrain"} <= kinds


def test_links_and_pictures_exist():
    targets = [link for link in re.findall(r"\]\(([^)#]+?)\)", README) if "://" not in link]
    assert targets
    assert [link for link in targets if not (ROOT / link).exists()] == []


def test_pictures_have_alt_text():
    assert all(len(alt) > 20 for alt in re.findall(r"!\[(.*?)\]\(", README))


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"make ([a-z]+)", README)) - {"them"}
    assert {target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)} == set()


def test_commands_take_the_options_that_are_shown():
    lines = [line.split("#")[0].split() for line in README.splitlines() if line.startswith("s3rec-lite ")]
    assert len(lines) >= 8
    for _, command, *words in lines:
        shown = CliRunner().invoke(main, [command, "--help"]).output
        assert [word for word in words if word.startswith("--") and word not in shown] == [], command


def test_the_python_example_runs_on_the_toy():
    code = README.split("```python\n")[1].split("```")[0]
    shorter = {
        '"ml-100k")': '"toy")',
        "epochs=10": "epochs=1",
        'loss="ce"': 'loss="ce", epochs=1',
        "[12, 7, 55]": "[1, 2]",
    }
    for shown, run in shorter.items():
        assert shown in code
        code = code.replace(shown, run)
    exec(compile(code, "README.md", "exec"), {})


# --- how the tables are made --------------------------------------------------------------------------------


def test_markdown_has_as_many_cells_in_every_row():
    table = results_block(RECORDS).split("\n\n")[0].splitlines()
    assert len({line.count("|") for line in table}) == 1
    assert len(table) == 2 + sum(record["kind"] == "run" for record in RECORDS)
    assert "make reproduce" in results_block([])


def test_the_readme_gets_fresh_tables_and_keeps_the_rest(tmp_path):
    readme = tmp_path / "README.md"
    block = "<!-- {0}:begin -->\nold\n<!-- {0}:end -->\n"
    readme.write_text(f"# Kit ³\n{block.format('results')}between\n{block.format('bench')}after\n", encoding="utf-8")
    blocks = {"results": results_block(RECORDS), "bench": bench_block(RECORDS)}
    assert replace_blocks(readme, blocks)
    text = readme.read_text(encoding="utf-8")
    assert "old" not in text
    assert text.startswith("# Kit ³\n") and text.endswith("after\n") and "\nbetween\n" in text
    assert "| ml-100k | S3Rec | 10 epochs |" in text
    assert not replace_blocks(readme, blocks)
    readme.write_text("# Kit\n")
    with pytest.raises(DataError, match="results:begin"):
        replace_blocks(readme, blocks)


def test_bench_records_become_a_table():
    data = planted(num_users=40, num_items=120, length=9)
    fast = {"sequences_per_second": 1200.0, "preparation_share": 0.02, "peak_memory_mib": 640.0}
    trained = make_record("a", "bench-pretrain", data, settings={"batch_size": 100}, fast=fast)
    both = {**trained, "reference": {"sequences_per_second": 60.0}, "ratio": 20.0}
    full = {"seconds": 3.0, "extra_memory_mib": 100.0}
    ranked = make_record("c", "bench-evaluate", data, full=full, sampled={"seconds": 1.0})
    table = bench_block([trained, both, ranked])
    assert "| planted | 1,200 | not measured |  | 2.0% | 640 MiB |" in table
    assert "| planted | 1,200 | 60 | 20.0 | 2.0% | 640 MiB |" in table
    assert "| planted | 40 | 120 | 3.0 s | 1.0 s | 100 MiB |" in table
