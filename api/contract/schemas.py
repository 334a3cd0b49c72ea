"""JSON Schemas of all forms at once, so that each model has one name."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import TypeAdapter

from api.contract.words import Form, Operation

Schema = dict[str, Any]

#: What pydantic puts in for people, and what stands beside it that is data and no schema.
_TITLE: Final = "title"
_DATA: Final = ("default", "enum", "const", "example", "examples")


class Schemas:
    """`components` by name; `of` a form of these operations refers to them."""

    def __init__(self, operations: Iterable[Operation], *others: Form) -> None:
        forms: dict[str, Form] = {repr(form): form for form in [*_forms(operations), *others]}
        found, definitions = TypeAdapter.json_schemas(
            # As they are written: what we answer is what may be sent.
            [(name, "validation", TypeAdapter(form)) for name, form in forms.items()],
            ref_template="#/components/schemas/{model}",
        )
        self.components: Mapping[str, Schema] = {
            name: _bare(schema) for name, schema in sorted(definitions.get("$defs", {}).items())
        }
        self._found = {name: _bare(schema) for (name, _), schema in found.items()}

    def of(self, form: Form) -> Schema:
        found: Schema = self._found[repr(form)]
        return found


def _forms(operations: Iterable[Operation]) -> Iterable[Form]:
    for operation in operations:
        yield from (parameter.form for parameter in operation.parameters)
        yield from (answer.form for answer in operation.answers if answer.form is not None)
        if operation.body is not None:
            yield operation.body.form


def _bare(schema: Any) -> Any:
    """Without the titles that pydantic makes of names."""
    if isinstance(schema, list):
        return [_bare(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    bare = {
        name: value if name in _DATA else _bare(value)
        for name, value in schema.items()
        if not (name == _TITLE and isinstance(value, str))
    }
    return _with_names(bare) if "patternProperties" in bare else bare


def _with_names(schema: Schema) -> Schema:
    """Pydantic would let names that don't match the pattern have any value; clients know no patterns."""
    ((pattern, value),) = schema.pop("patternProperties").items()
    return {**schema, "additionalProperties": value, "propertyNames": {"pattern": pattern}}
