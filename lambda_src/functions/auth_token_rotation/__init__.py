"""Rotates the AUTH token of the cache, and sees to it that the one before stops working."""
