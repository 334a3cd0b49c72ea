"""All settings, from the environment (prefix `TAYANG_`). docs/settings.md lists them; a test compares."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.sources import DotEnvSettingsSource

from api.config import ApiConfig
from buffer.hosts import split_hosts
from maintenance.settings import MaintenanceConfig

#: `tayang up` writes it and removes it; the other commands find the running service by it.
RUN_FILE = "up.env"


class SettingsError(Exception):
    """The settings can't be used: one line that names the variable and the remedy (exit code 2)."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="TAYANG_", extra="ignore", validate_default=True)

    primary_dsn: str = Field("", description="PostgreSQL primary; wins over the embedded one")
    replica_dsn: str = Field("", description="where popups are read; empty: the primary")
    http_host: str = Field("127.0.0.1", description="address of the API and the backoffice")
    http_port: int = Field(8080, ge=0, le=65535, description="port of the API; 0: any free one")
    backoffice_port: int = Field(8081, ge=0, le=65535, description="port of the backoffice; 0: any free one")
    workers: int = Field(1, ge=1, le=64, description="api processes; one a core")
    data_dir: Path = Field(Path(".tayang"), description="embedded servers and made-up secrets of `tayang up`")
    embedded_shared_buffers_mib: int = Field(
        256, ge=16, le=1_048_576, description="`shared_buffers` of each embedded server"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level logged")

    admin_key: str = Field("", repr=False, description="bearer key of the admin API, 16 characters or more")
    token_secrets: Annotated[tuple[str, ...], NoDecode] = Field(
        (), repr=False, description="secrets of popup tokens, comma-separated; the first signs, all verify"
    )
    user_jwt_secret: str = Field(
        "", repr=False, description="HS256 secret of the users' JWTs, 32 bytes or more"
    )
    user_jwt_public_key_file: Path | None = Field(
        None, description="PEM public key of the users' JWTs (RS256, ES256, EdDSA) instead of the secret"
    )
    user_jwt_jwks_file: Path | None = Field(
        None, description="several keys of the users' JWTs (JWKS), reloaded when it changes; wins over both"
    )
    user_jwt_jwks_poll_seconds: float = Field(
        1.0, ge=0.01, le=3600, description="pause between two looks at the JWKS file"
    )
    user_jwt_audience: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="`aud` of the users' JWTs, comma-separated: one must match; empty: not looked at"
    )
    user_jwt_issuer: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="`iss` of the users' JWTs, comma-separated: one must match; empty: not looked at"
    )
    user_jwt_leeway_seconds: float = Field(
        30.0, ge=0, le=300, description="how far `iat` and `nbf` may be in the future (clocks differ)"
    )

    show_within_seconds: int = Field(600, ge=1, le=86_400, description="a popup's `expires_at` after serving")
    accept_within_seconds: int = Field(
        86_400, ge=1, description="an impression is accepted this long after serving (phones go offline)"
    )
    next_fetch_seconds: int = Field(60, ge=1, le=86_400, description="when the app should ask again")

    pending_max_rows: int = Field(
        250_000, ge=100, description="unmerged events of a process; then 503 (about 0.6 KB each)"
    )
    remembered_max_rows: int = Field(
        100_000, ge=1000, description="merged events whose resend is recognised without another row"
    )
    flush_max_rows: int = Field(10_000, ge=1, le=1_000_000, description="rows in one COPY")
    idle_probe_seconds: float = Field(
        0.5, gt=0, le=60, description="how soon an idle process notices that its buffered rows are gone"
    )
    ack_timeout_seconds: float = Field(5.0, gt=0, le=60, description="wait for the COPY's commit; then 503")
    stop_drain_seconds: float = Field(
        2.0, ge=0, le=60, description="at a stop: time for idle clients to ask once more"
    )
    reload_ready_seconds: float = Field(
        30.0, gt=0, le=600, description="rolling restart: time for a new worker to get ready"
    )
    stop_flush_seconds: float = Field(10.0, gt=0, le=300, description="time to flush at a stop")
    stop_merge_seconds: float = Field(3.0, ge=0, le=300, description="time to see the rest merged at a stop")

    read_queue_max_requests: int = Field(10_000, ge=1, description="requests waiting to be read; then 503")
    read_batch_max_users: int = Field(512, ge=1, le=10_000, description="users in one read batch")
    verified_max_tokens: int = Field(
        200_000, ge=2, description="verified JWTs remembered until they expire (about 0.4 KB each)"
    )
    key_poll_seconds: float = Field(
        0.25, ge=0.05, le=60, description="how soon a process hears of a new, rotated or revoked API key"
    )
    key_max_age_seconds: float = Field(
        300.0, ge=1, le=86_400, description="API keys hold so long while the primary can't be asked; then 503"
    )
    read_timeout_seconds: float = Field(
        1.0, gt=0, le=30, description="wait for one server's answer to a read"
    )
    database_timeout_seconds: float = Field(5.0, gt=0, le=60, description="wait for a connection or a COPY")
    connect_stagger_seconds: float = Field(
        0.25, ge=0.01, le=5, description="wait for a host of the primary's before the next is asked too"
    )
    max_staleness_seconds: float = Field(
        5.0, gt=0, le=3600, description="a replica further behind isn't read"
    )

    budget_lease_seconds: float = Field(
        5.0, ge=0.5, le=300, description="how long popups are served with one lease of a hard budget"
    )
    budget_grace_seconds: float = Field(
        5.0, ge=1, le=300, description="how much later than `expires_at` a lease is closed"
    )
    budget_lease_max_units: int = Field(
        500, ge=1, le=1_000_000, description="popups of a hard budget in one lease"
    )
    budget_queue_max_uses: int = Field(
        10_000, ge=100, description="impressions of hard budgets that wait to be checked; then 503"
    )
    budget_batch_max_uses: int = Field(
        1_000, ge=1, le=100_000, description="impressions of hard budgets checked at once"
    )
    budget_poll_seconds: float = Field(
        0.25, gt=0, le=60, description="pause between two looks at what soft budgets have spent"
    )

    peer_announcements: Literal["on", "off"] = Field(
        "on", description="tell other api processes of new impressions at once, before their merge"
    )
    peer_interval_seconds: float = Field(
        0.002, ge=0, le=10, description="least time between two announcements of a process"
    )
    peer_kept_seconds: float = Field(
        60.0, ge=1, le=3600, description="others' impressions are remembered so long, if no merge comes"
    )
    peer_max_rows: int = Field(
        100_000, ge=100, description="others' unmerged impressions remembered (about 0.4 KB each)"
    )

    erasure_clock_slack_seconds: float = Field(
        5.0,
        ge=0,
        le=3600,
        description="popups served to a user so long after his erasure don't count either: how far clocks of "
        "api processes may be ahead of the database's",
    )

    no_show_interval_seconds: float = Field(
        10.0, ge=0.1, le=3600, description="pause between two writes of why campaigns were not shown"
    )
    no_show_max_rows: int = Field(
        100_000, ge=1000, description="such counts (campaign and reason) that wait for the primary"
    )

    user_max_requests_per_second: float = Field(
        10.0, ge=0, le=1_000_000, description="of one user, in one process; 0: no limit"
    )
    user_burst_max_requests: int = Field(
        100, ge=1, le=1_000_000, description="of one user at once, before that rate counts"
    )
    key_max_requests_per_second: float = Field(
        1000.0, ge=0, le=1_000_000, description="for users by one API key, in one process; 0: no limit"
    )
    key_burst_max_requests: int = Field(
        2000, ge=1, le=1_000_000, description="by one API key at once, before that rate counts"
    )
    rate_limit_max_callers: int = Field(
        200_000, ge=2, description="users, and keys, whose requests are remembered (about 0.2 KB each)"
    )

    max_connections: int = Field(2000, ge=1, le=100_000, description="open to one process; then 503")
    max_requests_in_flight: int = Field(
        250, ge=1, description="of each kind, popups and impressions, in one process; then 503"
    )
    queue_wait_max_seconds: float = Field(
        0.05, gt=0, le=60, description="a process where requests wait longer admits fewer"
    )
    queue_burst_seconds: float = Field(
        0.5, ge=0, le=60, description="for so long a longer wait is taken for a burst"
    )
    head_timeout_seconds: float = Field(
        10.0, gt=0, le=300, description="wait for a whole request head; then 408"
    )
    head_max_bytes: int = Field(64 * 1024, ge=1024, description="a head that comes in parts; then 431")
    head_line_max_bytes: int = Field(
        8190, ge=256, le=65_536, description="request line, or a field; then 431"
    )
    head_max_fields: int = Field(100, ge=8, le=1000, description="header fields of a request; then 431")
    write_timeout_seconds: float = Field(
        30.0, gt=0, le=600, description="a client that reads nothing of its answer for so long is cut off"
    )
    merge_lag_warn_seconds: float = Field(
        10.0, gt=0, le=3600, description="age of an unmerged event at which readiness and log warn"
    )

    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="web pages that may call from a browser: origins, comma-separated; empty: none"
    )
    body_max_bytes: int = Field(256 * 1024, ge=1024, description="largest body of a mobile request")
    body_timeout_seconds: float = Field(10.0, gt=0, le=300, description="wait for a mobile request's body")
    admin_body_max_bytes: int = Field(1024 * 1024, ge=1024, description="largest body of an admin request")
    admin_pool_max_connections: int = Field(
        4, ge=1, le=100, description="connections of the admin API to the primary, for each process"
    )
    audience_max_bytes: int = Field(512 * 1024 * 1024, ge=1, description="largest audience upload")
    audience_max_seconds: float = Field(900.0, gt=0, description="longest audience upload")
    audience_apply_max_rows_per_second: int = Field(
        12_000, ge=0, description="pace at which an audience is written; 0: as fast as it can be"
    )
    audience_open_max_uploads: int = Field(
        10, ge=1, le=1000, description="resumable audience uploads that are not applied; then 409"
    )
    audience_upload_kept_seconds: int = Field(
        86_400, ge=1, le=2_592_000, description="a resumable upload is kept so long after its last part"
    )

    merge_interval_seconds: float = Field(0.25, ge=0.01, le=3600, description="pause between merges")
    buffer_persistence: Literal["unlogged", "logged"] = Field(
        "unlogged", description="`logged` also survives two failures within a merge interval"
    )
    buffer_synchronous_commit: Literal["on", "off"] = Field(
        "on", description="`off`: a COPY into a logged buffer is acknowledged before it is on disk"
    )
    duty_timeout_seconds: float = Field(
        300.0, ge=1, le=86_400, description="a merge or a detach that takes longer is taken for hung"
    )
    impression_retention_days: int = Field(35, ge=2, le=3650, description="age at which days of the log go")
    daily_count_retention_days: int = Field(800, ge=32, le=36_500, description="age at which daily counts go")

    @field_validator("token_secrets", "user_jwt_audience", "user_jwt_issuer", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part for part in value.split(",") if part) if isinstance(value, str) else value

    @field_validator("primary_dsn", "replica_dsn")
    @classmethod
    def _has_hosts(cls, dsn: str, info: ValidationInfo) -> str:
        try:
            if dsn:
                split_hosts(dsn)
        except ValueError as error:  # pydantic would show the value, and there is a password in it
            raise SettingsError(f"TAYANG_{str(info.field_name).upper()}: {error}") from error
        return dsn

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment, and below it what a running `tayang up` has left in the data directory."""
        del dotenv_settings, file_secret_settings
        data_dir = Path(env_settings().get("data_dir") or ".tayang")
        run_file = DotEnvSettingsSource(settings_cls, env_file=data_dir / RUN_FILE, env_prefix="TAYANG_")
        return init_settings, env_settings, run_file

    def api(self, worker: int = 0, runtime_dir: Path | None = None) -> ApiConfig:
        """For an api process. Raises SettingsError if something it can't do without is missing."""
        # Every command loads this module, and few need these, whose imports are slow.
        from api.auth import authenticator  # noqa: PLC0415
        from api.http.cors import check_origins  # noqa: PLC0415
        from api.tokens import TokenSigner  # noqa: PLC0415

        self.require_primary()
        if len(self.admin_key) < 16:  # noqa: PLR2004  (128 bits of hex is 32; below 16 it can be guessed)
            raise SettingsError("TAYANG_ADMIN_KEY is missing or shorter than 16 characters: set a random one")
        self._check_retention()
        fields = ApiConfig.__dataclass_fields__.keys() & type(self).model_fields.keys()
        values = {name: getattr(self, name) for name in fields}
        config = ApiConfig(**values, worker=worker, runtime_dir=runtime_dir)
        try:
            TokenSigner(self.token_secrets)
            authenticator(config)
            check_origins(config.cors_origins)
        except ValueError as error:
            raise SettingsError(str(error)) from error
        return config

    def maintenance(self) -> MaintenanceConfig:
        """For the maintenance process. Raises SettingsError."""
        self.require_primary()
        self._check_retention()
        fields = MaintenanceConfig.__dataclass_fields__.keys() & type(self).model_fields.keys()
        return MaintenanceConfig(**{name: getattr(self, name) for name in fields})

    def require_primary(self) -> None:
        if not self.primary_dsn:
            raise SettingsError(
                "TAYANG_PRIMARY_DSN is not set: name a PostgreSQL primary, or start 'tayang up' (make run)"
            )

    def _check_retention(self) -> None:
        if self.accept_within_seconds >= (self.impression_retention_days - 1) * 86_400:
            raise SettingsError(
                "TAYANG_ACCEPT_WITHIN_SECONDS must be at least a day less than "
                "TAYANG_IMPRESSION_RETENTION_DAYS: the log must still know what is sent again"
            )


class OwnSettings(Settings):
    """For `tayang up` itself: what an earlier one has left, perhaps because it was killed, isn't for it."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del settings_cls, dotenv_settings, file_secret_settings
        return init_settings, env_settings


def load_settings(kind: type[Settings] = Settings, /, **overrides: Any) -> Settings:
    """Raises SettingsError naming the variable."""
    try:
        return kind(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        name = "TAYANG_" + str(first["loc"][0]).upper() if first["loc"] else "the settings"
        raise SettingsError(f"{name}: {first['msg']} (got {first['input']!r})") from error
