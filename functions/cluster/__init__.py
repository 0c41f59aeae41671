"""Cluster: groups the faces of an event by person."""
