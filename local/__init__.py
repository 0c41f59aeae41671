"""The emulated cloud, and what runs on top of it."""
