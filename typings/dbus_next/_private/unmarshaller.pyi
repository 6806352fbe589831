from io import BufferedIOBase

from dbus_next import Message

class Unmarshaller:
    def __init__(self, stream: BufferedIOBase) -> None: ...
    def unmarshall(self) -> Message | None: ...
