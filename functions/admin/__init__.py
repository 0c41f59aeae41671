"""Admin: what people and host apps ask for over HTTP."""
