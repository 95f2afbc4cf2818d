"""Read a CSV file with Spark, by the same rules as `csv_file` reads one on this machine."""

import io
from collections.abc import Collection, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from penguins.cli.read_options import ReadOptions, na_numbers
from penguins.data.checks import require_columns, require_single_columns
from penguins.data.csv_file import MISSING, Names, read_header, refuse_unreadable, repeated_columns
from penguins.data.dialect import UTF_8, WINDOWS, WINDOWS_BYTES, Dialect, decode_windows_byte, find_options, separator_hint
from penguins.data.load import BOOLEANS, refuse_errors
from penguins.data.numbers import integer_pattern, number_pattern
from penguins.data.spark_columns import quote_column
from penguins.errors import InputError
from penguins.text import quote

LINES_IN_SAMPLE = 1000
# Longer whole numbers may not fit into 64 bits.
MOST_DIGITS = 18
CSV_NAMES = (".csv", ".tsv", ".tab", ".txt")
# The name of latin-1 in Spark, which does not know Windows-1252: its signs are put in afterwards.
LATIN_1 = "ISO-8859-1"
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

    def typed(self, columns: Iterable[str], names: Collection[str]) -> DataFrame:
        """Return the frame with `columns` alone, as numbers, booleans or texts; those in `names` as texts.

        A column is one of numbers, or of booleans, if each of its values is; the same text is missing as for pandas.
        """
        wanted = list(columns)
        present = {name: self._present(name, name in names) for name in wanted}
        kinds = self._kinds({name: field for name, field in present.items() if name not in names})
        return self.frame.select(*[self._cast(present[name], kinds.get(name, "string")).alias(name) for name in wanted])

    def _present(self, name: str, is_name: bool) -> Column:
        """Return the text of a column, null where it stands for a missing value."""
        defaults = ([""] if is_name else MISSING) if self.options.keep_default_na else []
        field = F.col(quote_column(name))
        return F.when(~field.isin(*defaults, *self.options.na_values, ""), field) if defaults else field

    def _kinds(self, present: dict[str, Column]) -> dict[str, str]:
        """Return for each column the type of its values, found in one pass over the file."""
        if not present:
            return {}
        number = rf"^(?:{number_pattern(self.options.decimal, self.options.thousands)})\z"
        whole = rf"^(?:{integer_pattern(self.options).pattern})\z"
        counts = [
            count
            for field in present.values()
            for count in (
                F.count_if(~field.rlike(whole) | (F.length(field) > MOST_DIGITS)),
                F.count_if(~field.rlike(number)),
                F.count_if(~field.isin(*BOOLEANS)),
            )
        ]
        found = list(self.frame.select(*counts).first() or ())
        return {name: _kind(*found[3 * place : 3 * place + 3]) for place, name in enumerate(present)}

    def _cast(self, field: Column, kind: str) -> Column:
        if kind in ("bigint", "double"):
            plain = F.replace(field, F.lit(self.options.thousands), F.lit("")) if self.options.thousands else field
            number = F.replace(plain, F.lit(self.options.decimal), F.lit(".")).cast(kind)
            missing = na_numbers(self.options)
            return F.when(~number.isin(*missing), number) if missing else number
        return F.lower(field).cast("boolean") if kind == "boolean" else field


def _kind(n_not_whole: int, n_not_number: int, n_not_boolean: int) -> str:
    """Return the type of a column, of which so many values are not of each type."""
    if not n_not_whole:
        return "bigint"
    if not n_not_number:
        return "double"
    return "string" if n_not_boolean else "boolean"


def is_csv_name(path: str) -> bool:
    """Tell whether the file at `path` is CSV by the end of its name."""
    return path.lower().removesuffix(".gz").endswith(CSV_NAMES)


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
    usable = [name for name in file.columns if name not in repeated_columns(file.header, file.columns)]
    return file.typed(usable if columns is None else columns, names), file.options


def open_spark_csv(session: SparkSession, uri: str, read: ReadOptions) -> SparkCsv:
    """Look at the CSV file at `uri` and return it as a frame of texts.

    Raises InputError where it holds null bytes, or is written in a way that Spark cannot read.
    """
    lines = session.read.text(uri)
    value = F.col("value")
    n_invalid, n_null = lines.select(
        F.count_if(~F.is_valid_utf8(value)), F.count_if(F.contains(value, F.lit("\0")))
    ).first() or (0, 0)
    if n_null:
        refuse_unreadable(uri, "it holds null bytes, as UTF-16 and binary files do: save it as CSV in UTF-8, or as Parquet.")
    sample = b"\n".join(bytes(row[0]) for row in lines.select(value.cast("binary")).take(LINES_IN_SAMPLE)) + b"\n"
    encoding = read.encoding or (WINDOWS if n_invalid else UTF_8)
    with refuse_errors(uri):
        dialect = _dialect(sample, replace(read, encoding=encoding), bool(read.encoding))
        header, columns = read_header(lambda: nullcontext(io.BytesIO(sample)), dialect)
    if dialect.options.skiprows:
        raise InputError(
            f"The 'read' parameter must not skip rows of a file that Spark reads. Got {quote(uri)}, whose header is not in its "
            "first line: give the file to pandas first (a path of this machine), or write it without these lines."
        )
    hint = separator_hint(sample.decode(dialect.codec, errors="replace"), dialect.options, len(header), joins_blanks=False)
    return SparkCsv(_texts(session, uri, dialect.options, columns), dialect.options, header, columns, hint)


def _dialect(sample: bytes, read: ReadOptions, is_given: bool) -> Dialect:
    """Return how the file is written, from its first lines."""
    codec, errors = (read.encoding, "strict") if is_given else ("utf-8-sig", WINDOWS_BYTES)
    return Dialect(find_options(sample.decode(codec, errors="replace" if is_given else errors), read), codec, errors)


def _texts(session: SparkSession, uri: str, options: ReadOptions, columns: Names) -> DataFrame:
    is_windows = options.encoding.lower() in (WINDOWS, "windows-1252")
    reader = session.read.options(
        header=True,
        mode="FAILFAST",
        # With column pruning, Spark would check only the columns in use and accept rows of any length.
        columnPruning=False,
        sep=options.sep,
        quote=options.quote,
        escape=options.quote,
        ignoreLeadingWhiteSpace=options.skipinitialspace,
        encoding=LATIN_1 if is_windows or options.encoding.lower() in ("latin-1", "latin1") else options.encoding,
    )
    frame = reader.schema(StructType([StructField(name, StringType()) for name in columns])).csv(uri)
    if is_windows:
        fields = [quote_column(name) for name in columns]
        return frame.select(
            *[F.translate(field, CONTROL_SIGNS, WINDOWS_SIGNS).alias(name) for field, name in zip(fields, columns, strict=True)]
        )
    return frame
