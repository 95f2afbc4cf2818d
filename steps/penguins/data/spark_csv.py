"""Read a CSV file with Spark, by the same rules as `csv_file` reads one on this machine."""

import codecs
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from penguins.cli.read_options import DETECT, ReadOptions, na_numbers
from penguins.data.checks import require_columns, require_single_columns
from penguins.data.csv_file import MISSING, Names, read_header, refuse_unreadable, repeated_columns
from penguins.data.dialect import (
    UTF_8,
    WINDOWS,
    WINDOWS_BYTES,
    Dialect,
    decode_windows_byte,
    find_options,
    points_doubt,
    separator_hint,
)
from penguins.data.load import BOOLEANS, refuse_errors
from penguins.data.locate import table_name
from penguins.data.numbers import CERTAIN_POINT, integer_pattern, number_pattern, readings_of_columns
from penguins.data.spark_columns import quote_column
from penguins.data.table import print_doubts
from penguins.errors import InputError
from penguins.text import quote

LINES_IN_SAMPLE = 1000
# Longer whole numbers may not fit into 64 bits.
MOST_DIGITS = 18
CSV_NAMES = (".csv", ".tsv", ".tab", ".txt")
# The name of latin-1 in Spark, which does not know Windows-1252: its signs are put in afterwards.
LATIN_1 = "ISO-8859-1"
# Spark's names of the encodings that it reads here, by Python's.
SPARK_ENCODINGS = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "ascii": "UTF-8", "iso8859-1": LATIN_1, WINDOWS: LATIN_1}
CONTROL_SIGNS = "".join(map(chr, range(0x80, 0xA0)))
WINDOWS_SIGNS = "".join(map(decode_windows_byte, range(0x80, 0xA0)))


@dataclass(frozen=True)
class SparkCsv:
    """A CSV file that Spark reads: a frame of texts, how the file is written, and its columns as those of `CsvFile`."""

    frame: DataFrame
    options: ReadOptions
    header: Names
    columns: Names
    separator_hint: str = ""
    points_doubt: str = ""

    def typed(self, columns: Iterable[str], names: Collection[str]) -> DataFrame:
        """Return the frame with `columns` alone, as numbers, booleans or texts; those in `names` as texts.

        A column is one of numbers, or of booleans, if each of its values is; the same text is missing as for pandas.
        """
        wanted = list(columns)
        present = {name: self._present(name, name in names) for name in wanted}
        types = self._types({name: field for name, field in present.items() if name not in names})
        return self.frame.select(*[self._cast(present[name], *types.get(name, TEXT)).alias(name) for name in wanted])

    def _present(self, name: str, is_name: bool) -> Column:
        """Return the text of a column, null where it stands for a missing value."""
        defaults = ([""] if is_name else MISSING) if self.options.keep_default_na else []
        field = F.coalesce(F.col(quote_column(name)), F.lit(""))  # Spark reads null where nothing stands between separators
        missing = [*defaults, *self.options.na_values]
        return F.when(~field.isin(*missing), field) if missing else field

    def _types(self, present: Mapping[str, Column]) -> dict[str, "ColumnType"]:
        """Return the type of each column, found in one pass over the file."""
        readings = readings_of_columns(self.options)
        counts = [count for field in present.values() for count in _counts(field, readings)]
        found = iter((self.frame.select(*counts).first() or ()) if counts else ())
        return {name: _column_type([next(found) for _ in range(2 + 3 * len(readings))], readings) for name in present}

    def _cast(self, field: Column, kind: str, reading: ReadOptions) -> Column:
        """Convert the texts of a column to its type; numbers are written as `reading` says."""
        if kind in ("bigint", "double"):
            plain = F.replace(field, F.lit(reading.thousands), F.lit("")) if reading.thousands else field
            number = F.replace(plain, F.lit(reading.decimal), F.lit(".")).cast(kind)
            missing = na_numbers(reading)
            return F.when(~number.isin(*missing), number) if missing else number
        return F.lower(field).cast("boolean") if kind == "boolean" else field


# The type of a column in Spark, and how its numbers are written.
ColumnType = tuple[str, ReadOptions]
TEXT: ColumnType = ("string", DETECT)


def _counts(field: Column, readings: Sequence[ReadOptions]) -> list[Column]:
    """Count the values of a column that are no booleans, and for each reading of its numbers three more kinds.

    These are the values that are no whole numbers, those that are no numbers, and those whose point is certainly a decimal one.
    """
    counts = [F.count_if(field.isNull()), F.count_if(~field.isin(*BOOLEANS))]
    for reading in readings:
        whole = field.rlike(_whole(integer_pattern(reading).pattern)) & (F.length(field) <= MOST_DIGITS)
        number = field.rlike(_whole(number_pattern(reading.decimal, reading.thousands)))
        counts += [F.count_if(~whole), F.count_if(~number), F.count_if(field.rlike(_whole(CERTAIN_POINT)))]
    return counts


def _whole(pattern: str) -> str:
    """Return the pattern as one of the whole text in Java."""
    return rf"^(?:{pattern})\z"


def _column_type(counts: Sequence[int], readings: Sequence[ReadOptions]) -> ColumnType:
    """Return the type of a column with these counts of `_counts`."""
    n_missing, n_not_boolean = counts[:2]
    for place, reading in enumerate(readings):
        n_not_whole, n_not_number, n_certain = counts[2 + 3 * place : 5 + 3 * place]
        if not n_not_number and (place == 0 or n_certain):
            return "double" if n_not_whole or n_missing else "bigint", reading
    return TEXT if n_not_boolean else ("boolean", DETECT)


def is_csv_name(path: str) -> bool:
    """Tell whether the file at `path` is CSV by the end of its name."""
    return path.lower().removesuffix(".gz").removesuffix(".bz2").endswith(CSV_NAMES)


def read_spark_csv(
    session: SparkSession, uri: str, read: ReadOptions, columns: Mapping[str, str] | None, names: Collection[str]
) -> tuple[DataFrame, ReadOptions]:
    """Return `columns` (column to parameter) of the CSV file at `uri`, or all whose names occur once, and how it is written.

    Those in `names` are texts. Raises InputError where the file cannot be read, or has not one of the columns, or has it twice.
    """
    file = open_spark_csv(session, uri, read)
    if file.separator_hint and (columns is None or not set(columns) <= set(file.columns)):
        refuse_unreadable(uri, file.separator_hint)
    require_columns(columns or {}, file.columns)
    require_single_columns(columns or {}, file.header, uri)
    if columns is not None:
        print_doubts(table_name(uri), file.header, file.points_doubt)
    usable = [name for name in file.columns if name not in repeated_columns(file.header, file.columns)]
    return file.typed(usable if columns is None else columns, names), file.options


def open_spark_csv(session: SparkSession, uri: str, read: ReadOptions) -> SparkCsv:
    """Look at the CSV file at `uri` and return it as a frame of texts.

    Raises InputError where it holds null bytes, or is written in a way that Spark cannot read.
    """
    _require_spark_encoding(uri, read.encoding)
    lines = session.read.text(uri)
    value = F.col("value")
    n_invalid, n_null = lines.select(
        F.count_if(~F.is_valid_utf8(value)), F.count_if(F.contains(value, F.lit("\0")))
    ).first() or (0, 0)
    if n_null:
        refuse_unreadable(uri, "it holds null bytes, as UTF-16 and binary files do: save it as CSV in UTF-8, or as Parquet.")
    sample = b"\n".join(bytes(row[0]) for row in lines.select(value.cast("binary")).take(LINES_IN_SAMPLE)) + b"\n"
    if n_invalid and _is_utf_8(read.encoding):
        refuse_unreadable(uri, f"it is not written in {read.encoding}: leave encoding out of read, or give another one.")
    encoding = read.encoding or (WINDOWS if n_invalid else UTF_8)
    with refuse_errors(uri):
        dialect = _dialect(sample, replace(read, encoding=encoding), bool(read.encoding))
        header, columns = read_header(lambda: nullcontext(io.BytesIO(sample)), dialect)
    if dialect.options.skiprows:
        raise InputError(
            f"The 'read' parameter must not skip rows of a file that Spark reads. Got {quote(uri)}, whose header is not in its "
            "first line: give the file to pandas first (a path of this machine), or write it without these lines."
        )
    text = sample.decode(dialect.codec, errors="replace")
    hint = separator_hint(text, dialect.options, len(header), joins_blanks=False)
    doubt = points_doubt(text, dialect.options)
    return SparkCsv(_texts(session, uri, dialect, columns), dialect.options, header, columns, hint, doubt)


def _spark_encoding(encoding: str) -> str:
    return SPARK_ENCODINGS.get(codecs.lookup(encoding).name, "")


def _is_utf_8(encoding: str) -> bool:
    return bool(encoding) and _spark_encoding(encoding) == SPARK_ENCODINGS[UTF_8]


def _require_spark_encoding(uri: str, encoding: str) -> None:
    if encoding and not _spark_encoding(encoding):
        raise InputError(
            "The 'read' parameter must name utf-8, latin-1 or cp1252 as the encoding of a file that Spark reads. "
            f"Got {quote(encoding)} for {quote(uri)}: write the file in UTF-8."
        )


def _dialect(sample: bytes, read: ReadOptions, is_given: bool) -> Dialect:
    """Return how the file is written, from its first lines."""
    codec, errors = (read.encoding, "strict") if is_given else ("utf-8-sig", WINDOWS_BYTES)
    return Dialect(find_options(sample.decode(codec, errors="replace" if is_given else errors), read), codec, errors)


def _texts(session: SparkSession, uri: str, dialect: Dialect, columns: Names) -> DataFrame:
    options = dialect.options
    reader = session.read.options(
        header=True,
        mode="FAILFAST",
        # With column pruning, Spark would check only the columns in use and accept rows of any length.
        columnPruning=False,
        sep=options.sep,
        quote=options.quote,
        escape=options.quote,
        ignoreLeadingWhiteSpace=options.skipinitialspace,
        encoding=_spark_encoding(options.encoding),
    )
    frame = reader.schema(StructType([StructField(name, StringType()) for name in columns])).csv(uri)
    if codecs.lookup(options.encoding).name != WINDOWS:
        return frame
    decoded = {name: _decode_windows(F.col(quote_column(name)), dialect.errors == WINDOWS_BYTES) for name in columns}
    return frame.select(*[field.alias(name) for name, field in decoded.items()])


def _decode_windows(field: Column, may_be_utf_8: bool) -> Column:
    """Turn a text that was read as latin-1 into what it is in Windows-1252, or in UTF-8 if it may be and is so."""
    windows = F.translate(field, CONTROL_SIGNS, WINDOWS_SIGNS)
    utf_8 = F.encode(field, LATIN_1).cast("string")
    return F.when(F.is_valid_utf8(utf_8), utf_8).otherwise(windows) if may_be_utf_8 else windows
