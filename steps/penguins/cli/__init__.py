"""The command line of a step: its parameters, its exit codes and its signals."""
