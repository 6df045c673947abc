"""Training runs on disk: checkpoints, resume, records, other people's checkpoints."""
