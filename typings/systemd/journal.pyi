import logging
from collections.abc import Callable

def send(MESSAGE: str, **fields: str) -> None: ...

class JournalHandler(logging.Handler):
    def __init__(self, level: int = ..., sender_function: Callable[..., object] = ..., **fields: str) -> None: ...
