"""What callback reads from its environment."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from functions.callback.debounce import DebounceSettings
from shared.settings import BucketName, Settings

_LONGEST_SECONDS = 30 * 24 * 3600
Seconds = Annotated[float, Field(ge=0, le=_LONGEST_SECONDS)]


class CallbackSettings(Settings):
    """Each field is the environment variable of the same name in capitals; times are in seconds."""

    derived_bucket: BucketName
    cluster_every: Annotated[int, Field(ge=1, description="photos")] = 20
    cluster_max_wait: Seconds = 120
    cluster_min_interval: Seconds = 15
    # A job whose function has not been heard of for this long is asked for again.
    job_stuck_after: Annotated[float, Field(gt=0, le=_LONGEST_SECONDS)] = 900
    job_max_attempts: Annotated[int, Field(ge=1)] = 5
    # A photo that the host app announced is looked at this long after, even without an upload message.
    photo_grace: Seconds = 600
    # Low-priority jobs given to the bus at once, while no upload waits.
    low_priority_batch: Annotated[int, Field(ge=1)] = 20

    def debounce(self) -> DebounceSettings:
        """The part that the debounce decides by."""
        return DebounceSettings(
            every=self.cluster_every,
            max_wait=timedelta(seconds=self.cluster_max_wait),
            min_interval=timedelta(seconds=self.cluster_min_interval),
        )
