"""What the maintenance process is told at its start. `tayang.settings` fills it from the environment."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class MaintenanceConfig:
    primary_dsn: str
    merge_interval_seconds: float = 0.25
    buffer_persistence: Literal["unlogged", "logged"] = "unlogged"
    accept_within_seconds: int = 86_400
    impression_retention_days: int = 35
    daily_count_retention_days: int = 800
    database_timeout_seconds: float = 5.0
    connect_stagger_seconds: float = 0.25
    #: A merge or a detach that takes longer is taken for hung, and its connection is replaced.
    duty_timeout_seconds: float = 300.0
