"""The README says what the records, the settings and the commands say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from s3rec_lite.runs.records import read_records
from tools.readme import readme_blocks

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["course", "results", "settings", "bench"])
def test_tables_are_those_of_the_committed_records(name):
    shown = README.split(f"<!-- {name}:begin -->")[1].split(f"<!-- {name}:end -->")[0].strip()
    assert shown == readme_blocks(read_records(ROOT / "data" / "results"))[name], "run `make readme`"


def test_results_and_speed_have_records_behind_them():
    kinds = {record["kind"] for record in read_records(ROOT / "data" / "results")}
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
        shown = subprocess.run(
            [sys.executable, "-m", "s3rec_lite", command, "--help"], capture_output=True, text=True, check=True
        ).stdout
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
