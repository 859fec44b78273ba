"""Mails that leave in the background."""

import asyncio


class Mailer:
    def __init__(self, send):
        self.send = send
        self.loop = asyncio.get_event_loop()
        self.queue = asyncio.Queue()

    def post(self, mail):
        """Called from any thread."""
        self.loop.call_soon_threadsafe(self.queue.put_nowait, mail)

    async def work(self):
        while True:
            await self.send(await self.queue.get())
