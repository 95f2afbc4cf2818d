"""A pool of processes: order, the death of a process, errors, and that none is left."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest
from dying_functions import square, square_or_die, square_or_die_once, square_or_raise

from penguins.errors import WorkError
from penguins.sweep.processes import LESS_MEMORY, results_of_processes


def inputs(n: int) -> list[Callable[[], int]]:
    return [partial(int, number) for number in range(n)]


def n_workers() -> int:
    """Return how many processes of a pool this one has."""
    children = [child for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]
    return sum("loky.backend.popen" in " ".join(child.cmdline()) for child in children)


def test_results_come_in_the_order_of_the_inputs_and_a_closed_generator_leaves_no_process() -> None:
    results = results_of_processes(square, inputs(20), 2)
    assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
    assert n_workers() == 2
    results.close()
    assert n_workers() == 0


def test_what_a_process_had_at_work_when_it_died_is_computed_once_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = list(results_of_processes(partial(square_or_die_once, mark=tmp_path / "died"), inputs(12), 2))
    assert sorted(results) == [number * number for number in range(12)]
    printed = capsys.readouterr().out
    assert printed.startswith("The groups at work are computed once more: a process was ended by SIGKILL(-9), most often")
    assert printed.count("\n") == 1
    assert n_workers() == 0


def test_a_process_that_dies_again_fails_the_work_with_the_remedy_once_the_results_at_hand_are_yielded() -> None:
    found: list[int] = []
    with pytest.raises(WorkError) as failed:
        found.extend(results_of_processes(square_or_die, inputs(12), 2))
    assert found[:1] == [0]
    assert 9 not in found
    assert "could not be computed: a process was ended by SIGKILL(-9)" in str(failed.value)
    assert str(failed.value).endswith(LESS_MEMORY)
    assert n_workers() == 0


def test_an_error_of_the_function_is_raised_here() -> None:
    for _ in range(3):  # with inputs on their way, the thread of the pool would print an error at times
        with pytest.raises(ValueError, match="no 3"):
            list(results_of_processes(square_or_raise, inputs(12), 2))
    assert n_workers() == 0
