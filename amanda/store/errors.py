"""Errors that a person can act on.

Every message is one sentence that names the file, the row and the value, and says what mends it.
The command line prints it without a traceback and exits with `exit_code`.
"""


class AmandaError(Exception):
    """Something failed while running (exit code 1)."""

    exit_code = 1


class InputError(AmandaError):
    """The usage or the input is wrong and the user can mend it (exit code 2)."""

    exit_code = 2


class TooManyFailedError(AmandaError):
    """The work is done, but more clips failed than the caller allowed (exit code 3)."""

    exit_code = 3


def nearest(name: str, known: list[str]) -> str:
    """The end of a sentence that names the closest known name, or all of them.

    >>> nearest("amnda", ["amanda", "dann"])
    "did you mean 'amanda'?"
    """
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
