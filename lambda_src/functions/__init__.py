"""The Lambda functions beside the app, one folder each."""
