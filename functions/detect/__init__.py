"""Detect: finds the faces of a photo."""
