"""What comes of each kind of file, and that docs/formats.md says so."""

import numpy as np
import pytest

from shared.decode import BadImage, NotAnImage, decode, memory_needed
from tests.unit.shared.format_cases import CASES, Case, Read, Refused, Skipped
from tests.unit.shared.formats_document import PATH, document
from tests.unit.shared.photo_files import CORNERS, corner_colours

# Pillow warns about damaged metadata, the decoder silences that for the process, pytest undoes it for its tests.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

_TOLERANCE = 40
# The card's, and those of the cards in raw files: no thumbnail's.
_FULL_SIZES = {(96, 64), (192, 128), (1344, 896)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.group}: {case.what}")
def test_what_comes_of_a_kind_of_file(case: Case) -> None:
    data = case.make()
    match case.outcome:
        case Read():
            photo = decode(data)
            told = np.asarray(corner_colours(photo.rgb), dtype=float)
            grey = len({tuple(colour) for colour in told}) > 1 and all(len(set(colour)) == 1 for colour in told)
            drawn = np.asarray(CORNERS, dtype=float)
            if grey:
                told, drawn = told[:, :1], (drawn @ [[0.299], [0.587], [0.114]])
            np.testing.assert_allclose(told, drawn, atol=_TOLERANCE)
            assert (photo.original_width, photo.original_height) in _FULL_SIZES
        case Refused(code, words):
            with pytest.raises(BadImage) as refused:
                decode(data)
            assert (refused.value.code, words in refused.value.reason) == (code, True), refused.value.reason
        case Skipped(words):
            with pytest.raises(NotAnImage) as skipped:
                decode(data)
            assert skipped.value.reason.startswith(f"The file is {words}")


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.outcome == Read()], ids=lambda case: f"{case.group}: {case.what}"
)
def test_what_is_read_is_announced_to_the_budget_of_memory(case: Case) -> None:
    data = case.make()
    height, width = decode(data).rgb.shape[:2]
    assert memory_needed(data) > 3 * width * height


def test_the_document_says_what_the_cases_say() -> None:
    assert PATH.read_text(encoding="utf-8") == document(), "write it anew: make formats"
