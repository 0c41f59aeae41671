"""Cluster with its steps watched."""

from __future__ import annotations

from functions.cluster import main as function
from tests.faults.edges import watch

watch("cluster")

main = function.main
