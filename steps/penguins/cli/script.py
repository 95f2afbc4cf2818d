"""A step as a script: it reads its command line, runs, reports a failure in one line and returns an exit code."""

import argparse
import gc
import os
import shlex
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from penguins.cli.environment import secrets_in_environment
from penguins.cli.parameters import P, declared_parameters, parse_parameters
from penguins.cli.signals import (
    hold_signals,
    interrupted_exit_code,
    interruption,
    is_interrupted,
    listen_for_signals,
    stop_listening,
)
from penguins.errors import FAILED_WORK, WRONG_INPUT, InputError, WorkError
from penguins.project import PROJECT
from penguins.redaction import redact
from penguins.temporary import delete_temporary_folders
from penguins.text import LONGEST_REASON, NORMAL, OUTPUT, QUIET, VERBOSE, one_line, output, quote, suggestion

ERROR_PREFIX = "error: "
# An exception of one of these libraries is a failure of the store or the network: it is reported in one line.
STORE_LIBRARIES = ("alembic", "mlflow", "requests", "sqlalchemy", "urllib3")
# In bytes. MLflow passes the whole command of a step to `bash -c` as one argument, which may have 131,072 bytes on Linux. The
# rest is for the names of the parameters and for what activates an environment.
LONGEST_COMMAND = 120_000
# Options of every script, which no run logs.
CHECK = "--check"
FLAGS = {
    CHECK: "only check the parameters, and run nothing",
    "--quiet": "print errors, warnings that deserve doubt, and the run's id alone",
    "--verbose": "print all results, also where they are many",
}


def parse_argv(declared: type, argv: Sequence[str]) -> dict[str, str]:
    """Return the texts on the command line by name: `--name value` or `--name=value`; a value may begin with a dash.

    Raises InputError at an unknown parameter.
    """
    known = declared_parameters(declared)
    options = {f"--{name}" for name in known}
    joined: list[str] = []
    for token in argv:
        if joined and joined[-1] in options and token not in (*options, *FLAGS):
            joined[-1] += f"={token}"
        else:
            joined.append(token)

    parser = _Parser(prog=os.path.basename(sys.argv[0]), allow_abbrev=False, description=_first_line(declared.__doc__))
    for flag, text in FLAGS.items():
        parser.add_argument(flag, action="store_true", default=argparse.SUPPRESS, help=text)
    for parameter in known.values():
        default = "required" if parameter.is_required else f"default: {parameter.text or 'empty'}"
        text = f"{parameter.help} ({default})".replace("%", "%%")
        parser.add_argument(f"--{parameter.name}", metavar=parameter.name.upper(), default=argparse.SUPPRESS, help=text)
    found, unknown = parser.parse_known_args(joined)
    for token in unknown:
        name = token.lstrip("-").partition("=")[0]
        raise InputError(f"The {quote(name)} parameter is not known.{suggestion(name, known)}")
    return {name: text for name, text in vars(found).items() if f"--{name}" not in FLAGS}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"The command line could not be read: {message}.")


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().partition("\n")[0]


def read_command_line(declared: type[P], argv: Sequence[str]) -> P:
    """Return the parameters on the command line, and set how much this process and those that it starts print.

    Raises InputError where a parameter, or the environment variable that says how much is printed, is wrong.
    """
    asked = [value for value in (QUIET, VERBOSE) if f"--{value}" in argv]
    if len(asked) > 1:
        raise InputError("The options --quiet and --verbose exclude each other: give one of them.")
    if asked:
        os.environ[OUTPUT] = asked[0]
    if output() not in (QUIET, NORMAL, VERBOSE):
        raise InputError(
            f"The environment variable {OUTPUT} must be one of {QUIET}, {NORMAL}, {VERBOSE}. Got {quote(output())} instead."
        )
    return parse_parameters(declared, parse_argv(declared, argv))


def check_command_line(entry_point: str, declared: type[P]) -> P:
    """Parse the command line of a script before its heavy imports, so that a wrong parameter is reported at once.

    With the option `--check` this ends the process: with 0, or with 2 and the line of the refusal, and nothing is recorded.
    From here on a signal ends the process at once, or waits for the step's run if `mlflow run` has opened one.
    Garbage is not collected until `run_script`: imports make many objects and little garbage, and take a sixth less time.
    """
    gc.disable()
    listen_for_signals()
    only_check = CHECK in sys.argv[1:]
    try:
        parameters = read_command_line(declared, sys.argv[1:])
    except InputError as error:
        sys.exit(_refuse(entry_point, error, has_run=not only_check))
    if only_check:
        sys.exit()
    return parameters


def require_short(step: str, texts: Mapping[str, str]) -> None:
    """Raise InputError that names the longest of the parameters of `step` where they are too long for its command line."""
    lengths = {name: len(os.fsencode(shlex.quote(text))) for name, text in texts.items()}
    if sum(lengths.values()) > LONGEST_COMMAND:
        longest = max(lengths, key=lambda name: lengths[name])
        raise InputError(
            f"The {quote(longest)} parameter must be short enough for a command line: quoted for the shell, the parameters of "
            f"a step may have {LONGEST_COMMAND} bytes together. Got {sum(lengths.values())} for {step}, of which "
            f"{quote(longest)} has {lengths[longest]}: give fewer or shorter values."
        )


def step_refusal(step: str, texts: dict[str, str]) -> str:
    """Return the message with which the script of `step` would refuse these parameters, or an empty text.

    Raises InputError where they are too long for the command line of a step.
    """
    require_short(step, texts)
    for name, text in texts.items():
        if "\0" in text:  # no command line takes it
            return f"The {quote(name)} parameter must be text without a null character. Got {quote(text)} instead."
    script = str(PROJECT / "steps" / f"{step}.py")
    try:
        with secrets_in_environment({step: texts}) as hidden:  # everybody sees command lines
            options = [f"--{name}={text}" for name, text in hidden[step].items()]
            done = subprocess.run([sys.executable, script, CHECK, *options], capture_output=True, text=True, check=False)
    except OSError as error:  # more than the system takes
        return f"The parameters cannot be passed on a command line: {one_line(error)}."
    return "" if done.returncode == 0 else done.stderr.strip().removeprefix(ERROR_PREFIX)


def _refuse(entry_point: str, error: InputError, has_run: bool = True) -> int:
    """Print the error, record it on the run that `mlflow run` has opened, if any, and return the exit code."""
    _print_error(error)
    if has_run and os.environ.get("MLFLOW_RUN_ID"):
        from penguins.tracking.run import record_failure

        record_failure(os.environ["MLFLOW_RUN_ID"], entry_point, one_line(error))
    return WRONG_INPUT


def run_entry_point(entry_point: str, step: Callable[[P], None], declared: type[P], argv: Sequence[str] | None = None) -> int:
    """Run `step` with the parameters in `argv` and return the exit code; a known failure is printed as one line."""
    try:
        parameters = read_command_line(declared, sys.argv[1:] if argv is None else argv)
    except InputError as error:
        return _refuse(entry_point, error)
    try:
        with delete_temporary_folders(), hold_signals():
            step(parameters)
    except KeyboardInterrupt as error:
        return _print_interruption(error)
    except Exception as error:
        if is_interrupted():
            return _print_interruption(interruption())
        if isinstance(error, InputError | WorkError):
            _print_error(error)
            return WRONG_INPUT if isinstance(error, InputError) else FAILED_WORK
        if not _is_store_error(error):
            raise
        why = f"{type(error).__name__}: {one_line(error)[:LONGEST_REASON]}"
        _print_error(f"The tracking store failed or refused a request: {why}")
        return FAILED_WORK
    return 0


def run_script(entry_point: str, step: Callable[[P], None], declared: type[P]) -> None:
    """Run `step` on the command line and end this process with its exit code if that is not 0.

    On success it returns rather than exits: Databricks takes any exit for a failure.
    """
    gc.freeze()  # what was imported stays
    gc.enable()
    try:
        code = run_entry_point(entry_point, step, declared)
    except Exception:  # noqa: BLE001  # of a fault, whose message may quote a URL
        sys.stderr.write(redact(traceback.format_exc()))
        code = FAILED_WORK
    finally:
        stop_listening()
    if code:
        sys.exit(code)


def _print_interruption(error: KeyboardInterrupt) -> int:
    print(one_line(error) or "interrupted", file=sys.stderr, flush=True)
    return interrupted_exit_code()


def _is_store_error(error: Exception) -> bool:
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in STORE_LIBRARIES


def _print_error(error: object) -> None:
    print(f"{ERROR_PREFIX}{one_line(error)}", file=sys.stderr, flush=True)
