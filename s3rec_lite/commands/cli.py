"""The command ``s3rec-lite``: its sub-commands, and every user's error as one line and exit code 2."""

import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from s3rec_lite import __version__
from s3rec_lite.commands.experiments import reproduce, study, tune
from s3rec_lite.commands.lab import lab
from s3rec_lite.commands.machine import bench, check, fetch
from s3rec_lite.commands.start import INTERRUPTED, STOPPED
from s3rec_lite.commands.train import finetune, pretrain
from s3rec_lite.commands.use import evaluate, recommend
from s3rec_lite.experiments.recbole_names import answer
from s3rec_lite.support.errors import S3RecError
from s3rec_lite.support.text import without_passwords

_PROGRAM = "s3rec-lite"
_USER_ERROR, _BUG = 2, 1
_EXTRAS = {"optuna": "tune", "psutil": "bench"}
"""Packages that only some commands need, and the extra that installs them."""


def _say(message: str) -> None:
    """One line on stderr, whatever line breaks the message has, and no password in it."""
    click.echo(f"{_PROGRAM}: {without_passwords(' '.join(message.split()))}", err=True)


@contextmanager
def _one_line_warnings() -> Iterator[None]:
    """Show each warning as one line without the place in the code."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Detected pickle protocol")  # an error about the file follows anyway
        warnings.filterwarnings("ignore", "flock not supported", module="filelock")  # another kind of lock is taken
        warnings.showwarning = lambda message, *_, **__: _say(f"warning: {message}")
        yield


def _describe(error: Exception) -> tuple[int, str]:
    """Exit code and message: 2 for what the user can fix, 1 for a bug of ours."""
    if isinstance(error, click.NoSuchOption) and (instead := answer(error.option_name)):
        return _USER_ERROR, f"no option {error.option_name} here: {instead}"
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        hint = f" See: {context.command_path} --help" if context else ""
        return _USER_ERROR, error.format_message() + hint
    if isinstance(error, S3RecError):
        return _USER_ERROR, str(error)
    if isinstance(error, OSError):
        reason = error.strerror or str(error) or type(error).__name__
        return _USER_ERROR, f"{error.filename}: {reason}" if error.filename else reason
    package = (getattr(error, "name", None) or "").split(".")[0]
    if isinstance(error, ModuleNotFoundError) and package in _EXTRAS:
        return _USER_ERROR, f'{package} is not installed; run: pip install "s3rec-lite[{_EXTRAS[package]}]"'
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in text.lower()):
        return _USER_ERROR, "out of memory; choose a smaller --batch-size or smaller data"
    return _BUG, f"unexpected error ({text}); run it again with --debug and report what it prints"


class _OneLineGroup(click.Group):
    """A group whose errors are one line on stderr; ``--debug`` anywhere shows the traceback as well."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *_: Any, **extra: Any) -> Any:
        """Run a command line and end the process with its exit code."""
        args = list(sys.argv[1:] if args is None else args)
        try:
            with _one_line_warnings():
                super().main(args, prog_name or _PROGRAM, **{**extra, "standalone_mode": False})
            code = 0
        except (click.Abort, KeyboardInterrupt):
            _say(STOPPED)
            code = INTERRUPTED
        except Exception as error:
            if "--debug" in args:
                click.echo(without_passwords(traceback.format_exc()), err=True, nl=False)
            code, message = _describe(error)
            _say(message)
        sys.exit(code)

    def invoke(self, context: click.Context) -> Any:
        """As in click, but Ctrl-C is told apart before click prints an empty line for it."""
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            raise click.Abort from None


def _normalize(token: str) -> str:
    """RecBole's spellings: ``--hidden_size``, ``--MAX_ITEM_LIST_LENGTH`` and ``--loss_type CE`` work too."""
    return token.lower().replace("_", "-")


_debug_option = click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")


@click.group(
    _PROGRAM,
    cls=_OneLineGroup,
    invoke_without_command=True,
    context_settings={
        "token_normalize_func": _normalize,
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "show_default": True,
    },
)
@click.version_option(__version__, prog_name=_PROGRAM)
@_debug_option
@click.pass_context
def main(context: click.Context) -> None:
    """S³-Rec, rebuilt to be read: pre-train, fine-tune and evaluate a sequential recommender.

    \b
    First steps:
      s3rec-lite reproduce                  the whole way on ml-100k
      s3rec-lite pretrain --data lastfm     or step by step
      s3rec-lite finetune --data lastfm
      s3rec-lite evaluate --data lastfm
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for _command in (fetch, pretrain, finetune, evaluate, reproduce, recommend, tune, study, lab, bench, check):
    main.add_command(_debug_option(_command))
