"""Write predictions, whole or not at all: as an artifact of the run, to a folder or to a URI."""

import tempfile
from pathlib import Path

import pandas as pd

from penguins.data.output import NAME, SUCCESS, WRITTEN_HERE, Output, replace_folder, report_errors, upload
from penguins.tracking.artifacts import log_parquet, write_parquet_files


def write_result(result: pd.DataFrame, output: Output) -> None:
    """Write the predictions to an artifact, a folder or a URI. Raises WorkError where that fails."""
    with report_errors(output), tempfile.TemporaryDirectory() as scratch:
        if output.kind == "artifact":
            log_parquet(result, NAME)
        elif output.kind == "folder":
            replace_folder(Path(output.address), lambda folder: _write_parts(result, folder))
        else:
            _write_parts(result, Path(scratch, "parts"))
            upload(Path(scratch, "parts"), output.address)


def _write_parts(result: pd.DataFrame, folder: Path) -> None:
    write_parquet_files(result, folder)
    (folder / SUCCESS).write_text(WRITTEN_HERE, encoding="utf-8")
