"""The code that the steps share. It is imported beside the scripts and never installed, so that a clone runs its own code."""
