"""Runs that answer a question: reports of one model, comparisons of two, many trainings from one call, and speed.

``reports``: evaluate a model, with intervals over users. ``comparisons``, ``statistics``: is a difference larger than
chance? ``presets``: the settings of the paper, the authors' code and RecBole. ``recbole_names``: its names for what
stands here under others. ``reproduce``: the whole way, with and without pre-training. ``study``: many runs that differ
in one thing. ``tune``, ``search_space``: search settings on validation. ``trainer``: what study and search have in
common. ``benchmark``: speed and memory. ``scaling``: both against the size of the data.
"""
