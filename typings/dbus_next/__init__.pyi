"""What this project uses of dbus-next 0.2.3: connection and codec. Its own annotations are partial."""

from enum import Enum, IntFlag
from typing import Any

class AuthError(Exception): ...

class MessageType(Enum):
    METHOD_CALL = 1
    METHOD_RETURN = 2
    ERROR = 3
    SIGNAL = 4

class MessageFlag(IntFlag):
    NONE = 0
    NO_REPLY_EXPECTED = 1
    NO_AUTOSTART = 2
    ALLOW_INTERACTIVE_AUTHORIZATION = 4

class Variant:
    signature: str
    value: Any
    def __init__(self, signature: str, value: object) -> None: ...

class Message:
    destination: str | None
    path: str | None
    interface: str | None
    member: str | None
    message_type: MessageType
    flags: MessageFlag
    error_name: str | None
    reply_serial: int | None
    sender: str | None
    signature: str
    body: list[Any]
    serial: int
    def __init__(
        self,
        destination: str | None = None,
        path: str | None = None,
        interface: str | None = None,
        member: str | None = None,
        message_type: MessageType = ...,
        flags: MessageFlag = ...,
        error_name: str | None = None,
        reply_serial: int | None = None,
        sender: str | None = None,
        unix_fds: list[int] = ...,
        signature: str = "",
        body: list[Any] = ...,
        serial: int = 0,
    ) -> None: ...
    @staticmethod
    def new_signal(path: str, interface: str, member: str, signature: str = "", body: list[Any] | None = None) -> Message: ...
    def _marshall(self, negotiate_unix_fd: bool = False) -> bytearray: ...
