"""Latitude and longitude as points of the unit sphere, where the straight distance grows with the great-circle distance."""

import numpy as np

# The mean radius of the Earth: H. Moritz, "Geodetic Reference System 1980", Journal of Geodesy 74, 128 (2000).
EARTH_RADIUS_KM = 6371.0088


def unit_vectors(degrees: np.ndarray) -> np.ndarray:
    """Return the points of the unit sphere, of shape (n, 3), at `degrees`, of shape (n, 2): latitude and longitude."""
    latitude, longitude = np.radians(np.asarray(degrees, dtype=float)).T
    return np.column_stack([np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)])


def chord(kilometres: float) -> float:
    """Return the straight distance on the unit sphere between two points `kilometres` apart; 2 at half way round or beyond."""
    return float(2 * np.sin(min(kilometres / EARTH_RADIUS_KM, np.pi) / 2))


def kilometres(chords: np.ndarray) -> np.ndarray:
    """Return the great-circle distances in kilometres for straight distances on the unit sphere, of any shape."""
    return arcs(EARTH_RADIUS_KM * np.asarray(chords))


def arcs(chords: np.ndarray) -> np.ndarray:
    """Return the great-circle distances for straight distances on a sphere of the Earth's radius, both in kilometres."""
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(np.asarray(chords) / (2 * EARTH_RADIUS_KM), 1)))
