"""All descriptions, by method and path as the table of access names them."""

from collections.abc import Mapping
from typing import Final

from api.contract.routes import (
    audiences,
    campaigns,
    erasures,
    keys,
    mobile,
    operations,
    policy,
    reports,
    testers,
    uploads,
)
from api.contract.words import Operation

OPERATIONS: Final[Mapping[str, Operation]] = {
    **mobile.OPERATIONS,
    **campaigns.OPERATIONS,
    **audiences.OPERATIONS,
    **uploads.OPERATIONS,
    **reports.OPERATIONS,
    **policy.OPERATIONS,
    **testers.OPERATIONS,
    **erasures.OPERATIONS,
    **keys.OPERATIONS,
    **operations.OPERATIONS,
}
