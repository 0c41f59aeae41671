"""Callback: act on job results, ticks, dead letters and notifications."""
