"""The errors a user can meet, each with one line that names the place and the fix."""


class S3RecError(ValueError):
    """Base of every error that is the input's fault; the command prints it as one line and exits 2."""


class DataError(S3RecError):
    """A data file is malformed, missing or does not fit the others."""


class SettingError(S3RecError):
    """A setting is out of range or does not fit another setting."""


class CheckpointError(S3RecError):
    """A checkpoint file is truncated, of other sizes, or not a checkpoint."""


class TrainingError(S3RecError):
    """Training cannot go on: a loss became NaN or infinite."""
