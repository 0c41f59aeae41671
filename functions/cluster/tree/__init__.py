"""Exact HDBSCAN under the cosine metric. These three names are all that other packages use of it."""

from functions.cluster.tree.block_runner import BlockRunner
from functions.cluster.tree.hdbscan_cosine import Clustering, cluster

__all__ = ["BlockRunner", "Clustering", "cluster"]
