"""Constants of model packs: whose they are, and how a file with others is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from functions.cluster.parameters import DEFAULTS, parameters_of
from functions.detect.pack_list import PACKS
from shared.calibration import BUILT_IN, Calibration, CalibrationError, PackConstants, constants_of, read_calibration


def content() -> dict[str, Any]:
    """A calibration file that is right, as its JSON reads."""
    written: dict[str, Any] = Calibration(version=1, packs={"mini": BUILT_IN["mini"]}).model_dump(mode="json")
    return written


def measured(source: str, pair_similarity: float = 0.61) -> PackConstants:
    updated = {"source": source, "pair_similarity": pair_similarity}
    return PackConstants(cluster=BUILT_IN["mini"].cluster.model_copy(update=updated))


@pytest.mark.parametrize("name", PACKS)
def test_every_pack_has_constants_of_its_own_by_name_and_by_model_id(name: str) -> None:
    assert constants_of(name) is BUILT_IN[name]
    assert constants_of(PACKS[name].model_id) is BUILT_IN[name]


def test_only_the_pack_that_was_measured_says_so() -> None:
    assert {name for name, constants in BUILT_IN.items() if constants.cluster.measured} == {"mini"}


@pytest.mark.parametrize(
    ("pack", "own"),
    [("mini-mirrored", "mini"), ("buffalo_l-int8-1234abcd", "buffalo_l"), ("mini-mirrored/mobilefacenet@1", "mini")],
)
def test_a_variant_borrows_its_pack_s_constants_and_is_not_measured(pack: str, own: str) -> None:
    borrowed = constants_of(pack).cluster
    assert borrowed.model_dump(exclude={"source", "measured"}) == BUILT_IN[own].cluster.model_dump(
        exclude={"source", "measured"}
    )
    assert not borrowed.measured
    assert borrowed.source == f"{BUILT_IN[own].cluster.source} ({pack.partition('/')[0]} has none of its own)"


@pytest.mark.parametrize(
    ("pack", "reason"), [("another/x@1", "the pack another is not known"), (None, "no pack is known")]
)
def test_an_unknown_pack_has_the_defaults_and_the_source_says_why(pack: str | None, reason: str) -> None:
    parameters = parameters_of(pack)
    assert parameters.source == f"{DEFAULTS.source} ({reason})"
    assert parameters.join_similarity == DEFAULTS.join_similarity


def test_what_a_file_says_of_the_model_id_goes_before_the_pack_and_the_pack_before_what_is_built_in() -> None:
    model = PACKS["mini"].model_id
    by_both = Calibration(version=1, packs={"mini": measured("the pack"), model: measured("the model")})
    assert constants_of(model, by_both).cluster.source == "the model"
    assert constants_of("mini", by_both).cluster.source == "the pack"
    assert constants_of("mini-mirrored", by_both).cluster.source == "the pack (mini-mirrored has none of its own)"
    assert constants_of("auraface", by_both) is BUILT_IN["auraface"]


def test_a_variant_s_own_constants_go_before_its_pack_s() -> None:
    own = Calibration(version=1, packs={"mini-mirrored": measured("the variant")})
    assert constants_of("mini-mirrored/mobilefacenet@1", own).cluster.source == "the variant"
    assert constants_of("mini", own) is BUILT_IN["mini"]


def test_what_was_written_is_read() -> None:
    packs = dict(BUILT_IN)
    assert read_calibration(Calibration(version=1, packs=packs).model_dump_json()).packs == packs


def test_sections_for_later_may_be_left_out_and_rules_may_be_off() -> None:
    file = content()
    del file["packs"]["mini"]["search"], file["packs"]["mini"]["across_events"]
    file["packs"]["mini"]["cluster"]["pair_similarity"] = None
    file["packs"]["mini"]["cluster"]["join_evidence"] = 0
    constants = read_calibration(json.dumps(file)).packs["mini"]
    assert constants.search is None
    assert constants.across_events is None
    assert constants.cluster.pair_similarity is None


def forget(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda file: file["packs"]["mini"]["cluster"].pop(name)


def put(name: str, value: object) -> Callable[[dict[str, Any]], Any]:
    return lambda file: file["packs"]["mini"]["cluster"].update({name: value})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.update(version=2), "version: Input should be 1"),
        (lambda file: file.update(version=True), "version: Value error, a version is an integer"),
        (lambda file: file.pop("version"), "version: Field required"),
        (lambda file: file.update(packs={}), "packs: Dictionary should have at least 1 item"),
        (lambda file: file.update(extra=1), "extra: Extra inputs are not permitted"),
        (forget("join_margin"), "packs.mini.cluster.join_margin: Field required"),
        (put("join_similarity", "0.5"), "packs.mini.cluster.join_similarity: Input should be a valid number"),
        (put("join_similarity", 1.5), "packs.mini.cluster.join_similarity: Input should be less than or equal to 1"),
        (put("fragment_similarity", None), "packs.mini.cluster.fragment_similarity: Input should be a valid number"),
        (put("join_similarty", 0.5), "packs.mini.cluster.join_similarty: Extra inputs are not permitted"),
        (put("source", ""), "packs.mini.cluster.source: String should have at least 1 character"),
        (put("max_distance", float("nan")), "packs.mini.cluster.max_distance: Input should be a finite number"),
    ],
)
def test_a_wrong_file_is_refused_and_the_place_is_named(spoil: Callable[[dict[str, Any]], Any], said: str) -> None:
    file = content()
    spoil(file)
    with pytest.raises(CalibrationError) as caught:
        read_calibration(json.dumps(file))
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "constants.json", "\x00", "[]", "null", "1e999"])
def test_what_is_no_calibration_is_refused(text: str) -> None:
    with pytest.raises(CalibrationError):
        read_calibration(text)


def test_the_name_of_a_file_in_the_place_of_its_content_is_told() -> None:
    with pytest.raises(CalibrationError, match="the JSON itself, not the name of a file"):
        read_calibration("/etc/trombi/calibration.json")
    with pytest.raises(CalibrationError) as caught:
        read_calibration('{"version": 1,')
    assert "name of a file" not in str(caught.value)


def test_an_error_names_a_few_problems_and_counts_the_others() -> None:
    file = content()
    file["packs"]["mini"]["cluster"] = {}
    with pytest.raises(CalibrationError, match=r"Field required \(and 11 more\)$"):
        read_calibration(json.dumps(file))
