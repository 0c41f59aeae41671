"""Commands that an operator runs inside a deployment: jobs on callback's image, each with its own service account."""
