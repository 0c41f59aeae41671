"""The emulated cloud: one tree of processes, and their state on disk."""
