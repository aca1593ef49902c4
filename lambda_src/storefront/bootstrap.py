"""The object graph of the app, built in one place."""

from collections.abc import Callable
from wsgiref.types import WSGIApplication

import psycopg
from psycopg.rows import TupleRow

from cache_aside import CacheAside, Served
from storefront.credentials import AuthToken, iam_token
from storefront.database import Database
from storefront.http.application import build
from storefront.http.operations import Services
from storefront.http.table import OPERATIONS
from storefront.postgres import connect
from storefront.repositories.products import ProductRepository
from storefront.repositories.sessions import SessionRepository
from storefront.services.products import ProductService
from storefront.services.sessions import SessionService
from storefront.settings import Settings


def build_app(settings: Settings, *, count: Callable[[Served], None] = lambda _served: None) -> WSGIApplication:
    """The WSGI app. Connects when a request first needs it. `count` is told how each product read was served."""
    cache = CacheAside.connect(
        settings.cache.host,
        settings.cache.port,
        credentials=AuthToken(settings.auth_secret_arn),
        timeout_seconds=settings.cache_timeout_seconds,
    )
    database = Database(lambda: connect_database(settings))
    services = Services(
        products=ProductService(ProductRepository(database), cache, count),
        sessions=SessionService(SessionRepository(database)),
        cache_available=cache.available,
        database_available=database.available,
    )
    return build(OPERATIONS, services)


def connect_database(settings: Settings) -> psycopg.Connection[TupleRow]:
    """A connection as the app's role, by password or IAM token. OperationalError, DatabaseUnavailableError."""
    password = settings.database_password or iam_token(
        settings.database, user=settings.database_user, region=settings.region
    )
    return connect(settings.database, database=settings.database_name, user=settings.database_user, password=password)
