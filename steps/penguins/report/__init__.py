"""The report: one HTML page about the run of `main` or of a step, read from the tracking store alone."""
