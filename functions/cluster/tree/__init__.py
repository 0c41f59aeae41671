"""Exact HDBSCAN under the cosine metric."""
