"""The sweep: for each group of the data, a clustering for each value of a parameter, logged as nested runs and one table."""
