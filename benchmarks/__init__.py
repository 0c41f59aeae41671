"""Measurements that print themselves; none of them is a test."""
