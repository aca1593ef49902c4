"""Brings the database to what this release needs, during the deployment."""
