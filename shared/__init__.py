"""Code that more than one function uses."""
