"""The contract against the code: routes, codes, parameters, examples, and the page made of it."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31

from api import errors
from api.access.table import TABLE
from api.app import create_app, create_backoffice
from api.contract.document import document
from api.contract.handler import routes_of
from api.contract.page import page
from api.contract.routes import OPERATIONS
from api.errors import Code
from tests.support.contract import Forms, resolved
from tests.support.service import offline_config

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
DOCUMENT = document(routes_of(create_app(offline_config())))

#: Of v1. Generated clients have methods of these names, so none may go or change; new ones may come.
NAMES = """
    getPopups postImpressions postInteractions listCampaigns createCampaign getCampaign
    replaceCampaign patchCampaign archiveCampaign createPreview getAudienceSize uploadAudience
    getReport getNoShows explain getPolicy replacePolicy listAudit listTestUsers putTestUser
    listAudienceUploads createAudienceUpload getAudienceUpload appendAudienceUpload
    deleteAudienceUpload completeAudienceUpload eraseUser getErasure
    deleteTestUser listKeys createKey getKey rotateKey revokeKey getHealth getReadiness getMetrics
    getOpenapi getDocs getDocsStyle
"""


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def described(whole: dict[str, Any]) -> set[str]:
    return {f"{method.upper()} {path}" for path, item in whole["paths"].items() for method in item}


def test_it_is_openapi_3_1() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    jsonschema_rs.validator_for(OPENAPI_31).validate(DOCUMENT)
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid({"$schema": _DIALECT, **schema}), name


def test_it_has_exactly_the_routes_of_the_application() -> None:
    for app in (create_app(offline_config()), create_backoffice(offline_config())):
        assert described(document(routes_of(app))) == routes_of(app)
    assert set(OPERATIONS) == set(TABLE)


def test_a_route_that_is_not_described_is_refused() -> None:
    with pytest.raises(ValueError, match=r"GET /v1/secrets is not described: do so in api/contract/routes"):
        document(["GET /v1/secrets"])


def test_every_error_code_stands_at_a_route() -> None:
    codes = {value.code: value.status for value in vars(errors).values() if isinstance(value, Code)}
    responses = DOCUMENT["components"]["responses"]

    documented = {code: int(name[:3]) for name, each in responses.items() for code in each["x-codes"]}
    assert documented == codes


def test_operations_have_names_and_path_parameters_of_their_own() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]

    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", name) for name in names)
    for _, path, operation in operations():
        found = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
        assert found == set(re.findall(r"\{(\w+)\}", path)), path


def test_no_name_of_v1_has_gone() -> None:
    assert set(NAMES.split()) <= {operation["operationId"] for _, _, operation in operations()}


def test_the_scopes_are_those_of_the_table() -> None:
    for method, path, operation in operations():
        access = TABLE[f"{method} {path}"]
        named = [
            set(each.items()) for each in ({k: tuple(v) for k, v in s.items()} for s in operation["security"])
        ]
        assert {scope for each in named for name, scopes in each for scope in scopes} == access.scopes
        assert any(("userJwt", ()) in each for each in named) == access.users
        assert (not named) == access.public


def test_links_lead_to_operations_and_their_parameters() -> None:
    by_id = {operation["operationId"]: operation for _, _, operation in operations()}
    links = [
        link
        for operation in by_id.values()
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    ]

    assert len(links) > 30
    for link in links:
        parameters = {each["name"] for each in by_id[link["operationId"]].get("parameters", ())}
        assert set(link.get("parameters", ())) <= parameters, link


def examples() -> Iterator[tuple[str, Any, Any]]:
    """Where it stands, its schema, and the example."""
    for _, _, operation in operations():
        name = operation["operationId"]
        for each in operation.get("parameters", ()):
            if "example" in each:
                yield f"{name} {each['name']}", each["schema"], each["example"]
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in bodies:
            for content in resolved(DOCUMENT, body).get("content", {}).values():
                yield name, content["schema"], content["example"]
    for name, schema in DOCUMENT["components"]["schemas"].items():
        for member, each in schema.get("properties", {}).items():
            for example in each.get("examples", ()):
                yield f"{name}.{member}", each, example


def test_examples_are_valid() -> None:
    forms, found = Forms(DOCUMENT), list(examples())

    assert len(found) > 150
    wrong = [
        (name, error.message)
        for name, schema, example in found
        for error in forms.validator(schema, strict=True).iter_errors(example)
    ]
    assert wrong == []


def test_an_example_that_is_wrong_would_be_found() -> None:
    forms, campaign = Forms(DOCUMENT), {"$ref": "#/components/schemas/Campaign"}
    example = DOCUMENT["paths"]["/v1/admin/campaigns/{id}"]["get"]["responses"]["200"]
    example = example["content"]["application/json"]["example"]

    assert forms.validator(campaign, strict=True).is_valid(example)
    for spoilt in ({"id": "17"}, {"created_at": "yesterday"}, {"surprise": 1}, {"caps": [{"limit": 1}]}):
        assert not forms.validator(campaign, strict=True).is_valid({**example, **spoilt}), spoilt
    assert forms.validator(campaign).is_valid({**example, "surprise": 1}), "new members may come"


def test_the_page_has_a_place_for_every_operation_and_schema() -> None:
    html = page(DOCUMENT)

    anchors = set(re.findall(r' id="([^"]+)"', html))
    assert {operation["operationId"] for _, _, operation in operations()} <= anchors
    assert {f"schema-{name}" for name in DOCUMENT["components"]["schemas"]} <= anchors
    assert set(re.findall(r'href="#([^"]+)"', html)) <= anchors
    assert html.count("curl") == sum(1 for _ in operations())


def test_the_page_needs_nothing_from_elsewhere() -> None:
    html = page(DOCUMENT)

    assert set(re.findall(r'(?:src|href)="([^"#]+)"', html)) == {"data:,", "/docs/style.css", "/openapi.json"}
    assert "<script" not in html
    assert not re.search(r'<[^>]+ (?:style|on\w+)="', html)


def test_what_is_described_cannot_become_markup() -> None:
    spoilt = json.loads(json.dumps(DOCUMENT))
    spoilt["paths"]["/healthz"]["get"]["summary"] = "<script>alert(1)</script>"

    assert "<script" not in page(spoilt)
