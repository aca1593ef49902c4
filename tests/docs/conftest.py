"""The pages show what the templates of tests/infra hold."""

from tests.infra.conftest import mysql, prod

__all__ = ["mysql", "prod"]
