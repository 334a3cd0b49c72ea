"""All descriptions, by method and path as the table of access names them."""

from collections.abc import Mapping
from typing import Final

from api.contract.routes import audiences, campaigns, keys, mobile, operations, policy, reports, testers
from api.contract.words import Operation

OPERATIONS: Final[Mapping[str, Operation]] = {
    **mobile.OPERATIONS,
    **campaigns.OPERATIONS,
    **audiences.OPERATIONS,
    **reports.OPERATIONS,
    **policy.OPERATIONS,
    **testers.OPERATIONS,
    **keys.OPERATIONS,
    **operations.OPERATIONS,
}
