"""The fingerprint of a step: its data, the parameters that change results, and its code, each by content.

Two runs with the same fingerprint give the same results, so that one can continue the other.
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penguins.cli.parameters import AUTO, BUNDLED, to_texts
from penguins.project import PROJECT
from penguins.redaction import redact
from penguins.text import one_line, print_lines

# Tags of a run.
FINGERPRINT, STEP = "penguins.fingerprint", "penguins.step"
# Parameters that change no result. The content of `data` counts, not its path.
IRRELEVANT = ("data", "env_manager", "log_from", "resume", "spark")
CONFIG = "config"
# Where one of these is `auto`, the penguins have other columns than a table with the same content under another name; so may
# those of a step of `main`, which has a configuration.
COLUMN_PARAMETERS = ("target", "features", "group_by")
# Modules that only draw what the results hold. A change in them is no reason to compute the results again.
DRAWING = "penguins/plots/"
PINS = ("requirements.txt", "requirements.lock")
# Processors have instructions for it, so that it is the fastest of the safe ones on large files.
HASH, DIGEST_BYTES = "sha256", 16
# Reading so much takes a second or more.
LARGE_BYTES = 1 << 30
# A plain dictionary: functions wrapped by functools cannot be shipped to a Spark worker.
_digests: dict[tuple[str, int, int], str] = {}
# The imports of a file by the digest of its content, because parsing all files takes 0.1 s.
_imports: dict[str, list[str]] = {}


@dataclass(frozen=True)
class Fingerprint:
    """All that decides the results of a step; `data` and `code` are digests."""

    step: str
    parameters: dict[str, str]
    data: str
    code: str

    @property
    def key(self) -> str:
        """The whole fingerprint as three digests: of the step with its parameters, of the data, and of the code."""
        parameters = json.dumps([self.step, self.parameters], sort_keys=True)
        return " ".join([_digest([parameters.encode()]), _digest([self.data.encode()]), self.code])

    def tags(self) -> dict[str, str]:
        """Return the tags of a run that has this fingerprint."""
        return {FINGERPRINT: self.key, STEP: self.step}

    def differences(self, tags: Mapping[str, str], parameters: Mapping[str, str]) -> list[str]:
        """Describe how this fingerprint differs from that of a run with these tags and parameters."""
        found = [
            f"{name} ({redact(parameters.get(name, 'none'))} before, {value} now)"
            for name, value in self.parameters.items()
            if name not in (AUTO, CONFIG) and redact(parameters.get(name, "none")) != value
        ]
        before = _relevant(parameters)
        found += ["the configuration file"] if before.get(CONFIG) != self.parameters.get(CONFIG) else []
        (_, data, code), (_, data_now, code_now) = _digests_of(tags.get(FINGERPRINT, "")), _digests_of(self.key)
        found += ["the data"] if data != data_now else []
        found += ["the code"] if code != code_now else []
        if not found and before.get(AUTO) != self.parameters.get(AUTO):
            return ["the columns that auto stands for"]
        if not found and tags.get(FINGERPRINT) != self.key and self.parameters.get(CONFIG):
            return ["the content of the configuration file"]  # under the same path, where only the fingerprint shows it
        return found


def _digests_of(key: str) -> tuple[str, str, str]:
    """Return the digests of the parameters, the data and the code in the key of a fingerprint, empty where it has none."""
    parameters, _, rest = key.partition(" ")
    data, _, code = rest.partition(" ")
    return parameters, data, code


def has_code(tags: Mapping[str, str], step: str) -> bool:
    """Tell whether a run with these tags has run `step` with the code that it has now."""
    return tags.get(STEP) == step and _digests_of(tags.get(FINGERPRINT, ""))[2] == code_digest(step)


def step_fingerprint(step: str, parameters: Any, data: str) -> Fingerprint:
    """Return the fingerprint of a step with these parameters, on data with the digest `data`."""
    return fingerprint_from_texts(step, to_texts(parameters), data)


def fingerprint_from_texts(step: str, texts: Mapping[str, str], data: str) -> Fingerprint:
    """Return the fingerprint of a step with parameters given as texts; of the file `config` the content counts."""
    return Fingerprint(step, _relevant(texts), data, code_digest(step))


def _relevant(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters that change results, without secrets and with the content of the file `config` for its path."""
    relevant = {name: redact(text) for name, text in texts.items() if name not in IRRELEVANT}
    has_auto = CONFIG in texts or AUTO in [texts.get(name) for name in COLUMN_PARAMETERS]
    if texts.get("data") == BUNDLED and has_auto:
        relevant[AUTO] = BUNDLED
    if relevant.get(CONFIG):
        with suppress(OSError, RuntimeError, ValueError):
            path = Path(relevant[CONFIG]).expanduser()
            if path.is_file():  # a pipe may never end
                relevant[CONFIG] = content_digest(path)
    return relevant


def code_digest(step: str) -> str:
    """Return a digest of the pins, the step's script and the modules of the package that it imports, by relative path.

    Modules that only draw pictures do not count.
    """
    files = {f"steps/{name}": path for name, path in imported_files(PROJECT / "steps", f"{step}.py").items()}
    files |= {name: PROJECT / name for name in PINS}
    return _digest(part for name in sorted(files) for part in (name.encode(), b"\0", content_digest(files[name]).encode()))


def imported_files(folder: Path, script: str) -> dict[str, Path]:
    """Return the Python files under `folder` that a script runs, itself included, by relative path.

    Every absolute import counts, also one inside a function (the linter bans relative ones); `DRAWING` is left out.
    """
    found: dict[str, Path] = {}
    left = [script]
    while left:
        name = left.pop()
        if name in found or name.startswith(DRAWING) or not (folder / name).is_file():
            continue
        found[name] = folder / name
        for module in _imported_modules(found[name]):
            parts = module.split(".")
            packages = ["/".join(parts[:end]) + "/__init__.py" for end in range(1, len(parts) + 1)]
            left += [*packages, "/".join(parts) + ".py"]
    return found


def _imported_modules(path: Path) -> list[str]:
    """Return the full names in a file's import statements; `from a import b` may name the module a.b."""
    digest = content_digest(path)
    if digest not in _imports:
        _imports[digest] = list(_imported_names(ast.parse(path.read_bytes())))
    return _imports[digest]


def _imported_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def content_digest(path: Path) -> str:
    """Return a digest of the content of a file, or of the names and contents in a folder; print a line before it takes long.

    Raises OSError where it cannot be read.
    """
    is_folder = path.is_dir()
    files = [file for file in sorted(path.rglob("*")) if file.is_file()] if is_folder else [path]
    keys = [_file_key(file) for file in files]
    announce_large(path.name, sum(key[1] for key in keys if key not in _digests), "are read, first for its fingerprint")
    digests = [_file_digest(key) for key in keys]
    if not is_folder:
        return digests[0]
    return _digest(
        part
        for file, digest in zip(files, digests, strict=True)
        for part in (file.relative_to(path).as_posix().encode(), b"\0", digest.encode())
    )


def announce_large(name: str, n_bytes: int, deed: str) -> None:
    """Print what is about to be done with a file that is so large that it takes long."""
    if n_bytes > LARGE_BYTES:
        print_lines(f"{one_line(name)}: all of its {n_bytes / 2**30:.1f} GiB {deed}")


def _file_key(path: Path) -> tuple[str, int, int]:
    """Return the path of a file, its size in bytes, and when it was changed."""
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


def _file_digest(key: tuple[str, int, int]) -> str:
    if key not in _digests:
        with Path(key[0]).open("rb", buffering=0) as file:
            _digests[key] = _text(hashlib.file_digest(file, HASH))
    return _digests[key]


def _digest(parts: Iterable[bytes]) -> str:
    hashed = hashlib.new(HASH)
    for part in parts:
        hashed.update(part)
    return _text(hashed)


def _text(hashed: Any) -> str:
    return str(hashed.hexdigest()[: 2 * DIGEST_BYTES])
