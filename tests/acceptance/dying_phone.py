"""`python -m tests.acceptance.dying_phone URL USER JWT FILE`: shows a popup, takes it down, and dies."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import aiohttp

from tayang_client import Outbox, TayangClient


async def main(url: str, user: str, jwt: str, file: str) -> None:
    async def credentials(_refused: bool) -> str:
        return jwt

    async with aiohttp.ClientSession(url) as session:
        client = TayangClient(session, user, credentials, Outbox(Path(file)))
        popup = (await client.popups("home")).popups[0]
        client.shown(popup)
        client.did(popup, "click")
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
