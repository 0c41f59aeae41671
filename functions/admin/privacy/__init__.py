"""What is held about a person, handed out or erased."""
