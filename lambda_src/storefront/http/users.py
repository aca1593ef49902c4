"""Users: what they may do, and their passwords."""

from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta

from storefront.entities import Role
from storefront.http.operations import CREATED, LOGGED_IN, OPERATORS, PRIVATE, Call, Operation, Reply, Services
from storefront.http.sessions import REVOKED, Password, revoked

# Nothing that looks like another name, or that databases compare in different ways. `$` alone would match before a
# newline at the end, too, in Python.
NewUsername = Annotated[
    str,
    Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]*(?!\n)$", examples=["ada@example.com"]),
]
NewPassword = Annotated[str, Meta(min_length=8, max_length=1024)]


class UserInput(msgspec.Struct):
    """A user as an operator makes it. Upper and lower case are one: the name is stored in lower case."""

    username: NewUsername
    password: NewPassword
    role: Role


class UserOutput(msgspec.Struct):
    """Who a user is, and what they may do: x-allowed-roles of an operation says which roles may ask it."""

    username: str
    role: Role


class RoleInput(msgspec.Struct):
    """What a user may do from now on."""

    role: Role


class PasswordChange(msgspec.Struct):
    """The password that the user has, and the one that they want."""

    current_password: Password
    new_password: NewPassword


def create_user(services: Services, call: Call) -> Reply:
    name = services.users.create(call.body.username, call.body.password, call.body.role, by=call.session)
    return Reply(CREATED, UserOutput(name, call.body.role), PRIVATE)


def replace_role(services: Services, call: Call) -> Reply:
    return revoked(services, services.users.set_role(call.username, call.body.role, by=call.session))


def remove_role(services: Services, call: Call) -> Reply:
    return revoked(services, services.users.set_role(call.username, None, by=call.session))


def change_password(services: Services, call: Call) -> Reply:
    current, new = call.body.current_password, call.body.new_password
    return revoked(services, services.users.change_password(current=current, new=new, by=call.session))


OPERATIONS = (
    Operation(
        method="POST",
        path="/users",
        summary="Create a user",
        handler=create_user,
        allowed=OPERATORS,
        body=UserInput,
        replies={CREATED: UserOutput},
        headers=("Cache-Control",),
        problems=(HTTPStatus.CONFLICT,),
    ),
    Operation(
        method="PUT",
        path="/users/{username}/role",
        summary="Give a user another role, and end all their sessions",
        handler=replace_role,
        allowed=OPERATORS,
        body=RoleInput,
        replies=REVOKED,
        headers=("Cache-Control", "X-Invalidation"),
        problems=(HTTPStatus.CONFLICT,),
    ),
    Operation(
        method="DELETE",
        path="/users/{username}/role",
        summary="Disable a user, and end all their sessions; another role enables them again",
        handler=remove_role,
        allowed=OPERATORS,
        replies=REVOKED,
        headers=("Cache-Control", "X-Invalidation"),
        problems=(HTTPStatus.CONFLICT,),
    ),
    Operation(
        method="PUT",
        path="/users/me/password",
        summary="Change one's password, and end every other session",
        handler=change_password,
        allowed=LOGGED_IN,
        body=PasswordChange,
        replies=REVOKED,
        headers=("Cache-Control", "X-Invalidation"),
        problems=(HTTPStatus.FORBIDDEN,),
    ),
)
