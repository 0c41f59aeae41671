"""The emulated cloud's pure parts."""
