"""From groups of faces to persons: decisions are kept, questions are asked."""
