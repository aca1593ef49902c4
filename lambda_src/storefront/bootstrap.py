"""The object graph of the app, built in one place."""

from wsgiref.types import WSGIApplication

from cache_aside import CacheAside, Observer, Options, Relay, SqlOutbox
from storefront.cache_login import cache_credentials
from storefront.credentials import iam_token
from storefront.database import Connection, Database
from storefront.engines import driver_of
from storefront.http.application import build
from storefront.http.operations import Services
from storefront.http.table import OPERATIONS
from storefront.passwords import Passwords
from storefront.repositories.flags import FlagRepository
from storefront.repositories.outbox import outbox_of
from storefront.repositories.products import ProductRepository
from storefront.repositories.sales import SalesRepository
from storefront.repositories.sessions import SessionRepository
from storefront.repositories.users import UserRepository
from storefront.services.flags import FlagService
from storefront.services.leaderboard import LeaderboardService
from storefront.services.products import ProductService
from storefront.services.sales import SalesService
from storefront.services.sessions import SessionService
from storefront.services.users import UserService
from storefront.settings import Settings


def build_app(settings: Settings, *, background: bool = False, observer: Observer | None = None) -> WSGIApplication:
    """The WSGI app. Connects when a request first needs it.

    `background` lets it work while no request waits: for a server that runs on, never under Lambda. `observer` hears
    how the cache served.
    """
    database = Database(lambda: connect_database(settings))
    outbox = outbox_of(database, settings.engine)
    cache = _connect_cache(settings, outbox, background=background, observer=observer)
    products, sales = ProductRepository(database), SalesRepository(database)
    passwords = Passwords(log2_cost=settings.password_log2_cost)
    services = Services(
        products=ProductService(products, cache, outbox),
        sessions=SessionService(SessionRepository(database), cache, outbox, passwords),
        users=UserService(UserRepository(database), cache, outbox, passwords),
        flags=FlagService(FlagRepository(database), cache, outbox),
        sales=SalesService(sales, products),
        leaderboard=LeaderboardService(sales, cache),
        cache_available=cache.available,
        database_available=database.available,
        relay_period_seconds=settings.relay_period_seconds,
    )
    return build(OPERATIONS, services)


def build_relay(settings: Settings, *, observer: Observer | None = None) -> Relay:
    """What repeats the app's deletions, on connections of its own. Connects when it first runs."""
    outbox = outbox_of(Database(lambda: connect_database(settings)), settings.engine)
    cache = _connect_cache(settings, outbox, background=False, observer=observer)
    return Relay(cache, outbox, observer=observer)


def connect_database(settings: Settings) -> Connection:
    """A connection as the app's role, by password or IAM token. DatabaseUnavailableError."""
    password = settings.database_password or iam_token(
        settings.database, user=settings.database_user, region=settings.region
    )
    connect = driver_of(settings.engine).connect
    return connect(settings.database, database=settings.database_name, user=settings.database_user, password=password)


def _connect_cache(settings: Settings, outbox: SqlOutbox, *, background: bool, observer: Observer | None) -> CacheAside:
    return CacheAside.connect(
        settings.cache.host,
        settings.cache.port,
        auth_token=cache_credentials(settings.cache_login, settings.region),
        is_replayed=outbox.is_replayed,
        options=Options(
            connect_timeout_seconds=settings.cache_timeout_seconds,
            read_timeout_seconds=settings.cache_timeout_seconds,
            background=background,
        ),
        observer=observer,
    )
