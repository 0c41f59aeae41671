"""The page as people use it: by what is written on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import ConsoleMessage, Locator, Page, expect


@dataclass(frozen=True)
class Window:
    """A kind of window: a phone or a laptop, in a language, light or dark."""

    name: str
    width: int
    height: int
    locale: str
    theme: Literal["light", "dark"]
    is_phone: bool

    @property
    def language(self) -> str:
        """fr or en."""
        return self.locale[:2]


# Every journey is made in both: both languages, both widths, both themes.
PHONE = Window("phone-fr-light", 390, 844, "fr-FR", "light", is_phone=True)
LAPTOP = Window("laptop-en-dark", 1280, 800, "en-GB", "dark", is_phone=False)
WINDOWS = (PHONE, LAPTOP)

_WORDS = {
    "fr": {
        "assign": "Identifier",
        "merge these": "Fusionner ces",
        "merge": "Fusionner les",
        "swap": "Échanger",
        "undo": "Annuler",
        "ignored": "Ignorées",
        "linked": "Identifiées",
        "invited": "Invitées",
        "open": "À identifier",
        "send": "Envoyer l’invitation",
        "email": "Adresse e-mail",
        "message": "Message (facultatif)",
        "its me": "C’est moi",
        "reject": "Ce n’est pas cette personne",
        "move": "C’est quelqu’un d’autre…",
        "split": "En faire une nouvelle personne",
        "cover": "Choisir comme couverture",
        "yes": "Oui",
        "no": "Non",
        "skip": "Passer",
        "more": "Plus d’actions",
        "erase": "Effacer…",
        "erase for good": "Effacer pour toujours",
        "unlink": "Dissocier",
        "invite other": "Inviter quelqu’un d’autre…",
        "start": "une à une",
        "question": "Est-ce la même personne ?",
        "one or two": "Une seule personne, ou deux ?",
        "one person": "Une personne",
        "two people": "Deux personnes",
        "conflict": "Quelqu’un d’autre a changé cette personne entre-temps",
        "offline": "Hors ligne",
        "waiting": "1 décision attend le réseau",
        "online": "De retour en ligne : tout est enregistré.",
        "analysing": "Analyse en cours : ",
        "empty": "Pas encore de photo",
        "keys": "Raccourcis clavier",
        "go on": "Continuer quand même",
        "cancel": "Annuler",
        "merge with": "Fusionner avec…",
        "alike first": "Les plus ressemblantes d’abord.",
        "recognition": "Reconnaissance faciale : ",
        "switch on": "Activer…",
        "agree": "J’ai lu ce texte : activer",
        "is on": "Activée depuis le ",
        "switch off": "Désactiver et effacer…",
        "erase all": "Désactiver et effacer",
        "read": "Lire ce texte",
        "off": "La reconnaissance faciale est désactivée",
    },
    "en": {
        "assign": "Assign",
        "merge these": "Merge these",
        "merge": "Merge these",
        "swap": "Swap",
        "undo": "Undo",
        "ignored": "Ignored",
        "linked": "Identified",
        "invited": "Invited",
        "open": "To identify",
        "send": "Send invitation",
        "email": "E-mail address",
        "message": "Message (optional)",
        "its me": "It’s me",
        "reject": "Not this person",
        "move": "Somebody else…",
        "split": "Make a new person",
        "cover": "Use as cover",
        "yes": "Yes",
        "no": "No",
        "skip": "Skip",
        "more": "More actions",
        "erase": "Erase…",
        "erase for good": "Erase for good",
        "unlink": "Unassign",
        "invite other": "Invite someone else…",
        "start": "one by one",
        "question": "Is this the same person?",
        "one or two": "One person, or two?",
        "one person": "One person",
        "two people": "Two people",
        "conflict": "Somebody else changed this person meanwhile",
        "offline": "Offline",
        "waiting": "1 decision waits for the network",
        "online": "Back online: everything is saved.",
        "analysing": "Analysis in progress: ",
        "empty": "No photos yet",
        "keys": "Keyboard shortcuts",
        "go on": "Go on all the same",
        "cancel": "Cancel",
        "merge with": "Merge with…",
        "alike first": "Most alike first.",
        "recognition": "Face recognition: ",
        "switch on": "Switch on…",
        "agree": "I have read this: switch on",
        "is on": "On since ",
        "switch off": "Switch off and erase…",
        "erase all": "Switch off and erase",
        "read": "Read that text",
        "off": "Face recognition is switched off",
    },
}

_CHECK = """
async () => {
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const found = await axe.run(document, { runOnly: tags, resultTypes: ["violations"] });
  const shown = (nodes) => nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ");
  return found.violations.map(({ id, nodes }) => `${id}: ${shown(nodes)}`);
}
"""
_SMALL_TARGETS = """
() => [...document.querySelectorAll("button, a, input, select, summary, [role=option]")]
  .filter((node) => {
    const dialog = document.querySelector("dialog[open]");
    if ((dialog && !dialog.contains(node)) || !node.checkVisibility({ visibilityProperty: true })) return false;
    if (node.matches(".skip, input[type=radio]")) return false;
    const box = (node.closest("label.pick, label.switch, label.column") ?? node).getBoundingClientRect();
    return box.width > 0 && (box.width < 43.5 || box.height < 43.5);
  })
  .map((node) => node.outerHTML.slice(0, 120))
"""


class ReviewPage:
    """One window. ``errors`` are exceptions and refusals by the browser that nobody expected."""

    def __init__(self, page: Page, window: Window) -> None:
        self.page = page
        self.window = window
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._heard)

    def _heard(self, message: ConsoleMessage) -> None:
        # Answers of 400 and above are told by the page itself; what is left is what the policy refused, and bugs.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.errors.append(message.text)

    def say(self, what: str) -> str:
        """A word of the page in the window's language."""
        return _WORDS[self.window.language][what]

    def open(self, url: str) -> None:
        """Go there and wait until the page has something to say."""
        self.page.goto(url)
        expect(self.page.locator("#content h1").first).to_be_visible()

    # ------------------------------------------------------------ the grid

    def card(self, person_id: UUID) -> Locator:
        """A person's card."""
        return self.page.locator(f'.card[data-id="{person_id}"]')

    def act(self, person_id: UUID, what: str) -> None:
        """Press a button of a card."""
        self.card(person_id).locator(f'[data-do="{what}"]').click()

    def pick(self, *persons: UUID) -> None:
        """Tick cards."""
        for person_id in persons:
            self.card(person_id).locator(".pick input").check()

    def show(self, which: str) -> None:
        """Choose a filter."""
        self.page.locator(".chip", has_text=self.say(which)).first.click()

    def visit(self, person_id: UUID) -> None:
        """Open a person's page by their card."""
        self.card(person_id).locator("a.cover").click()
        expect(self.tiles.first).to_be_visible()

    def go(self, place: str) -> None:
        """Go to a view: people, suggestions or history."""
        self.page.locator(f'nav a[href="#/{"" if place == "people" else place}"]').click()

    # ------------------------------------------------------------ what is everywhere

    @property
    def dialog(self) -> Locator:
        """The dialog in front."""
        return self.page.locator("dialog[open]").last

    @property
    def toast(self) -> Locator:
        """What was told last."""
        return self.page.locator(".toast")

    @property
    def notice(self) -> Locator:
        """What holds for the time being: offline."""
        return self.page.locator(".notice")

    @property
    def heading(self) -> Locator:
        """What the view that is shown is called."""
        return self.page.locator(".view:not([hidden]) h1")

    @property
    def questions(self) -> Locator:
        """The way to the suggestions."""
        return self.page.locator(".questions")

    @property
    def bar(self) -> Locator:
        """What can be done with a selection."""
        return self.page.locator(".bar:not([hidden])")

    @property
    def tiles(self) -> Locator:
        """The faces of a person's page."""
        return self.page.locator(".tile")

    def press(self, what: str, inside: Locator | None = None) -> None:
        """Press the button with that word on it."""
        (inside or self.page.locator("body")).locator("button", has_text=self.say(what)).first.click()

    def undo(self) -> None:
        """Take back what was just decided."""
        self.press("undo", self.toast)

    def keys(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def open_menu(self) -> None:
        """The menu of the header."""
        self.page.locator(".header-tools .icon-button").last.click()

    # ------------------------------------------------------------ checks

    def violations(self) -> list[str]:
        """What axe-core finds against WCAG 2.2 AA."""
        if not self.page.evaluate("() => 'axe' in globalThis"):
            # By the debugger: the page's own policy lets no script in.
            self.page.evaluate(AXE_SCRIPT)
        found: list[str] = self.page.evaluate(_CHECK)
        return found

    def is_too_wide(self) -> bool:
        """Whether one has to scroll sideways to read it."""
        wide: bool = self.page.evaluate("() => document.documentElement.scrollWidth > innerWidth")
        return wide

    def small_targets(self) -> list[str]:
        """What a finger would miss: smaller than 44 pixels."""
        found: list[str] = self.page.evaluate(_SMALL_TARGETS)
        return found


def ids(persons: Sequence[UUID]) -> list[str]:
    """As they stand in the page."""
    return [str(person_id) for person_id in persons]
