"""The four deployable functions."""
