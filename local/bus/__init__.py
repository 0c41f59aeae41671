"""The emulated bus: Google's emulator, or a small broker where that is missing."""
