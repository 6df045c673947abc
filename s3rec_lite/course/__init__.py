"""What only the chapters use.

`chapters` lists them, `exercises` checks an answer, `numbers` gives what others published and what the kit recorded.
For the chapters on the objectives: `alone` trains one by itself, `gradients` compares those of all four, `neighbours`
looks at what embeddings have learned; `attribute_bounds` and `joint` draw.
"""

from s3rec_lite.course.chapters import CHAPTERS, Chapter, chapter_table, navigation
from s3rec_lite.course.exercises import check
from s3rec_lite.course.numbers import project_root, published, records
from s3rec_lite.figures.saving import show

__all__ = [
    "CHAPTERS",
    "Chapter",
    "chapter_table",
    "check",
    "navigation",
    "project_root",
    "published",
    "records",
    "show",
]
