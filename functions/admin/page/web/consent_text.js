// The text that an organiser agrees to before any face is looked for. What was agreed to is kept by its version: a text
// that changes in any way is a new version.

export const VERSION = "trombi-1";

export const TEXT = {
  fr: [
    "Trombi cherche les visages sur les photos de cet événement et décrit chacun par une suite de nombres, qui sert à retrouver les visages qui se ressemblent. Ce sont des données biométriques.",
    "Personne ne reçoit de nom et aucune photo n’est étiquetée tant qu’un organisateur n’a pas dit qui c’est. Rien n’est comparé avec d’autres événements. Ni les émotions, ni l’âge, ni l’origine ne sont déduits.",
    "Les organisateurs de l’événement voient les visages. Ces données sont effacées dès que la reconnaissance est désactivée, quand l’événement est archivé ou supprimé, et au plus tard à la fin de la durée de conservation du service. Chaque invité peut faire effacer les siennes à tout moment.",
    "En activant, vous confirmez que les personnes photographiées ont été prévenues, qu’elles savent comment s’y opposer, et que vous avez leur accord là où la loi le demande.",
  ],
  en: [
    "Trombi looks for faces in the photos of this event and describes each by a row of numbers, which is used to find the faces that are alike. These are biometric data.",
    "Nobody is named and no photo is tagged until an organiser says who it is. Nothing is compared with other events. Neither emotions nor age nor origin are inferred.",
    "The organisers of the event see the faces. These data are erased as soon as recognition is switched off, when the event is archived or deleted, and at the end of the service’s retention period at the latest. Each guest may have theirs erased at any time.",
    "By switching this on you confirm that the people in the photos were told, that they know how to object, and that you have their consent where the law asks for it.",
  ],
};
