"""Admin: the HTTP API for people and host apps, and the web page."""
