"""Where sequences come from.

`loading` reads data by name, from a file or from a DataFrame. `sources` names the known data sets and their files, and
`download` gets these. `authors`, `recbole` and `interactions` read one format each, the last two through `tables`,
whose rows know their line, and `sequences`, which filters, sorts and numbers them; `textfiles` opens files and words
their errors. `toy` and `planted` are made up. `selection` takes parts of data, `summary` describes it in numbers.
"""

from s3rec_lite.data import SequenceData, fingerprint, pad_left
from s3rec_lite.datasets.authors import read_authors
from s3rec_lite.datasets.interactions import read_interactions
from s3rec_lite.datasets.loading import load_dataset
from s3rec_lite.datasets.planted import PlantedTruth, planted, planted_truth
from s3rec_lite.datasets.recbole import read_recbole
from s3rec_lite.datasets.selection import k_core, take_users
from s3rec_lite.datasets.sources import NAMES, cache_root, fetch, fetch_checkpoint
from s3rec_lite.datasets.summary import statistics, target_in_history
from s3rec_lite.datasets.toy import toy

__all__ = [
    "NAMES",
    "PlantedTruth",
    "SequenceData",
    "cache_root",
    "fetch",
    "fetch_checkpoint",
    "fingerprint",
    "k_core",
    "load_dataset",
    "pad_left",
    "planted",
    "planted_truth",
    "read_authors",
    "read_interactions",
    "read_recbole",
    "statistics",
    "take_users",
    "target_in_history",
    "toy",
]
