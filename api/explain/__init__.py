"""Why a user is shown what he is shown: `GET /v1/admin/explain`."""
