"""What the notebooks share: the list of chapters, published numbers, figures with alt text, and exercise checks."""

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
