"""What the two sides of the database agree on: table and column names, kinds, limits.

The api process writes these tables and `maintenance` empties them; they share nothing else.
"""

from typing import Final

#: The tables that are filled in turn; `merge_ticks.active_buffer` is an index into this tuple.
BUFFER_TABLES: Final = ("impression_buffer_0", "impression_buffer_1")

#: Columns of a buffer table, in the order in which `buffer.record.make_entry` writes them.
COLUMNS: Final = (
    "instance",
    "seq",
    "impression_id",
    "kind",
    "user_id",
    "campaign_id",
    "variant",
    "occurred_at",
    "session",
    "late",
)

KIND_IMPRESSION: Final = 1
KIND_CLICK: Final = 2
KIND_DISMISS: Final = 3
KIND_CONVERT: Final = 4
#: A popup that the user would have been shown, were they not held out of its campaign.
KIND_GHOST: Final = 5
#: The first popup of an experiment that the user was served, confirmed or not: a ghost's counterpart.
KIND_SERVED: Final = 6
#: A conversion of a user who is held out.
KIND_GHOST_CONVERT: Final = 7

#: `varchar(128)` and `varchar(32)`: bounded, so that a buffer table needs no TOAST table.
USER_ID_MAX_CHARACTERS: Final = 128
VARIANT_MAX_CHARACTERS: Final = 32

#: The newest times kept for each user and campaign, and so the largest limit of a windowed cap.
RECENT_MAX_TIMES: Final = 64

#: An advisory lock, held by the transaction of one merge, and by that of an erasure, so that no merge under
#: way lacks it. "taya" and a number, as those of `maintenance.duty`.
MERGE_LOCK: Final = 0x7461_7961_0001
