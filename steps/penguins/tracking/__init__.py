"""MLflow: the run of a step, the store that holds it, its artifacts, and the connection to a tracking server."""
