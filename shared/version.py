"""Trombi's version, for the functions: their images hold the code, not the installed package."""

VERSION = "0.2.0"
"""The same as in pyproject.toml; tests/unit/test_version.py compares them."""
