"""What a variant shows: any JSON that PostgreSQL can keep, within bounds."""

import math
from typing import Any, Final

from api.campaigns.targeting import check_storable

MAX_CONTENT_DEPTH: Final = 10
MAX_CONTENT_BYTES: Final = 16 * 1024


def check_json(value: Any, path: str, depth: int) -> None:
    """ValueError naming the path of what isn't JSON or can't be stored as jsonb."""
    path = path[:200]  # its keys are a stranger's, of any length
    if isinstance(value, (dict, list)) and depth > MAX_CONTENT_DEPTH:
        raise ValueError(f"{path} is nested deeper than {MAX_CONTENT_DEPTH} levels")
    if isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str):
                raise ValueError(f"a key of {path} is a {type(key).__name__}, which is not JSON")  # noqa: TRY004  (pydantic takes a ValueError)
            check_json(key, f"a key of {path}", depth)
            check_json(each, f"{path}.{key}", depth + 1)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            check_json(each, f"{path}.{index}", depth + 1)
    else:
        _check_scalar(value, path)


def _check_scalar(value: Any, path: str) -> None:
    if isinstance(value, str):
        try:
            check_storable(value)
        except ValueError as error:
            raise ValueError(f"{path} {error}") from None
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{path} is {value}, which is not a JSON number")
    elif value is not None and not isinstance(value, (bool, int, float)):
        raise ValueError(f"{path} is a {type(value).__name__}, which is not JSON")
