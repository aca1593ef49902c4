"""Repeats the deletions that did not reach the cache, on a schedule."""
