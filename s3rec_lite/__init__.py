"""s3rec_lite: S³-Rec (CIKM 2020) rebuilt to be read, trained and questioned."""

from s3rec_lite import config, evaluation, interop, objectives, views
from s3rec_lite.checkpoints import load_model, save_model
from s3rec_lite.config import FinetuneConfig, ModelConfig, PretrainConfig
from s3rec_lite.datasets import SequenceData, load_dataset
from s3rec_lite.errors import CheckpointError, DataError, S3RecError, SettingError, TrainingError
from s3rec_lite.evaluation import evaluate
from s3rec_lite.model import S3Rec
from s3rec_lite.statistics import compare
from s3rec_lite.training import finetune, pretrain

__version__ = "0.1.0"
