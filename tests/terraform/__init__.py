"""The whole of `terraform/` checked by the real terraform, without a cloud."""
