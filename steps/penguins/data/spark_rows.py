"""The SQL by which a model of Spark ML checks and converts the columns of the rows that it gets."""

from penguins.data.spark_columns import quote_column


def sql_text(text: str) -> str:
    """Write a text for Spark SQL, with escapes for what SQL or a stage would replace in it, such as `${` and `__THIS__`."""
    signs = [sign if (sign.isascii() and sign.isalnum()) or sign == " " else f"\\U{ord(sign):08x}" for sign in text]
    return f"'{''.join(signs)}'"


def check_number(name: str) -> str:
    """Return the SQL that converts a column to double. It raises where a value is missing, infinite or text."""
    field = f"IDENTIFIER({sql_text(quote_column(name))})"
    number = f"try_cast({field} AS DOUBLE)"
    must, column = f"{sql_text(f'column {name!r} must hold ')}", f"CAST({field} AS STRING)"
    return (
        f"CASE WHEN {field} IS NULL OR isnan({number}) THEN raise_error({sql_text(f'column {name!r} misses a value')}) "
        f"WHEN typeof({field}) = 'string' THEN raise_error(concat({must}, 'numbers, got ', {column})) "
        f"WHEN abs({number}) = CAST('Infinity' AS DOUBLE) THEN raise_error(concat({must}, 'finite numbers, got ', {column})) "
        f"ELSE {number} END"
    )


def check_text(name: str) -> str:
    """Return the SQL that converts a column to string. It raises where a value is missing."""
    field = f"IDENTIFIER({sql_text(quote_column(name))})"
    is_nan = f"typeof({field}) IN ('double', 'float') AND isnan(try_cast({field} AS DOUBLE))"
    missing = f"raise_error({sql_text(f'column {name!r} misses a value')})"
    return f"CASE WHEN {field} IS NULL OR {is_nan} THEN {missing} ELSE CAST({field} AS STRING) END"
