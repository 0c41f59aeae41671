"""The provider's schema, as it is read out of the bindings, and the stub that serves it."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.terraform import provider_schema
from tests.terraform.plugin_protocol import MESSAGE, UNKNOWN, decoded, encoded, is_unknown
from tests.terraform.provider_schema import (
    BINDINGS,
    ROOT,
    SCHEMAS,
    SchemaError,
    as_text,
    provider_block_in,
    schemas_in,
    wanted_types,
)
from tests.terraform.provider_stub import ProviderStub
from tests.terraform.workspace import TerraformError, workspace

# In the form of the bindings: documented interfaces, then classes whose comments and constructors tell the schema.
SOURCE = """
export interface ThingConfig extends cdktn.TerraformMetaArguments {
  /**
  * How. Possible values: ["FAST", "SLOW"]
  *
  * Docs at Terraform Registry: {@link https://example/thing#mode Thing#mode}
  */
  readonly mode?: string;
}
export class ThingPartsOutputReference extends cdktn.ComplexObject {
  // size - computed: false, optional: false, required: true
  private _size?: number;
  public get size() {
    return this.getNumberAttribute('size');
  }
}
export class ThingPartsList extends cdktn.ComplexList {
}
export class ThingStateOutputReference extends cdktn.ComplexObject {
  // since - computed: true, optional: false, required: false
  public get since() {
    return this.getStringAttribute('since');
  }
}
export class ThingStateList extends cdktn.ComplexList {
}
export class ThingTimeoutsOutputReference extends cdktn.ComplexObject {
  // create - computed: false, optional: true, required: false
  private _create?: string;
  public get create() {
    return this.getStringAttribute('create');
  }
}
export class Thing extends cdktn.TerraformResource {
  public constructor(scope: Construct, id: string, config: ThingConfig) {
    super(scope, id, {
      terraformResourceType: 'google_thing',
    });
  }
  // labels - computed: true, optional: false, required: false
  private _labels = new cdktn.StringMap(this, "labels");
  public get labels() {
    return this._labels;
  }

  // mode - computed: false, optional: true, required: false
  private _mode?: string;
  public get mode() {
    return this.getStringAttribute('mode');
  }

  // password_wo - computed: false, optional: true, required: false
  private _passwordWo?: string;
  public get passwordWo() {
    return this.getStringAttribute('password_wo');
  }

  // tags - computed: false, optional: true, required: false
  private _tags?: string[];
  public get tags() {
    return cdktn.Fn.tolist(this.getListAttribute('tags'));
  }

  // parts - computed: false, optional: false, required: true
  private _parts = new ThingPartsList(this, "parts", true);
  public get parts() {
    return this._parts;
  }

  // state - computed: true, optional: false, required: false
  private _state = new ThingStateList(this, "state", false);
  public get state() {
    return this._state;
  }

  // timeouts - computed: false, optional: true, required: false
  private _timeouts = new ThingTimeoutsOutputReference(this, "timeouts");
  public get timeouts() {
    return this._timeouts;
  }

  protected synthesizeAttributes(): { [name: string]: any } {
    return {
      password_wo: this.markWriteOnlyAttribute(cdktn.stringToTerraform(this._passwordWo)),
    };
  }
}
"""
THING: dict[str, Any] = {
    "version": 0,
    "block": {
        "attributes": {
            "labels": {"type": ["map", "string"], "computed": True},
            "mode": {"type": "string", "optional": True, "values": ["FAST", "SLOW"]},
            "password_wo": {"type": "string", "optional": True, "write_only": True},
            "state": {"type": ["list", ["object", {"since": "string"}]], "computed": True},
            "tags": {"type": ["set", "string"], "optional": True},
        },
        "block_types": {
            "parts": {
                "nesting_mode": "set",
                "min_items": 1,
                "block": {"attributes": {"size": {"type": "number", "required": True}}},
            },
            "timeouts": {
                "nesting_mode": "single",
                "block": {"attributes": {"create": {"type": "string", "optional": True}}},
            },
        },
    },
}


def test_a_schema_is_read_out_of_the_bindings() -> None:
    assert dict(schemas_in(SOURCE)) == {"google_thing": THING}


def test_what_is_not_understood_is_refused_by_name() -> None:
    with pytest.raises(SchemaError, match=r"Thing\.mode: no getter"):
        list(schemas_in(SOURCE.replace("return this.getStringAttribute('mode')", "return this._mode")))
    with pytest.raises(SchemaError, match="no class describes what ThingPartsList holds"):
        list(schemas_in(SOURCE.replace("class ThingPartsOutputReference", "class Unknown")))


def test_the_provider_s_own_settings_are_read() -> None:
    source = """
export class GoogleProvider extends cdktn.TerraformProvider {
  // alias - computed: false, optional: true, required: false
  private _alias?: string;

  // project - computed: false, optional: true, required: false
  private _project?: string;

  // default_labels - computed: false, optional: true, required: false
  private _defaultLabels?: { [key: string]: string };
}
"""
    attributes = {
        "project": {"type": "string", "optional": True},
        "default_labels": {"type": ["map", "string"], "optional": True},
    }
    assert provider_block_in(source) == {"attributes": attributes, "block_types": {}}


def test_a_wheel_that_is_another_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def put(*_: object, **__: object) -> None:
        (tmp_path / "cdktn_provider_random-15.0.1-py3-none-any.whl").write_bytes(b"another")

    monkeypatch.setattr(subprocess, "run", put)
    with pytest.raises(SchemaError, match="has sha256"):
        provider_schema._download(BINDINGS[1], tmp_path)


def test_the_file_holds_what_terraform_uses_and_nothing_else() -> None:
    schemas = json.loads(SCHEMAS.read_text())
    found = set()
    for provider in schemas.values():
        found |= set(provider["resource_schemas"])
        found |= {f"data.{name}" for name in provider["data_source_schemas"]}
        found |= {f"ephemeral.{name}" for name in provider["ephemeral_resource_schemas"]}
    assert found == wanted_types(ROOT / "terraform"), "run make terraform-schema"
    assert as_text(schemas) == SCHEMAS.read_text()


def test_the_file_is_of_the_version_that_terraform_asks_for() -> None:
    schemas = json.loads(SCHEMAS.read_text())
    wanted = (ROOT / "terraform" / "versions.tf").read_text()
    assert schemas["hashicorp/google"]["version"] == "7.46.1"
    assert 'version = ">= 7.40.0, < 8.0.0"' in wanted


# ---------------------------------------------------------------- the stub


def stub() -> ProviderStub:
    """A provider of things."""
    schemas = {"resource_schemas": {"google_thing": THING}, "data_source_schemas": {}, "ephemeral_resource_schemas": {}}
    return ProviderStub({"provider": {"version": 0, "block": {}}, **schemas})


def thing(**given: Any) -> dict[str, Any]:
    names = [*THING["block"]["attributes"], *THING["block"]["block_types"]]
    return {**dict.fromkeys(names), "parts": [{"size": 1}], **given}


def refusals(config: dict[str, Any]) -> list[str]:
    request = MESSAGE["TypedRequest"](type_name="google_thing", config=encoded(config))
    return [str(one.summary) for one in stub().ValidateResourceConfig(request).diagnostics]


def test_values_that_are_not_listed_and_attributes_of_the_cloud_are_refused() -> None:
    assert refusals(thing(mode="FAST")) == []
    assert refusals(thing(mode=UNKNOWN)) == []
    assert refusals(thing(mode="faster")) == ["expected mode to be one of FAST, SLOW, got faster"]
    assert refusals(thing(labels={"a": "b"})) == ["labels is set by the cloud"]


def test_a_plan_leaves_open_what_the_cloud_decides_and_an_apply_fills_it() -> None:
    provider = stub()
    proposed = thing(password_wo="secret")
    plan = MESSAGE["PlanRequest"](
        type_name="google_thing", prior_state=encoded(None), proposed_new_state=encoded(proposed)
    )
    planned = decoded(provider.PlanResourceChange(plan).planned_state)
    assert is_unknown(planned["labels"])
    assert is_unknown(planned["state"])
    assert planned["password_wo"] is None
    apply = MESSAGE["ApplyRequest"](
        type_name="google_thing", prior_state=encoded(None), planned_state=encoded(planned), config=encoded(proposed)
    )
    applied = decoded(provider.ApplyResourceChange(apply).new_state)
    assert (applied["labels"], applied["state"], applied["password_wo"]) == ({}, [], None)
    again = MESSAGE["PlanRequest"](
        type_name="google_thing", prior_state=encoded(applied), proposed_new_state=encoded(applied)
    )
    assert decoded(provider.PlanResourceChange(again).planned_state) == applied


def test_what_is_away_is_refused_and_what_was_there_stays() -> None:
    provider = stub()
    provider.away = {"google_thing"}
    apply = MESSAGE["ApplyRequest"](
        type_name="google_thing",
        prior_state=encoded(thing()),
        planned_state=encoded(thing(mode="FAST")),
        config=encoded(thing(mode="FAST")),
    )
    answer = provider.ApplyResourceChange(apply)
    assert [one.summary for one in answer.diagnostics] == ["google_thing is away: try again"]
    assert decoded(answer.new_state) == thing()


@pytest.mark.parametrize(
    ("configuration", "refused"),
    [
        ('name = "a-topic"\n  nonsense = 1', "Unsupported argument"),
        ("", 'The argument "name" is required'),
        ('name = "a-topic"\n  effective_labels = {}', "Value for unconfigurable attribute|set by the cloud"),
        ('name = ["a-topic"]', "string required"),
        (
            'name = "a-topic"' + '\n  message_storage_policy {\n    allowed_persistence_regions = ["x"]\n  }' * 2,
            "Too many message_storage_policy blocks",
        ),
    ],
)
def test_the_real_terraform_refuses_by_the_real_schema(configuration: str, refused: str) -> None:
    with tempfile.TemporaryDirectory() as folder, workspace(Path(folder)) as made:
        for file in made.folder.glob("*.tf"):
            if file.name not in {"backend_override.tf", "versions.tf"}:
                file.unlink()
        (made.folder / "versions.tf").write_text(
            'terraform {\n  required_providers {\n    google = {\n      source = "hashicorp/google"\n    }\n  }\n}\n'
            'provider "google" {\n  project = "a-project"\n}\n'
        )
        (made.folder / "main.tf").write_text(f'resource "google_pubsub_topic" "this" {{\n  {configuration}\n}}\n')
        with pytest.raises(TerraformError, match=refused):
            made.terraform("validate", "-no-color")
