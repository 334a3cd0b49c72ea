"""Bodies as they were sent: what `Content-Encoding` may say, and gzip inflated a little at a time.

aiohttp would inflate whatever the installed modules can, and leave the rest as it is: what a service takes
must not depend on what is installed beside it.
"""

import zlib
from collections.abc import Iterator
from typing import Final

from aiohttp import hdrs, web

from api import errors
from api.errors import ProblemError

#: A kilobyte of zeros costs one byte: nothing is inflated before there was room for what came before.
PIECE_MAX_BYTES: Final = 16 * 1024
_GZIP: Final = 16 + zlib.MAX_WBITS
_NAMES: Final = frozenset(("gzip", "x-gzip"))  # the same, says RFC 9110, 8.4.1.3


class Inflater:
    """The pieces of a body in, those of its content out; raises ProblemError 400."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP)
        self._begun = False

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """What can be told by now, at most 16 KiB each."""
        self._begun = self._begun or bool(chunk)
        while chunk:
            if self._stream.eof:  # several members are one content (RFC 1952, 2.2)
                self._stream = zlib.decompressobj(_GZIP)
            try:
                yield from self._of_member(chunk)
            except zlib.error:
                raise not_gzip() from None
            chunk = self._stream.unused_data

    def end(self) -> None:
        """Nothing comes any more."""
        if self._begun and not self._stream.eof:
            raise not_gzip()

    def _of_member(self, chunk: bytes) -> Iterator[bytes]:
        piece = self._stream.decompress(chunk, PIECE_MAX_BYTES)
        while piece:
            yield piece
            # All may have been read, and not yet been told: a full piece says that there may be more.
            piece = self._stream.decompress(self._stream.unconsumed_tail, PIECE_MAX_BYTES)


def is_gzip(request: web.Request) -> bool:
    """Whether the body is to be inflated. Raises ProblemError 415 if nobody here can read it."""
    if hdrs.CONTENT_ENCODING not in request.headers:
        return False
    encodings = ",".join(request.headers.getall(hdrs.CONTENT_ENCODING))
    named = [name.strip().lower() for name in encodings.split(",")]
    named = [name for name in named if name not in ("", "identity")]
    if not named:
        return False
    if len(named) == 1 and named[0] in _NAMES:
        return True
    raise ProblemError(
        errors.UNSUPPORTED_ENCODING,
        "Content-Encoding may be gzip: send it so, or as it is, without the header",
        headers={"Accept-Encoding": "gzip"},
    )


def inflated(body: bytes, *, max_bytes: int) -> bytes:
    """All of a body in gzip. Raises ProblemError 400 or 413."""
    inflater, content = Inflater(), bytearray()
    for piece in inflater.pieces(body):
        content += piece
        if len(content) > max_bytes:
            raise too_large(max_bytes)
    inflater.end()
    return bytes(content)


def not_gzip() -> ProblemError:
    return ProblemError(
        errors.BAD_REQUEST,
        "the body is not gzip, or was cut, though Content-Encoding says gzip: send it whole, or as it is",
        headers={"Connection": "close"},
    )


def too_large(max_bytes: int) -> ProblemError:
    return ProblemError(errors.TOO_LARGE, f"send at most {max_bytes} bytes", max_bytes=max_bytes)
