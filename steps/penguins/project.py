"""Where the project lies on this machine."""

from pathlib import Path

PROJECT = Path(__file__).parents[2]
