"""The figures that the runs log, drawn by matplotlib without a screen from results that are already computed."""
