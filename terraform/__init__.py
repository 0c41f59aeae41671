"""Commands for operators: deploy, build images, smoke test, replay. Each has a target in the Makefile."""
