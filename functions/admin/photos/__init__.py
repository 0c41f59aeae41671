"""Photos: their images, faces and tags."""
