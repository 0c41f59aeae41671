"""Short sequences after which the event was once not as it should be."""

from __future__ import annotations

from collections.abc import Mapping

from tests.model.host_steps import (
    Companion,
    DeleteCompanion,
    DeleteObject,
    DeleteRow,
    DeleteUser,
    Redeliver,
    Replace,
    Upload,
)
from tests.model.people_steps import Answer, Cover, Invite, Link, Merge, Move, PurgePerson, PurgeUser, SetAside, Undo
from tests.model.play import Step

KNOWN: Mapping[str, list[Step]] = {
    # A face was known by its place alone.
    "a guest is not tagged in a photo that shows another since": [Link(0, 0), Replace(0, "another guest")],
    "a guest is not invited by the face of another": [Invite(0), Replace(0, "another guest")],
    "a face that was moved by hand does not give its place to another": [Move(8, 1, 1), Replace(6, "another guest")],
    "two guests whose picture is mirrored are not each other": [Link(0, 0), Replace(8, "mirrored")],
    "a guest is found where another one was purged": [Link(0, 0), PurgeUser(0), Replace(0, "another guest")],
    "a purged guest is not found in the same picture": [PurgePerson(0), Replace(0, "compressed again")],
    # Whatever came under a photo's name erased who was in it before.
    "a guest is tagged though a newer version of the photo is cut": [Link(0, 0), Replace(0, "cut")],
    "nor do good bytes after it bring anybody new": [Link(0, 0), Replace(0, "cut"), Replace(0, "same bytes")],
    "a second picture does not take the place of a cut photo": [
        Link(0, 0),
        Companion(0, "second picture"),
        Replace(0, "cut"),
        DeleteObject(0),
    ],
    "a deletion after a cut version erases": [Link(0, 0), Replace(0, "cut"), DeleteObject(0)],
    # A union that was made by moving faces was none to clustering.
    "two moved faces do not push out the person's own": [Move(9, 2, 0), Upload((1,))],
    "a person whose faces were all moved and moved back is whole": [Move(9, 3, 0), Upload((1,)), Undo(0)],
    # Whatever lay in a photo's folder was taken for the photo.
    "a live photo's video costs no face": [Link(0, 0), Companion(0, "MOV")],
    "nor does its deletion": [Link(0, 0), Companion(0, "MOV"), DeleteCompanion(0)],
    "metadata beside a photo cost no face": [Link(0, 0), Companion(0, "jpg.xmp")],
    "a second picture is not taken for the photo": [Link(0, 0), Companion(0, "second picture"), DeleteCompanion(0)],
    "a photo that is renamed stays what it was": [Link(0, 0), Companion(0, "copy"), DeleteObject(0)],
    # Rows that named objects vanished first.
    "a photo whose row is deleted leaves no thumbnail": [DeleteRow(0)],
    "a photo whose row is deleted stays deleted": [DeleteRow(0), Redeliver(0)],
    "also when its object goes later": [DeleteRow(0), DeleteObject(0)],
    # Half a state was left of a person whose account was deleted.
    "a person whose account is deleted can be linked again": [Link(0, 0), DeleteUser(0), Link(0, 1)],
    "a person whose account is deleted can be merged": [Link(0, 0), DeleteUser(0), Merge(0, 1)],
    # A cover that a human had chosen was never replaced.
    "a person whose chosen cover is deleted has another": [Cover(0, 0), DeleteObject(0)],
    "a linked person whose chosen cover is deleted has another": [Link(0, 0), Cover(0, 0), DeleteObject(0)],
    # Nobody clustered what an invitation had held back.
    "nobody waits for a guest who says that it is not them": [Invite(2), Upload((2, 0)), Answer(0, 0, accepts=False)],
    "nor for one whose invitation is undone": [Invite(2), Upload((2, 0)), Undo(0)],
    # Clustering went on while a person was nobody's.
    "a face that came meanwhile is asked about": [Link(0, 0), Upload((0,)), SetAside(2), Undo(0)],
    "a person whose last face is gone says so": [Move(9, 2, 0), DeleteObject(7)],
}
