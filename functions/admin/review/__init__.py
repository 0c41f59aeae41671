"""Decisions about persons and faces, their history, and what organisers see while they review."""
