"""Invitations: sent by organisers, accepted or declined by guests."""
