"""Callback: results, ticks, dead letters, notifications."""
