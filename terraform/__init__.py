"""What an operator runs: deploy, build images, smoke test, jobs. Each is a target of the Makefile."""
