"""The two kinds of failure that a step reports in one line, and their exit codes."""

WRONG_INPUT, FAILED_WORK = 2, 1


class InputError(ValueError):
    """The user's input is wrong, a parameter or the data. The message is one line that names the remedy; exit code 2."""


class WorkError(RuntimeError):
    """The work failed for a known reason. The message is one line; exit code 1."""
