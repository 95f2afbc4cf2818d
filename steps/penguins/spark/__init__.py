"""Spark: where it runs, its session, its jobs and its models."""
