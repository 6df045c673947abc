"""Runs that answer a question: presets, reproduce, study, tune, statistics, benchmark."""
