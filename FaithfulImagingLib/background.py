"""Work beside Slicer's main thread, asked for by polling."""

import threading
import time
from concurrent.futures import Future

# Slicer's event loop keeps Python's lock while it waits for events, so other Python threads get their turn only while
# the main thread lets go of it: each poll gives them this many seconds.
TURN = 0.005


def inBackground(function, *arguments) -> Future:
    """Call the function on a thread that ends with the application; it must not touch a MRML node or a widget."""
    future: Future = Future()

    def work() -> None:
        try:
            future.set_result(function(*arguments))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future


def giveTurn() -> None:
    """Let background threads run for a moment."""
    time.sleep(TURN)
