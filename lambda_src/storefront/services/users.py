"""Users: making them, and changing a password."""

from cache_aside import Invalidation, Replicas
from storefront.database import DuplicateError
from storefront.entities import Role, Session
from storefront.passwords import hash_password, verify_password
from storefront.repositories.users import UserRepository
from storefront.services.errors import UsernameTakenError, WrongPasswordError
from storefront.services.invalidation import Invalidator
from storefront.services.sessions import token_hash


class UserService:
    """Users and their passwords, of which the database holds hashes only."""

    def __init__(self, repository: UserRepository, invalidator: Invalidator) -> None:
        self._repository, self._invalidator = repository, invalidator

    def create(self, username: str, password: str, role: Role) -> None:
        """UsernameTakenError; DatabaseUnavailableError."""
        try:
            self._repository.insert(username, hash_password(password), role)
        except DuplicateError as error:
            raise UsernameTakenError from error

    def change_password(self, session: Session, token: str, *, current: str, new: str) -> Invalidation:
        """Ends every session of that user but the one of `token`; confirmed as `SessionService.log_out` is.

        WrongPasswordError when `current` is not the password, or not any more. DatabaseUnavailableError.
        """
        stored = self._repository.find_password_hash(session.user_id)
        if stored is None or not verify_password(current, stored):
            raise WrongPasswordError
        obsolete = self._repository.change_password(session.user_id, stored, hash_password(new), keep=token_hash(token))
        if obsolete is None:
            raise WrongPasswordError
        return self._invalidator.deliver(obsolete, replicas=Replicas.ALL)
