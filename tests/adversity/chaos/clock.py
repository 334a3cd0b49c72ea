"""The workers' clocks, which this process can step: a small file that they have mapped into memory."""

import struct
from pathlib import Path


class Clocks:
    """One for each worker, in step with the machine's until `step()`."""

    def __init__(self, file: Path, workers: int) -> None:
        self.file = file
        self._workers = workers
        file.write_bytes(bytes(8 * workers))

    def step(self, worker: int, seconds: float) -> None:
        # In place: a file written anew would be another one than the workers have mapped.
        with self.file.open("r+b") as stream:
            stream.seek(8 * worker)
            stream.write(struct.pack("q", int(seconds * 1e9)))

    def mend(self) -> None:
        for worker in range(self._workers):
            self.step(worker, 0.0)
