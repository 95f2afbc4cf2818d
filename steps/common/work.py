"""What makes two runs the same work: their data, the parameters that change results, and the code, each by its content."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import options

KEY, DATA, CODE, STEP = "work", "work.data", "work.code", "work.step"
WANTED = "work.wanted"
# Where the work is done, not what it is; of `data` the content counts, not where it lies.
FILE = "config"
INDIFFERENT = ("data", "env_manager", "log_from", "resume", "spark")
BLOCK = 1 << 20
# Kept in a plain dictionary, since what functools wraps cannot travel to a worker of Spark.
_digests: dict[tuple[str, int, int], str] = {}
LENGTH = 32


@dataclass(frozen=True)
class Work:
    """What one step is to do; `data` and `code` are digests."""

    step: str
    parameters: dict[str, str]
    data: str
    code: str

    @property
    def key(self) -> str:
        """A digest of it all."""
        return _digest([json.dumps([self.step, self.parameters, self.data, self.code], sort_keys=True).encode()])

    def tags(self) -> dict[str, str]:
        """What the run that does the work says of it."""
        return {KEY: self.key, DATA: self.data, CODE: self.code, STEP: self.step}

    def differences(self, tags: dict[str, str], parameters: dict[str, str]) -> list[str]:
        """In what the work differs from that of a run with these tags and parameters, in words."""
        found = [
            f"{name} ({parameters.get(name, 'none')} before, {value} now)"
            for name, value in self.parameters.items()
            if parameters.get(name) != value
        ]
        found += ["the data"] if tags.get(DATA) != self.data else []
        return found + (["the code"] if tags.get(CODE) != self.code else [])


def of(step: str, parameters: Any, data: str) -> Work:
    """The work of a step with these parameters, on data with the digest `data`."""
    return of_texts(step, options.as_texts(parameters), data)


def of_texts(step: str, texts: Mapping[str, str], data: str) -> Work:
    """The work of a step with parameters by these texts; of a file among them the content counts."""
    counting = {name: text for name, text in texts.items() if name not in INDIFFERENT}
    if counting.get(FILE):
        with suppress(OSError, RuntimeError, ValueError):
            path = Path(counting[FILE]).expanduser()
            if path.is_file():  # a pipe may never end
                counting[FILE] = digest(path)
    return Work(step, counting, data, code())


def code() -> str:
    """A digest of this project's code and of the versions that it asks for."""
    pins = [options.PROJECT / f"requirements.{kind}" for kind in ("txt", "lock")]
    files = [*sorted(options.PROJECT.glob("steps/**/*.py")), *pins]
    return _digest(part for file in files for part in (file.name.encode(), file.read_bytes()))


def digest(path: Path) -> str:
    """A digest of the content of a file, or of all files in a folder. Raises OSError where it cannot be read."""
    if path.is_dir():
        return _digest(digest(file).encode() for file in sorted(path.rglob("*")) if file.is_file())
    status = path.stat()
    key = (str(path), status.st_size, status.st_mtime_ns)
    if key not in _digests:
        _digests[key] = _digest(_blocks(path))
    return _digests[key]


def _blocks(path: Path) -> Iterable[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


def _digest(parts: Iterable[bytes]) -> str:
    hashed = hashlib.blake2b(digest_size=LENGTH // 2)
    for part in parts:
        hashed.update(part)
    return hashed.hexdigest()
