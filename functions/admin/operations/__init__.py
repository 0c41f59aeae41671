"""What operators and host apps ask for: jobs, metrics, the API's documentation."""
