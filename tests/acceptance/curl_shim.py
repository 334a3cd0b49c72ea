"""Stands in for curl where there is none: -s, -H, -d (also @- for standard input), and a URL."""

import sys
import urllib.error
import urllib.request


def main(arguments: list[str]) -> None:
    headers: dict[str, str] = {}
    data: bytes | None = None
    url = ""
    rest = iter(arguments)
    for argument in rest:
        if argument == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value
        elif argument == "-d":
            text = next(rest)
            data = sys.stdin.buffer.read() if text == "@-" else text.encode()
        elif argument != "-s":
            url = argument
    request = urllib.request.Request(url, data, headers)  # noqa: S310  (the banner's own URLs)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310
            body = response.read()
    except urllib.error.HTTPError as error:
        body = error.read()
    sys.stdout.buffer.write(body)


if __name__ == "__main__":
    main(sys.argv[1:])
