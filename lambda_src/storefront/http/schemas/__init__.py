"""The JSON that goes in and out, by subject."""
