"""What an operator runs inside a deployment: jobs on callback's image, each with a service account of its own."""
