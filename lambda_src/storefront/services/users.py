"""Users: making them, what they may do, and their passwords."""

from cache_aside import CacheAside, Invalidation, Replicas, SqlOutbox
from storefront.database import DuplicateError
from storefront.entities import Role, Session, canonical
from storefront.errors import NotLoggedInError, OwnRoleError, UsernameTakenError, UserNotFoundError, WrongPasswordError
from storefront.passwords import Passwords
from storefront.repositories.users import UserRepository
from storefront.security_log import Kind, SecurityEvent, record


class UserService:
    """A change of a user makes all of the user's cached sessions obsolete: one write, many keys.

    Which keys those are is known to the transaction alone, so it writes them into the outbox, a row each, and commits
    them with the change. They are then deleted with one command; what that does not reach, the relay deletes.
    """

    def __init__(self, repository: UserRepository, cache: CacheAside, outbox: SqlOutbox, passwords: Passwords) -> None:
        self._repository, self._passwords = repository, passwords
        self._cache, self._outbox = cache, outbox

    def create(self, username: str, password: str, role: Role, *, by: Session) -> str:
        """The name of the new user, in lower case: two names that differ in case only are one.

        UsernameTakenError, NotLoggedInError, PasswordsBusyError, DatabaseUnavailableError.
        """
        name = canonical(username)
        try:
            self._repository.insert(name, self._passwords.hash(password), role, by=by)
        except DuplicateError as error:
            raise UsernameTakenError from error
        record(SecurityEvent(event=Kind.USER_CREATED, user=name, role=role, by=by.username))
        return name

    def set_role(self, username: str, role: Role | None, *, by: Session) -> Invalidation:
        """Gives a user another role, or takes it away, and ends all their sessions.

        Confirmed as `SessionService.log_out` is. OwnRoleError; UserNotFoundError, NotLoggedInError,
        DatabaseUnavailableError.
        """
        name = canonical(username)
        if name == by.username:
            raise OwnRoleError(by.username)
        change = self._repository.set_role(name, role, by=by)
        if change is None:
            raise UserNotFoundError
        if change.previous is not role:
            kind = Kind.ROLE_CHANGED if role else Kind.USER_DISABLED
            event = SecurityEvent(event=kind, user=name, role=role, previous_role=change.previous, by=by.username)
            record(event)
        return self._outbox.deliver(self._cache, change.obsolete, replicas=Replicas.ALL)

    def change_password(self, *, current: str, new: str, by: Session) -> Invalidation:
        """Ends every session of that user but this one; confirmed as `SessionService.log_out` is.

        WrongPasswordError when `current` is not the password, or not any more. NotLoggedInError, PasswordsBusyError,
        DatabaseUnavailableError.
        """
        stored = self._repository.find_password_hash(by=by)
        if stored is None:
            raise NotLoggedInError(by.username)
        if not self._passwords.verify(current, stored):
            raise WrongPasswordError(by.username)
        obsolete = self._repository.change_password(stored, self._passwords.hash(new), by=by)
        if obsolete is None:
            raise WrongPasswordError(by.username)
        record(SecurityEvent(event=Kind.PASSWORD_CHANGED, user=by.username, by=by.username))
        return self._outbox.deliver(self._cache, obsolete, replicas=Replicas.ALL)
