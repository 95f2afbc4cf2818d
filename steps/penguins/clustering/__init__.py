"""Clustering and its evaluation: arrays in, numbers out, without MLflow, Spark or files."""
