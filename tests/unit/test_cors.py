"""Which origins the setting takes: as browsers write them, since they are compared as text."""

import pytest

from api.http.cors import check_origins
from tayang.settings import SettingsError, load_settings

SECRETS = {
    "primary_dsn": "postgresql://nowhere/",
    "admin_key": "k" * 16,
    "token_secrets": ("s" * 16,),
    "user_jwt_secret": "u" * 32,
}


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com",
        "http://localhost:5173",
        "https://10.0.0.1:8443",
        "http://[::1]:8080",
        "https://xn--bcher-kva.example",
    ],
)
def test_origins_as_browsers_write_them(origin: str) -> None:
    check_origins((origin, origin))


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "null",
        "",
        "app.example.com",
        "https://app.example.com/",
        "https://*.example.com",
        "https://App.example.com",
        "https://app.example.com:443",
        "http://app.example.com:80",
        "https://app.example.com:65536",
        "https://app.example.com:0",
        "https://me@app.example.com",
        "https://app.example.com?x",
        "ftp://app.example.com",
        "https://app.example.com\n",
        " https://app.example.com",
        "https://büc.example",
    ],
)
def test_everything_else_keeps_the_service_from_starting(origin: str) -> None:
    with pytest.raises(ValueError, match="TAYANG_CORS_ORIGINS"):
        check_origins(("https://app.example.com", origin))
    with pytest.raises(SettingsError, match="TAYANG_CORS_ORIGINS"):
        load_settings(cors_origins=("https://app.example.com", origin), **SECRETS).api()


def test_the_setting_is_a_list() -> None:
    settings = load_settings(cors_origins="https://a.example,http://localhost:5173", **SECRETS)
    assert settings.api().cors_origins == ("https://a.example", "http://localhost:5173")
