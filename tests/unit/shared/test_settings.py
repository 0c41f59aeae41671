"""Settings: read once, frozen, and errors that name the variable."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from functions.admin.settings import AdminSettings
from functions.callback.settings import CallbackSettings
from functions.cluster.parameters import parameters_of
from functions.cluster.settings import ClusterSettings
from functions.detect.settings import DetectSettings
from shared.calibration import BUILT_IN, Calibration, PackConstants
from shared.errors import SettingsError
from shared.settings import Settings

COMPLETE = {
    "DATABASE_URL": "postgresql://somebody:secret@db/trombi",
    "GOOGLE_CLOUD_PROJECT": "project",
    "PHOTOS_BUCKET": "photos",
    "DERIVED_BUCKET": "derived",
    "JWT_SECRET": "s" * 32,
}
ALL: list[tuple[type[Settings], set[str]]] = [
    (AdminSettings, {"DATABASE_URL", "GOOGLE_CLOUD_PROJECT", "DERIVED_BUCKET"}),
    (CallbackSettings, {"DATABASE_URL", "GOOGLE_CLOUD_PROJECT", "DERIVED_BUCKET"}),
    (ClusterSettings, {"DATABASE_URL", "GOOGLE_CLOUD_PROJECT"}),
    (DetectSettings, {"DATABASE_URL", "GOOGLE_CLOUD_PROJECT", "PHOTOS_BUCKET", "DERIVED_BUCKET"}),
]


@pytest.fixture(autouse=True)
def complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in which every function starts, and nothing else that settings read."""
    for settings, _ in ALL:
        for name in settings.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
    for name, value in COMPLETE.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("settings", [settings for settings, _ in ALL])
def test_every_function_starts_with_what_it_needs_alone(settings: type[Settings]) -> None:
    read = settings.from_environment()
    assert read.google_cloud_project == "project"
    with pytest.raises(ValidationError, match="frozen"):
        setattr(read, "google_cloud_project", "another")  # noqa: B010 - mypy refuses it as well


@pytest.mark.parametrize(("settings", "needed"), ALL)
def test_every_missing_variable_is_named_at_once(
    settings: type[Settings], needed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in COMPLETE:
        monkeypatch.delenv(name)
    with pytest.raises(SettingsError) as caught:
        settings.from_environment()
    assert all(f"{name}: Field required" in str(caught.value) for name in needed)
    assert str(caught.value).count("required") == len(needed)


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        (ClusterSettings, "DATABASE_URL", "mysql://somebody:secret@db/trombi"),
        (ClusterSettings, "DATABASE_URL", ""),
        (ClusterSettings, "GOOGLE_CLOUD_PROJECT", " "),
        (ClusterSettings, "LOG_LEVEL", "LOUD"),
        (ClusterSettings, "DATABASE_POOL_SIZE", "0"),
        (ClusterSettings, "CLUSTER_MIN_CLUSTER_SIZE", "1"),
        (ClusterSettings, "CLUSTER_MIN_SAMPLES", "0"),
        (ClusterSettings, "CLUSTER_SELECTION_EPSILON", "nan"),
        (ClusterSettings, "CLUSTER_MAX_DISTANCE", "0"),
        (ClusterSettings, "CLUSTER_JOIN_SIMILARITY", "1.1"),
        (ClusterSettings, "CLUSTER_PAIRS", "on"),
        (ClusterSettings, "FACE_CALIBRATION", "constants.json"),
        (ClusterSettings, "FACE_CALIBRATION", '{"version": 2, "packs": {}}'),
        (CallbackSettings, "DERIVED_BUCKET", "x"),
        (CallbackSettings, "CLUSTER_EVERY", "0"),
        (CallbackSettings, "CLUSTER_MAX_WAIT", "-1"),
        (CallbackSettings, "CLUSTER_MAX_WAIT", "inf"),
        (CallbackSettings, "CLUSTER_MIN_INTERVAL", "nan"),
        (CallbackSettings, "CLUSTER_MIN_INTERVAL", "1e300"),
        (CallbackSettings, "JOB_STUCK_AFTER", "0"),
        (CallbackSettings, "JOB_STUCK_AFTER", "inf"),
        (CallbackSettings, "JOB_MAX_ATTEMPTS", "many"),
        (CallbackSettings, "PHOTO_GRACE", "-5"),
        (CallbackSettings, "LOW_PRIORITY_BATCH", "0"),
        (DetectSettings, "FACE_PACK", "antelope"),
        (DetectSettings, "MAX_PHOTO_BYTES", "0"),
        (AdminSettings, "JWT_SECRET", "too short a secret"),
        (AdminSettings, "JWT_JWKS_URL", "ftp://keys.example.org"),
    ],
)
def test_a_wrong_variable_is_named_and_its_value_kept_to_itself(
    settings: type[Settings], name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"need attention: {name}: ") as caught:
        settings.from_environment()
    assert "secret" not in str(caught.value)


def test_the_debounce_reads_the_documented_defaults() -> None:
    debounce = CallbackSettings.from_environment().debounce()
    assert (debounce.every, debounce.max_wait, debounce.min_interval) == (
        20,
        timedelta(seconds=120),
        timedelta(seconds=15),
    )


def test_the_clustering_reads_the_documented_defaults() -> None:
    for pack in (None, "mini", "buffalo_l"):
        parameters = ClusterSettings.from_environment().parameters(pack)
        assert (parameters.min_cluster_size, parameters.min_samples, parameters.cluster_selection_epsilon) == (
            3,
            2,
            0.4,
        )
        assert parameters == parameters_of(pack)


def test_single_constants_go_before_those_of_the_pack_and_the_source_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER_PAIRS", "0.61")
    parameters = ClusterSettings.from_environment().parameters("mini")
    assert parameters.pair_similarity == 0.61
    assert parameters.join_similarity == parameters_of("mini").join_similarity
    assert parameters.source == f"{parameters_of('mini').source}; CLUSTER_PAIRS as set"


def test_a_calibration_goes_before_what_is_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = BUILT_IN["mini"].cluster.model_copy(update={"source": "our club", "pair_similarity": 0.58})
    given = Calibration(version=1, packs={"buffalo_l": PackConstants(cluster=measured)})
    monkeypatch.setenv("FACE_CALIBRATION", given.model_dump_json())
    settings = ClusterSettings.from_environment()
    assert settings.parameters("buffalo_l/w600k_r50@4c06341c").pair_similarity == 0.58
    assert settings.parameters("buffalo_l/w600k_r50@4c06341c").source == "our club"
    assert settings.parameters("mini") == parameters_of("mini")


def test_an_empty_calibration_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACE_CALIBRATION", " ")
    assert ClusterSettings.from_environment().face_calibration is None


def test_a_face_rule_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLUSTER_MAX_DISTANCE", "CLUSTER_JOIN_SIMILARITY", "CLUSTER_PAIRS"):
        monkeypatch.setenv(name, "Off")
    parameters = ClusterSettings.from_environment().parameters("mini")
    assert (parameters.max_distance, parameters.join_similarity, parameters.pair_similarity) == (None, None, None)


def test_a_secret_is_not_shown() -> None:
    assert COMPLETE["JWT_SECRET"] not in repr(AdminSettings.from_environment())
