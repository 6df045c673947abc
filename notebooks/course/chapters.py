"""The chapters of the course, in order: the one list that tests, README and the tour read."""

from pathlib import Path
from typing import NamedTuple


class Chapter(NamedTuple):
    """One notebook of the course."""

    number: int
    file: str
    """name in the folder notebooks/"""
    title: str
    minutes: int
    """a student's reading time"""
    exercise_minutes: int
    """the exercises' minutes, as their headings state them, together"""
    line: str
    """what it is about"""
    code: tuple[str, ...]
    """the modules and rooms of the package that it explains"""

    @property
    def label(self) -> str:
        """Number and title, as "04 · Associated attributes"."""
        return f"{self.number:02d} · {self.title}"


CHAPTERS = (
    Chapter(
        0, "00_tour.ipynb", "Tour", 15, 20,
        "From data to recommendations with titles, before and after pre-training",
        ("plain",),
    ),
    Chapter(
        1, "01_mutual_information.ipynb", "Mutual information", 75, 45,
        "Entropy, exact values, six bounds on known truths, the log K cap, and what a bounded critic can certify",
        ("information",),
    ),
    Chapter(
        2, "02_data_and_views.ipynb", "Data and views", 50, 35,
        "From interactions to prefixes, masks, segments and negatives; what each sampling rule leaks",
        ("data", "negatives", "views"),
    ),
    Chapter(
        3, "03_encoder.ipynb", "The encoder", 75, 45,
        "Embeddings, positions, attention, masks and post-norm by hand, and against PyTorch's own layer",
        ("encoder", "model"),
    ),
    Chapter(
        4, "04_associated_attributes.ipynb", "AAP: associated attributes", 45, 55,
        "An item and its attributes",
        ("objectives",),
    ),
    Chapter(
        5, "05_masked_items.ipynb", "MIP: masked items", 45, 60,
        "A sequence and the item that is hidden in it",
        ("objectives", "negatives"),
    ),
    Chapter(
        6, "06_masked_attributes.ipynb", "MAP: masked attributes", 45, 65,
        "A sequence and a hidden item's attributes",
        ("objectives",),
    ),
    Chapter(
        7, "07_segments.ipynb", "SP: segments", 45, 60,
        "A sequence and the segment that is cut out of it",
        ("objectives", "views"),
    ),
    Chapter(
        8, "08_pretraining.ipynb", "Pre-training", 50, 50,
        "The joint loss: whose share is large, whose gradients agree, and what one position vector learns",
        ("pretraining", "training"),
    ),
    Chapter(
        9, "09_finetuning_and_evaluation.ipynb", "Fine-tuning and evaluation", 70, 75,
        "Three losses, HR and NDCG by hand, full against sampled ranking, ties, intervals and seeds",
        ("finetuning", "evaluation", "metrics"),
    ),
    Chapter(
        10, "10_what_it_adds_up_to.ipynb", "What it adds up to", 60, 45,
        "The kit's runs beside the printed rows, ablations, what the critics show, and later critiques",
        ("experiments",),
    ),
)  # fmt: skip


def navigation(number: int) -> str:
    """The line of links at the top and at the end of a chapter (Markdown)."""
    before = CHAPTERS[number - 1] if number else None
    after = CHAPTERS[number + 1] if number + 1 < len(CHAPTERS) else None
    parts = [f"[← {before.label}]({before.file})"] if before else []
    parts += ["[all chapters](../README.md#course)"]
    parts += [f"[{after.label} →]({after.file})"] if after else []
    return " | ".join(parts)


def chapter_table(folder: str = "", run_seconds: dict[str, float] | None = None) -> str:
    """The course as a Markdown table; with ``folder``, put before file names, it links to the code as well.

    run_seconds: file name to seconds that running all its cells takes (`make times` measures it), for one more column.
    """
    head = ["chapter", "to read, min", "exercises, min", "what it is about"]
    head += (["code"] if folder else []) + (["runs in"] if run_seconds else [])
    rows = [head, ["---"] * len(head)]
    for chapter in CHAPTERS:
        row = [
            f"[{chapter.label}]({folder}{chapter.file})",
            str(chapter.minutes),
            str(chapter.exercise_minutes),
            chapter.line,
        ]
        row += [", ".join(map(_link, chapter.code))] if folder else []
        rows.append(row + ([f"{run_seconds[chapter.file]:.0f} s"] if run_seconds else []))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _link(name: str) -> str:
    """A link to a module or a room of the package, from the checkout's folder."""
    is_room = (Path(__file__).resolve().parents[2] / "s3rec_lite" / name).is_dir()
    return f"[{name}](s3rec_lite/{name}{'' if is_room else '.py'})"
