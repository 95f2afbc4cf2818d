"""How a JVM has ended, by the exit code of its process."""

import signal

import pytest

from penguins.spark.jvm import LESS_MEMORY, OUT_OF_MEMORY, _describe_exit


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (-9, f"Spark's JVM was ended by SIGKILL (exit code -9), most often for lack of memory: {LESS_MEMORY}."),
        (137, f"Spark's JVM was ended by SIGKILL (exit code 137), most often for lack of memory: {LESS_MEMORY}."),
        (-6, "Spark's JVM was ended by SIGABRT (exit code -6)."),
        (143, "Spark's JVM was ended by SIGTERM (exit code 143)."),
        (1, "Spark's JVM ended with the exit code 1."),
        (0, "Spark's JVM ended with the exit code 0."),
        (255, "Spark's JVM ended with the exit code 255."),
        (3, OUT_OF_MEMORY),
        (None, "Spark's JVM does not answer any more, although its process runs."),
    ],
)
def test_the_end_of_a_jvm_is_told_by_its_signal_or_its_exit_code(code: int | None, expected: str) -> None:
    assert _describe_exit(code) == expected


def test_the_end_of_a_jvm_is_told_where_the_system_has_no_sigkill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(signal, "SIGKILL")
    assert _describe_exit(143) == "Spark's JVM was ended by SIGTERM (exit code 143)."
