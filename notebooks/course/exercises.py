"""The check cell of an exercise: says what is right, or names the likely mistake."""

from collections.abc import Callable
from typing import Any


class _NotAttempted(Exception):
    """The answer is still the blank that the notebook ships with."""


def check(number: int, answer: Any, diagnose: Callable[[Any], str | None]) -> None:
    """Print one line about the answer to exercise ``number``.

    answer: a value or a function; a blank (None or ``...``, also as what the function returns) is not attempted.
    diagnose: takes the answer and returns None when it is right, else the sentence that names the likely mistake.
    An exception inside becomes part of the line, so that a check never stops a notebook.
    """
    try:
        message = diagnose(_guarded(answer))
    except _NotAttempted:
        print(f"Exercise {number}: not attempted yet.")
    except Exception as error:
        print(f"Exercise {number}: not yet. It raised {type(error).__name__}: {error}")
    else:
        print(f"Exercise {number}: right." if message is None else f"Exercise {number}: not yet. {message}")


def _guarded(answer: Any) -> Any:
    """The answer; functions report a blank return value as not attempted."""
    if answer is None or answer is ...:
        raise _NotAttempted
    if not callable(answer):
        return answer

    def attempt(*arguments: Any, **named: Any) -> Any:
        value = answer(*arguments, **named)
        if value is None or value is ...:
            raise _NotAttempted
        return value

    return attempt
