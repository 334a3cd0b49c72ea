"""`tayang explain`: asks the running service why a user sees what he sees, over HTTP."""

import json
import sys
from collections.abc import Mapping, Sequence

from tayang.admin_client import BAD_INPUT, OK, AdminClient, ServiceError
from tayang.explain_table import print_explanation
from tayang.settings import SettingsError


async def explain(client: AdminClient, parameters: Mapping[str, str], *, as_json: bool) -> int:
    """Prints it, and returns 0. Raises ServiceError."""
    answer = await client.ask("GET", "/v1/admin/explain", params=parameters)
    if not answer.ok:
        raise ServiceError(BAD_INPUT, answer.detail)
    if as_json:
        print(json.dumps(answer.document, ensure_ascii=False))  # noqa: T201
    else:
        print_explanation(answer.document, sys.stdout)
    return OK


def attribute_parameters(attributes: Sequence[str]) -> dict[str, str]:
    """Of `--attr tier=gold`. Raises SettingsError."""
    parameters = {}
    for attribute in attributes:
        name, equals, value = attribute.partition("=")
        if not name or not equals:
            raise SettingsError(f"--attr {attribute!r} has no value: write it as --attr tier=gold")
        parameters[f"attr.{name.removeprefix('attr.')}"] = value
    return parameters
