"""The sub-commands of s3rec-lite, by what a user does.

`train` (pretrain, finetune), `use` (evaluate, recommend), `experiments` (reproduce, tune, study), `machine` (fetch,
check, bench) and `lab`; `options` has what several of them take and print, `checkpoints` opens models for them, and
`cli` puts them together and turns every error into one line; `start` is where a process begins. Heavy modules are
imported inside the commands, so that ``--help`` answers at once.
"""
