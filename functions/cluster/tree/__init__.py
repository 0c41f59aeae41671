"""Exact HDBSCAN under the cosine distance. Other packages use only the three names exported here."""

from functions.cluster.tree.block_runner import BlockRunner
from functions.cluster.tree.hdbscan_cosine import Clustering, cluster

__all__ = ["BlockRunner", "Clustering", "cluster"]
