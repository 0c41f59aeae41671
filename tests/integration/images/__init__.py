"""What each image does, done without Docker."""
