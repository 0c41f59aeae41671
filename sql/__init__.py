"""The database: its schema, and the commands that install, change and remove it."""
