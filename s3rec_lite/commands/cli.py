"""The command ``s3rec-lite``: its sub-commands, and every user's error as one line and exit code 2."""

import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any

import click

from s3rec_lite import __version__
from s3rec_lite.commands.inspect import bench, check, fetch
from s3rec_lite.commands.lab import lab
from s3rec_lite.commands.search import reproduce, tune
from s3rec_lite.commands.study import study
from s3rec_lite.commands.train import finetune, pretrain
from s3rec_lite.commands.use import evaluate, recommend
from s3rec_lite.support.errors import S3RecError

PROGRAM = "s3rec-lite"
USER_ERROR, BUG, INTERRUPTED = 2, 1, 130


def say(message: str) -> None:
    """One line on stderr, whatever line breaks the message has."""
    click.echo(f"{PROGRAM}: {' '.join(message.split())}", err=True)


@contextmanager
def one_line_warnings():
    """Show each warning as one line without the place in the code."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Detected pickle protocol")  # an error about the file follows anyway
        warnings.showwarning = lambda message, *_, **__: say(f"warning: {message}")
        yield


def describe_os_error(error: OSError) -> str:
    """``data/x: no space left on device``."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason


def describe_usage_error(error: click.ClickException) -> str:
    """Click's message and where the help is."""
    message = error.format_message()
    context = getattr(error, "ctx", None)
    return f"{message} See: {context.command_path} --help" if context else message


def explain_error(error: Exception) -> tuple[int, str]:
    """Exit code and message: 2 for what the user can mend, 1 for a bug of ours."""
    if isinstance(error, click.ClickException):
        return USER_ERROR, describe_usage_error(error)
    if isinstance(error, S3RecError):
        return USER_ERROR, str(error)
    if isinstance(error, OSError):
        return USER_ERROR, describe_os_error(error)
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in text.lower()):
        return USER_ERROR, "out of memory; choose a smaller --batch-size or smaller data"
    return BUG, f"unexpected error ({text}); run it again with --debug and report what it prints"


class OneLineGroup(click.Group):
    """A group whose errors are one line on stderr; ``--debug`` anywhere shows the traceback as well."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        *_: Any,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line; ends the process unless ``standalone_mode`` is False, as in click."""
        args = list(sys.argv[1:] if args is None else args)
        if not standalone_mode:
            return super().main(args, prog_name or PROGRAM, standalone_mode=False, **extra)
        try:
            with one_line_warnings():
                super().main(args, prog_name or PROGRAM, standalone_mode=False, **extra)
            code = 0
        except BrokenPipeError:  # the reader of a pipe, such as `head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = BUG
        except (click.Abort, KeyboardInterrupt):
            say("stopped; the same command again goes on where it stopped")
            code = INTERRUPTED
        except Exception as error:
            if "--debug" in args:
                traceback.print_exc()
            code, message = explain_error(error)
            say(message)
        sys.exit(code)

    def invoke(self, context: click.Context) -> Any:
        """As in click, but Ctrl-C is told apart before click prints an empty line for it."""
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            raise click.Abort from None


def normalize(token: str) -> str:
    """RecBole's spellings: ``--hidden_size``, ``--MAX_ITEM_LIST_LENGTH`` and ``--loss_type CE`` work too."""
    return token.lower().replace("_", "-")


@click.group(
    PROGRAM,
    cls=OneLineGroup,
    invoke_without_command=True,
    context_settings={
        "token_normalize_func": normalize,
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
)
@click.version_option(__version__, prog_name=PROGRAM)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def main(context: click.Context, debug: bool) -> None:
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


for command in (fetch, pretrain, finetune, evaluate, reproduce, recommend, tune, study, lab, bench, check):
    main.add_command(command)
