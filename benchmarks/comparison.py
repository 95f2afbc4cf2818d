"""The common part of the benchmarks: two sides measured in turn, in one run, and their figures as text or JSON."""

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT / "steps"))


@dataclass
class Comparison:
    """The seconds of both sides of one case, round by round, and remarks by name, mostly numbers."""

    case: str
    plain_s: list[float] = field(default_factory=list)
    ours_s: list[float] = field(default_factory=list)
    remarks: dict[str, Any] = field(default_factory=dict)

    def figures(self) -> dict[str, Any]:
        """Return minimum, median and maximum of both sides and of plain over ours, a ratio for each round."""
        ratios = [plain / ours for plain, ours in zip(self.plain_s, self.ours_s, strict=True)]
        sides = {"plain_s": self.plain_s, "ours_s": self.ours_s, "ratio": ratios}
        return {"case": self.case, **{name: _spread(values) for name, values in sides.items() if values}, **self.remarks}


def _spread(values: list[float]) -> dict[str, float]:
    return {"minimum": min(values), "median": statistics.median(values), "maximum": max(values)}


def compare(case: str, plain: Callable[[], float], ours: Callable[[], float], rounds: int) -> Comparison:
    """Measure both sides, which return their seconds, `rounds` times in turn. The first round is cold."""
    comparison = Comparison(case)
    for _ in range(rounds):
        comparison.plain_s.append(plain())
        comparison.ours_s.append(ours())
    return comparison


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak_mib() -> float:
    """Return the most memory that this process has had, in MiB; getrusage would begin with its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024


def options(description: str | None, rounds: int, **more: int | str) -> argparse.Namespace:
    """Read the command line: --rounds, --json, and an option for each of `more`, of the type of its default."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--rounds", type=int, default=rounds, help=f"how often each side is measured (default: {rounds})")
    for name, default in more.items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"(default: {default})")
    return parser.parse_args()


def machine() -> str:
    """Describe this machine in a few words."""
    model = platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{os.cpu_count()} cores of {model}, {platform.system()}, Python {platform.python_version()}"


def report(benchmark: str, comparisons: list[Comparison], as_json: bool) -> None:
    """Print the figures; as JSON, those of the first case stand at the top, too."""
    cases = [comparison.figures() for comparison in comparisons]
    if as_json:
        print(json.dumps({"benchmark": benchmark, "machine": machine(), **cases[0], "cases": cases}, indent=2))
        return
    print(f"{benchmark} on {machine()}")
    for case in cases:
        print(f"\n{case.pop('case')}")
        for name, values in case.items():
            if isinstance(values, dict):
                print(f"  {name:8} " + "  ".join(f"{key} {value:10.4g}" for key, value in values.items()))
            else:
                print(f"  {name}: {values:.4g}" if isinstance(values, float) else f"  {name}: {values}")


def progress(text: str) -> None:
    """Print on standard error what is being measured."""
    print(text, file=sys.stderr, flush=True)


def environment(**more: str) -> dict[str, str]:
    """Return an environment for processes: this Python first on the path, no run or store, and `more`."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "PENGUINS_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", "")])
    return {**inherited, "PATH": path, "DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true", **more}


@contextmanager
def running_process(command: list[str], folder: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` in `folder` during the block, with more `variables`; its output goes to a file there."""
    with open(folder / "output.txt", "wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(**variables), stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield process
        finally:
            os.killpg(process.pid, 15)
            process.wait()


def free_port() -> int:
    """Return a port of loopback on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run a tracking server on loopback during the block, with an SQLite store and artifacts of its own; yield its URL."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "2"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", f"{folder}/artifacts"]
    with running_process(command, folder):
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=1)  # noqa: S310  # the server that was started above
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        yield url
