"""What an api process is told at its start. `tayang.settings` fills it from the environment."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class ApiConfig:
    """Every wait and every bound carries its unit; the settings page explains each."""

    primary_dsn: str
    replica_dsn: str  # empty: read from the primary
    admin_key: str
    token_secrets: tuple[str, ...]  # the first signs, all verify
    user_jwt_secret: str = ""
    user_jwt_public_key_file: Path | None = None
    user_jwt_jwks_file: Path | None = None
    user_jwt_jwks_poll_seconds: float = 1.0
    user_jwt_audience: tuple[str, ...] = ()
    user_jwt_issuer: tuple[str, ...] = ()
    user_jwt_leeway_seconds: float = 30.0
    worker: int = 0
    runtime_dir: Path | None = None  # where the workers of one service leave their metrics for each other

    show_within_seconds: int = 600
    accept_within_seconds: int = 86_400
    next_fetch_seconds: int = 60

    pending_max_rows: int = 250_000
    remembered_max_rows: int = 100_000
    flush_max_rows: int = 10_000
    ack_timeout_seconds: float = 5.0
    buffer_synchronous_commit: Literal["on", "off"] = "on"
    idle_probe_seconds: float = 0.5

    read_queue_max_requests: int = 10_000
    read_batch_max_users: int = 512
    read_timeout_seconds: float = 1.0
    database_timeout_seconds: float = 5.0
    connect_stagger_seconds: float = 0.25
    max_staleness_seconds: float = 5.0
    verified_max_tokens: int = 200_000
    key_poll_seconds: float = 0.25
    key_max_age_seconds: float = 300.0

    budget_lease_seconds: float = 5.0
    budget_grace_seconds: float = 5.0
    budget_lease_max_units: int = 500
    budget_queue_max_uses: int = 10_000
    budget_batch_max_uses: int = 1_000
    budget_poll_seconds: float = 0.25

    peer_announcements: Literal["on", "off"] = "on"
    peer_interval_seconds: float = 0.002
    peer_kept_seconds: float = 60.0
    peer_max_rows: int = 100_000

    erasure_clock_slack_seconds: float = 5.0

    no_show_interval_seconds: float = 10.0
    no_show_max_rows: int = 100_000

    user_max_requests_per_second: float = 10.0
    user_burst_max_requests: int = 100
    key_max_requests_per_second: float = 1000.0
    key_burst_max_requests: int = 2000
    rate_limit_max_callers: int = 200_000

    max_connections: int = 2000
    max_requests_in_flight: int = 250
    queue_wait_max_seconds: float = 0.05
    queue_burst_seconds: float = 0.5
    head_timeout_seconds: float = 10.0
    head_max_bytes: int = 64 * 1024
    head_line_max_bytes: int = 8190
    head_max_fields: int = 100
    write_timeout_seconds: float = 30.0
    merge_lag_warn_seconds: float = 10.0

    cors_origins: tuple[str, ...] = ()  # web pages that may call; none: CORS is off
    body_max_bytes: int = 256 * 1024
    body_timeout_seconds: float = 10.0
    admin_body_max_bytes: int = 1024 * 1024
    audience_max_bytes: int = 512 * 1024 * 1024
    audience_max_seconds: float = 900.0
    audience_apply_max_rows_per_second: int = 12_000
    audience_open_max_uploads: int = 10
    audience_upload_kept_seconds: int = 86_400
    admin_pool_max_connections: int = 4

    stop_drain_seconds: float = 2.0
    stop_flush_seconds: float = 10.0
    stop_merge_seconds: float = 3.0
