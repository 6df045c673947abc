"""Training runs on disk: training with files and a bar, checkpoints, records, and other people's checkpoints.

``sessions``: `pretrain` and `finetune` for users. ``checkpoints``: models in files, runs that can be taken up.
``states``: what they hold, checked before use. ``processes``: workers that share a run. ``folders``: which folder a run
goes to. ``locks``: one process each.
``records``: one JSON file for every run that the kit reports. ``interop``: the authors' and RecBole's weights.
``pickles``: files with Python objects in them, read without running anything.
"""
