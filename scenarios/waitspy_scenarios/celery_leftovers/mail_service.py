"""The mail service: takes one line per connection, and gives a receipt after a while."""

from __future__ import annotations

import asyncio
from collections import Counter

from waitspy_scenarios.celery_leftovers import RECEIPT_AFTER_S


class MailService:
    """What a customer gets: ``mails`` counts them by order."""

    def __init__(self) -> None:
        self.mails: Counter[bytes] = Counter()

    async def listen(self) -> asyncio.Server:
        """Starts to listen on a free port."""
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.mails[await reader.readline()] += 1
            await asyncio.sleep(RECEIPT_AFTER_S)
            writer.write(b"receipt\n")
            await writer.drain()
        except (OSError, asyncio.CancelledError):
            pass  # nobody waits any more, or the program ends
        finally:
            writer.close()
