"""Whatever is done in whatever order, the event is as the model says.

The ordinary run takes the same 100 sequences every time; ``TROMBI_EXAMPLES=20`` takes 2,000 others. A failure shows the
shortest sequence found, step by step, and its list of steps as it can be put among the known ones.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.databases import Databases
from tests.examples import examples
from tests.model.host_steps import Upload
from tests.model.known import KNOWN
from tests.model.people_steps import Invite, Link, Merge, Move
from tests.model.play import Play, Start, Step
from tests.model.start import start
from tests.model.steps import STEPS
from tests.model.system import System

_SEQUENCES = 100
_TIDY_AFTER = 100


class Stage:
    """The system, and where every sequence begins."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.start: Start = start(system)
        self._played = 0

    def play(self, sequence: list[Step]) -> Play:
        """Play a sequence from the beginning.

        Raises:
            AssertionError: something is not as the model says.
        """
        self._played += 1
        if self._played % _TIDY_AFTER == 0:
            self.system.tidy()
        play = Play(self.system, self.start)
        for step in sequence:
            play.take(step)
        return play


@pytest.fixture(scope="module")
def stage(databases: Databases) -> Iterator[Stage]:
    """One database for all sequences."""
    # Refused photos are what this is about: no log of them.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    system = System(databases.fresh())
    yield Stage(system)
    system.close()
    structlog.reset_defaults()


_NUMBER = st.integers(0, 11)
_FEW = st.integers(0, 3)
_ARGUMENTS = {
    "guests": st.sampled_from([(0,), (1,), (2,), (3,), (0, 1), (1, 2), (0, 3)]),
    "accepts": st.sampled_from([True, True, False]),
    "count": st.integers(1, 3),
    "to": st.none() | _FEW,
    **dict.fromkeys(["person", "user", "gone", "into", "one", "other", "suggestion", "invitation"], _FEW),
    "back": st.sampled_from([0, 0, 0, 1, 2]),
    **dict.fromkeys(["photo", "face"], _NUMBER),
    "message": st.integers(0, 40),
}


def _any(kind: type[Step]) -> st.SearchStrategy[Step]:
    named = {name: _ARGUMENTS[name] for name in kind.__dataclass_fields__ if name in _ARGUMENTS}
    return st.builds(kind, **named)


# Without these, most of what follows on a link or an invitation would find none.
_BEGINNINGS: list[list[Step]] = [
    [],
    [Link(0, 0), Upload((0,))],
    [Link(1, 1), Link(0, 0)],
    [Invite(2), Upload((2, 0))],
    [Merge(0, 1)],
    [Move(9, 2, 0)],
]
_STEP = st.sampled_from([kind for kind, often in STEPS.items() for _ in range(often)]).flatmap(_any)
ANY_SEQUENCE = st.builds(
    lambda beginning, steps: [*beginning, *steps],
    st.sampled_from(_BEGINNINGS),
    st.lists(_STEP, min_size=3, max_size=10),
)


@given(sequence=ANY_SEQUENCE)
@settings(
    max_examples=examples(_SEQUENCES),
    deadline=None,
    derandomize=examples(_SEQUENCES) == _SEQUENCES,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@pytest.mark.timeout(examples(300))
def test_after_any_sequence_the_event_is_as_the_model_says(stage: Stage, sequence: list[Step]) -> None:
    stage.play(sequence)


@pytest.mark.parametrize("name", KNOWN)
def test_what_went_wrong_once_does_not_again(stage: Stage, name: str) -> None:
    assert stage.play(KNOWN[name]).done, "it does something"
