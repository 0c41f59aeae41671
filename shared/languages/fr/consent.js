// The text that an organiser agrees to before any face is looked for, in French. What was agreed to is kept by its
// version: a text that changes in any way is a new version.

export const VERSION = "trombi-1-fr";

export const TEXT = [
  "Trombi cherche les visages sur les photos de cet événement et décrit chacun par une suite de nombres, qui sert à retrouver les visages qui se ressemblent. Ce sont des données biométriques.",
  "Personne ne reçoit de nom et aucune photo n’est étiquetée tant qu’un organisateur n’a pas dit qui c’est. Rien n’est comparé avec d’autres événements. Ni les émotions, ni l’âge, ni l’origine ne sont déduits.",
  "Les organisateurs de l’événement voient les visages. Ces données sont effacées dès que la reconnaissance est désactivée, quand l’événement est archivé ou supprimé, et au plus tard à la fin de la durée de conservation du service. Chaque invité peut faire effacer les siennes à tout moment.",
  "En activant, vous confirmez que les personnes photographiées ont été prévenues, qu’elles savent comment s’y opposer, et que vous avez leur accord là où la loi le demande.",
];
