// The text that an organiser agrees to before any face is looked for, in English. What was agreed to is kept by its
// version: a text that changes in any way is a new version.

export const VERSION = "trombi-1-en";

export const TEXT = [
  "Trombi looks for faces in the photos of this event and describes each by a row of numbers, which is used to find the faces that are alike. These are biometric data.",
  "Nobody is named and no photo is tagged until an organiser says who it is. Nothing is compared with other events. Neither emotions nor age nor origin are inferred.",
  "The organisers of the event see the faces. These data are erased as soon as recognition is switched off, when the event is archived or deleted, and at the end of the service’s retention period at the latest. Each guest may have theirs erased at any time.",
  "By switching this on you confirm that the people in the photos were told, that they know how to object, and that you have their consent where the law asks for it.",
];
