"""The one error of the embedded servers."""


class EmbeddedError(Exception):
    """The embedded servers can't run: the first line says why and names the remedy, log lines may follow."""
