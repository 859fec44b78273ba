"""The command: start the mailer, and wait for it."""

import asyncio

from shop.mailer import Mailer


async def send(mail):
    print(mail)


def main():
    mailer = Mailer(send)
    loop = asyncio.get_event_loop()
    loop.run_until_complete(mailer.work())
