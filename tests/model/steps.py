"""What hosts, guests and organisers do, one step after another, to the real functions and to the model alike.

A step names what it is about by numbers that are taken round: photo 13 of ten is the third. So any list of steps can
be taken, and one that fails can be shortened step by step.
"""

from __future__ import annotations

from tests.model.host_steps import (
    Companion,
    DeleteCompanion,
    DeleteObject,
    DeleteRow,
    DeleteUser,
    LookAgain,
    Recluster,
    Redeliver,
    Replace,
    Tick,
    Upload,
)
from tests.model.people_steps import (
    Answer,
    Cover,
    Distinct,
    Invite,
    Link,
    Merge,
    Move,
    PurgePerson,
    PurgeUser,
    Reject,
    SayYes,
    SetAside,
    Split,
    Undo,
)
from tests.model.play import Step

STEPS: dict[type[Step], int] = {
    Upload: 3,
    Replace: 4,
    Companion: 2,
    DeleteCompanion: 1,
    DeleteObject: 2,
    DeleteRow: 1,
    DeleteUser: 1,
    LookAgain: 1,
    Redeliver: 2,
    Tick: 1,
    Recluster: 2,
    Link: 4,
    SetAside: 2,
    Invite: 2,
    Answer: 3,
    Merge: 2,
    Move: 4,
    SayYes: 3,
    Split: 2,
    Reject: 2,
    Cover: 2,
    Distinct: 1,
    Undo: 4,
    PurgeUser: 1,
    PurgePerson: 1,
}
"""What may be done, and how often: more of what prepares others, less of what leaves nothing to do."""
