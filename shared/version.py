"""Trombi's version, as a constant, since the functions' images contain the code but no installed package."""

VERSION = "0.2.0"
"""The same as in pyproject.toml; tests/unit/test_version.py compares them."""
