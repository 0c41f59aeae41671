"""From embeddings to groups of faces: the rules around HDBSCAN."""
