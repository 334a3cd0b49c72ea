"""Makes the client, and lets it work; both in an environment of its own (`.venv-contract`)."""

import asyncio
import os
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
_TIMEOUT_SECONDS: Final = 120.0


class ClientError(Exception):
    """The client can't be made without a warning, or doesn't do its job; the message is its output."""


async def run_client(binaries: Path, url: str, directory: Path, *, admin_key: str, user_jwt: str) -> str:
    """What the job prints. `binaries`: of the environment; `directory` takes the client."""
    package = directory / "tayang_client"
    await _run(
        binaries / "openapi-python-client", "generate", "--url", f"{url}/openapi.json",
        "--config", _HERE / "openapi-python-client.yaml", "--meta", "none", "--output-path", package,
        "--overwrite", "--fail-on-warning",
    )  # fmt: skip
    job = (binaries / "python", _HERE / "main_job.py", url, admin_key, user_jwt)
    return await _run(*job, PYTHONPATH=str(directory))


async def _run(*command: Path | str, **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _TIMEOUT_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    text = output.decode(errors="replace")
    if process.returncode:
        raise ClientError(f"{command[0]} ended with {process.returncode}:\n{text}")
    return text
