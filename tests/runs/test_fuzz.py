"""Files that are damaged or made on purpose: each gives exit status 2 and one line, or the right result.

A few hundred here; ``make fuzz COUNT=20000`` tries as many as you like, others with ``SEED=90000``. A failure names the
seed of its file. A crash of the whole process, as PyTorch's own code might have, fails the test, too.
"""

import csv
import io
import json
import os
import random
import re
import time
import warnings

import pytest
import torch
from click.testing import CliRunner

from s3rec_lite import DataError, load_dataset, load_model
from s3rec_lite.commands.cli import main
from s3rec_lite.datasets import toy
from s3rec_lite.runs.checkpoints import FORMAT, weights_fingerprint
from s3rec_lite.runs.interop import item_names, save_authors_checkpoint, save_recbole_checkpoint
from s3rec_lite.runs.states import content_fingerprint
from s3rec_lite.support.files import load_tensors

COUNT = int(os.environ.get("S3REC_FUZZ", "96"))  # files of each of the three kinds
SEED = int(os.environ.get("S3REC_FUZZ_SEED", "0"))
SHARDS = 8
LONGEST = 20  # seconds for one command; a machine may be busy
TINY = ("--hidden-size", "8", "--inner-size", "8")
QUIET = ("--data", "toy", "--device", "cpu", "--no-progress", "--output", "run")
COMMANDS = {
    "S3Rec-toy-last.pth": (("pretrain", "--epochs", "3", *TINY), ("finetune", "--epochs", "1", "--name", "again")),
    "S3Rec-toy-best.pth": (("pretrain", "--epochs", "3", *TINY),),
    "S3Rec-toy-finetuned-last.pth": (("finetune", "--epochs", "3"),),
    "S3Rec-toy-finetuned-best.pth": (("finetune", "--epochs", "3"), ("evaluate", "--json"), ("recommend",)),
    "authors.pt": (("evaluate", "--json"),),
    "recbole.pth": (("recommend",),),
    "legacy.pt": (("evaluate", "--json"),),
}
UNCHECKED = "legacy.pt"
"""PyTorch's older format holds no checksums, and the authors' files no fingerprint: a changed number looks like one."""


def seeds(shard: int) -> range:
    return range(SEED + shard, SEED + COUNT, SHARDS)


def arguments(command, name) -> list[str]:
    line = [*command, *QUIET]
    if command[0] in ("evaluate", "recommend") or "again" in command:
        line += ["--checkpoint", f"run/{name}"]
    if name == "recbole.pth":
        line += ["--item-list", "items.txt"]
    return line + (["--history", "1,2"] if command[0] == "recommend" else [])


def run(line) -> tuple[int, str, str]:
    begin = time.perf_counter()
    result = CliRunner().invoke(main, line)
    assert time.perf_counter() - begin < LONGEST, "it took too long"
    messages = [line for line in result.stderr.splitlines() if not line.startswith("s3rec-lite: warning: ")]
    assert result.exit_code in (0, 2), f"{result.exit_code} {result.stderr} {result.exception!r}"
    if result.exit_code == 2:
        assert len(messages) == 1 and messages[0].startswith("s3rec-lite: "), result.stderr
        assert result.stdout == ""
    return result.exit_code, result.stdout, "".join(messages)


def outcome(folder, command, stdout: str) -> str:
    """What a command gave: weights of a training, the text of the others."""
    if command[0] not in ("pretrain", "finetune"):
        return stdout
    name = {"pretrain": "toy", "finetune": "toy-again" if "again" in command else "toy-finetuned"}[command[0]]
    return " ".join(weights_fingerprint(load_model(folder / f"S3Rec-{name}-{what}.pth")) for what in ("last", "best"))


def restore(folder, files) -> None:
    for path in folder.iterdir():
        if path.name not in files:
            path.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two finished runs, all their files, and what each command gives with them as they are."""
    root = tmp_path_factory.mktemp("fuzz")
    folder = root / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for command in (("pretrain", "--epochs", "2", "--save-step", "1", *TINY), ("finetune", "--epochs", "2")):
            assert run([*command, *QUIET])[0] == 0
        model = load_model(folder / "S3Rec-toy-finetuned-best.pth")
        save_authors_checkpoint(model, folder / "authors.pt")
        save_recbole_checkpoint(model, folder / "recbole.pth")
        (root / "items.txt").write_text("\n".join(item_names(toy())), encoding="utf-8")
        torch.save(load_tensors(folder / "authors.pt"), folder / "legacy.pt", _use_new_zipfile_serialization=False)
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        expected = {}
        for name, commands in COMMANDS.items():
            for command in commands:
                code, stdout, message = run(arguments(command, name))
                assert code == 0, message
                expected[name, command] = outcome(folder, command, stdout)
                restore(folder, files)
        yield folder, files, expected


# --- bytes --------------------------------------------------------------------------------------------------


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Bytes as disks, cables and half copies leave them."""
    whole = bytearray(content)
    start = rng.randrange(len(whole))
    size = min(rng.choice([1, 4, 64, 512, 4096]), len(whole) - start)
    match rng.choice(["bit", "bit", "zeros", "noise", "cut", "gap", "twice", "swap", "head"]):
        case "bit":
            whole[start] ^= 1 << rng.randrange(8)
        case "zeros":
            whole[start : start + size] = bytes(size)
        case "noise":
            whole[start : start + size] = rng.randbytes(size)
        case "cut":
            del whole[start:]
        case "gap":
            del whole[start : start + size]
        case "twice":
            whole[start:start] = whole[start : start + size]
        case "swap":
            other = rng.randrange(len(whole) - size + 1)
            first, second = whole[start : start + size], whole[other : other + size]
            whole[start : start + size], whole[other : other + size] = second, first
        case "head":
            whole[: min(4, len(whole))] = rng.randbytes(min(4, len(whole)))
    return bytes(whole)


@pytest.mark.training
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.timeout(0 if COUNT > 1000 else 300)
def test_a_damaged_checkpoint_is_refused_or_did_no_harm(runs, shard, monkeypatch):
    folder, files, expected = runs
    monkeypatch.chdir(folder.parent)
    for seed in seeds(shard):
        rng = random.Random(seed)
        name = rng.choice(list(COMMANDS))
        command = rng.choice(COMMANDS[name])
        (folder / name).write_bytes(damaged(files[name], rng))
        try:
            code, stdout, message = run(arguments(command, name))
            if name != UNCHECKED and code == 2:
                assert name in message
            elif name != UNCHECKED:
                assert outcome(folder, command, stdout) == expected[name, command], "another result, in silence"
        except BaseException as error:
            error.add_note(f"seed {seed}: {name}, {' '.join(command)}")
            raise
        finally:
            restore(folder, files)


# --- content ------------------------------------------------------------------------------------------------

VALUES = [
    None, True, -1, 0, 1, 3, 2**31, 2**63, 2**70, 10**400, 1e308, -0.5, float("nan"), float("inf"), "", "x", "9" * 5000,
    "[" * 20_000, '{"a": 1}', "[]", [], {}, (), [1], {1: 2}, {"x": {}}, [[[]]], {None: None},
]  # fmt: skip


def other_tensors(value: torch.Tensor) -> list[torch.Tensor]:
    """Tensors of the wrong kind, as large as ``value`` or as large as nobody has."""
    flat = value.reshape(-1)
    return [
        torch.zeros(0), torch.zeros(1), torch.zeros(3, 3), torch.tensor(2.0), torch.tensor(2), value.double(),
        value.half(), value.bool(), value.long(), flat[:-1].clone(), flat[: len(flat) // 2].clone(), value[None],
        torch.full_like(value, torch.nan), torch.full_like(value, 1e30), -value, value.reshape(value.shape[::-1]),
        torch.zeros(1).expand(10**7), torch.zeros(()).expand(value.shape), value.cfloat(), torch.zeros(70_000),
        value.to_sparse() if value.is_floating_point() and value.ndim else value[None], torch.zeros(9).char(),
    ]  # fmt: skip


def places(value, path=()) -> list[tuple]:
    """The way to every part."""
    found = [path] if path else []
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, part in parts:
        found += places(part, (*path, key))
    return found


def changed(value, path, rng: random.Random):
    """A copy with the part at the end of the path made another one, left out, or under another key."""
    if not path:
        if isinstance(value, torch.Tensor) and rng.random() < 0.8:
            return rng.choice(other_tensors(value))
        if isinstance(value, str) and value[:1] in "{[" and rng.random() < 0.8:
            inner = json.loads(value)
            return json.dumps(changed(inner, rng.choice(places(inner)), rng))
        return rng.choice([torch.zeros(2), *VALUES]) if rng.random() < 0.9 else [value] * 3
    key, rest = path[0], path[1:]
    if isinstance(value, list | tuple):
        return type(value)(changed(part, rest, rng) if number == key else part for number, part in enumerate(value))
    copy = dict(value)
    if rest or rng.random() < 0.7:
        copy[key] = changed(value[key], rest, rng)
    elif rng.random() < 0.5:
        del copy[key]
    else:
        copy[rng.choice([0, 7, 10**6, "other", None, (1, 2), f"{key} "])] = copy.pop(key)
    return copy


@pytest.mark.training
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.timeout(0 if COUNT > 1000 else 300)
@pytest.mark.filterwarnings("ignore:Casting complex")  # by the test itself
def test_a_checkpoint_with_other_content_is_refused_or_used_as_it_is(runs, shard, monkeypatch):
    """The fingerprint fits, as whoever makes such a file would see to."""
    folder, files, _ = runs
    monkeypatch.chdir(folder.parent)
    for seed in seeds(shard):
        rng = random.Random(seed)
        name = rng.choice(list(COMMANDS))
        command = rng.choice(COMMANDS[name])
        content = load_tensors(folder / name)
        for _ in range(rng.choice([1, 1, 1, 2, 5])):
            try:
                content = changed(content, rng.choice(places(content)), rng)
            except (TypeError, ValueError, IndexError, RuntimeError):  # not every part can become every other
                continue
        if content.get("format") == FORMAT and rng.random() < 0.9:
            content.pop("fingerprint", None)
            try:
                content["fingerprint"] = content_fingerprint(content)
            except Exception:
                content["fingerprint"] = "none"
        torch.save(content, folder / name, _use_new_zipfile_serialization=name != "legacy.pt")
        try:
            run(arguments(command, name))
        except BaseException as error:
            error.add_note(f"seed {seed}: {name}, {' '.join(command)}")
            raise
        finally:
            restore(folder, files)


# --- texts --------------------------------------------------------------------------------------------------

TEXTS = {
    "X.txt": "1 1 2 3 4\n2 4 3 2\n3 1 1 4 2 3\n",
    "X_item2attributes.json": '{"1": [1, 2], "2": [2], "3": [], "4": [3, 1]}',
    "X_sample.txt": "".join(
        f"{user} " + " ".join(str(1 + (user + i) % 4) for i in range(99)) + "\n" for user in (1, 2, 3)
    ),
    "Y.inter": "user_id:token\titem_id:token\ttimestamp:float\n"
    + "".join(f"u{user}\t{item}\t{10 - item}\n" for user in range(3) for item in range(user, user + 4)),
    "Y.item": "item_id:token\tmovie_title:token_seq\tclass:token_seq\n"
    + "".join(f"{item}\tFilm {item}\tA B{item % 2}\n" for item in range(7)),
    "Z.csv": "user,item,time\n"
    + "".join(f'"u, {user}",i{item},2020-01-0{item + 1}\n' for user in range(3) for item in range(user, user + 4)),
    "Z_attributes.csv": "item,attribute\ni0,red\ni1,blue\ni1,red\n",
    "Z_titles.csv": 'item,title\ni0,"A, or B"\ni1,C\n',
}
WORDS = [
    "0", "-1", "1e3", "nan", "inf", "99999999", "400000000", "9" * 30, "9" * 5000, '"', "'", ",", "\t", "\n", "\r",
    "\0", "٣", "\ud800", "é", "\ufeff", "{", "[", "]", "}", "null", "true", "$\\frac{x$", "\x1b[31m", "../..", " ", "",
]  # fmt: skip


def rewritten(text: str, rng: random.Random) -> bytes:
    """A text with some words or lines changed, or its bytes damaged."""
    for _ in range(rng.choice([1, 1, 2, 4])):
        parts = re.split(r"(\W)", text) if rng.random() < 0.7 else text.splitlines(keepends=True)
        if parts:
            place, other = rng.randrange(len(parts)), rng.randrange(len(parts))
            parts[place] = rng.choice([rng.choice(WORDS), parts[other], parts[place] * 2, ""])
        text = "".join(parts)
    content = text.encode("utf-8", "surrogatepass")
    return damaged(content, rng) if content and rng.random() < 0.4 else content


def check_right(folder, data) -> None:
    """The sequences against a reading of the file by other means, where Python has some."""
    if data.name == "X":
        lines = [line.split() for line in (folder / "X.txt").read_text("utf-8-sig").splitlines()]
        assert [list(map(int, line[1:])) for line in lines] == [
            data.sequence(u).tolist() for u in range(data.num_users)
        ]
    if data.name == "Z":
        rows = csv.DictReader(io.StringIO((folder / "Z.csv").read_bytes().decode("utf-8-sig"), newline=""))
        wanted: dict[str, list[str]] = {}
        for row in rows:
            if any((value or "").strip() for value in row.values()):
                wanted.setdefault(row["user"].strip(), []).append(row["item"].strip())
        for user, token in enumerate(data.user_tokens):
            names = [data.item_tokens[item - 1] for item in data.sequence(user)]
            assert sorted(names) == sorted(wanted.pop(token))
        assert wanted == {}


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.timeout(0 if COUNT > 1000 else 300)
def test_a_changed_text_is_refused_or_read_right(tmp_path, shard):
    for seed in seeds(shard):
        rng = random.Random(seed)
        for name, text in TEXTS.items():
            (tmp_path / name).write_text(text)
        name = rng.choice(list(TEXTS))
        (tmp_path / name).write_bytes(rewritten(TEXTS[name], rng))
        source = {"X": "X.txt", "Y": "Y.inter", "Z": "Z.csv"}[name[0]]
        begin = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                data = load_dataset(tmp_path / source, k_core=(k := rng.choice([0, 2])))
            if k == 0:
                check_right(tmp_path, data)
        except DataError as error:
            assert len(str(error).splitlines()) == 1, f"seed {seed}: {error}"
        except BaseException as error:
            error.add_note(f"seed {seed}: {name}")
            raise
        assert time.perf_counter() - begin < LONGEST
