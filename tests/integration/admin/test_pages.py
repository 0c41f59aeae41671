"""The web page's documents and files, and the cookie that lets its pictures in."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from functions.admin.page import routes as pages
from shared import languages
from shared.database import Connection
from tests.integration.admin.conftest import AdminSite, open_site
from tests.integration.admin.party import Party, arrange_party

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
WEB = Path(pages.__file__).with_name("web")
ANALYSE = "/events/00000000-0000-0000-0000-000000000000/analyse"
_MOST_BYTES = 150_000


@pytest.fixture
def party(site: AdminSite) -> Party:
    """An event with a bit of everything."""
    return arrange_party(site)


def names() -> list[str]:
    """The files of the page, without its documents."""
    return sorted(path.name for path in WEB.iterdir() if path.suffix != ".html") + sorted(of_languages())


def of_languages() -> dict[str, Path]:
    """The files that each language brings, by the names that they are served under."""
    paths = [path for tag in languages.languages() for path in (languages.FOLDER / tag).glob("*.js")]
    return {f"{path.stem}.{path.parent.name}.js": path for path in paths}


def current(name: str) -> str:
    """A file's address as the documents give it."""
    return f"/web/{pages.web().version}/{name}"


@pytest.mark.parametrize("path", [ANALYSE, "/events"])
def test_the_page_is_served_to_anybody_with_a_strict_policy(site: AdminSite, path: str) -> None:
    page = site.client.get(path, headers=BROWSER)
    assert (page.status_code, page.mimetype) == (200, "text/html")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert not re.search(r"unsafe|https?:|\*|data:", policy)
    assert page.headers["X-Frame-Options"] == "DENY"
    again = site.client.get(path, headers={**BROWSER, "If-None-Match": page.headers["ETag"]})
    assert again.status_code == 304


def test_the_start_leads_to_the_events_and_programs_are_given_their_list(site: AdminSite, party: Party) -> None:
    assert site.admin.site.test_client().get("/", headers=BROWSER).headers["Location"] == "/events"
    assert site.client.get("/events", headers={"Accept": "application/json"}).status_code == 401
    status, listed = site.ask("GET", "/events", party.organiser)
    assert status == 200
    assert [event["id"] for event in listed["items"]] == [str(party.event_id)]


@pytest.mark.parametrize("name", sorted(path.name for path in WEB.glob("*.html")))
def test_a_document_names_every_file_by_the_version_and_holds_no_script_or_style(site: AdminSite, name: str) -> None:
    text = pages.web().documents[name].plain.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)|\bon\w+=|<style|style=|VERSION|//", text.replace("http-equiv", ""))
    for path in re.findall(r'(?:src|href)="(/web/[^"]+)"', text):
        assert site.client.get(path).status_code == 200, path


def test_the_page_asks_for_all_its_modules_at_once() -> None:
    text = (WEB / "app.html").read_text(encoding="utf-8")
    wanted = {"app.js"}
    found: set[str] = set()
    while wanted - found:
        name = (wanted - found).pop()
        found.add(name)
        wanted |= set(re.findall(r'from "\./([\w.]+)"', (WEB / name).read_text(encoding="utf-8")))
    assert set(re.findall(r'VERSION/([\w.]+\.js)"', text)) == wanted


@pytest.mark.parametrize("name", names())
def test_a_file_is_kept_for_good_under_its_version_and_by_nobody_under_another(site: AdminSite, name: str) -> None:
    file = site.client.get(current(name))
    assert file.status_code == 200
    assert "immutable" in file.headers["Cache-Control"]
    assert file.data == of_languages().get(name, WEB / name).read_bytes()
    packed = site.client.get(current(name), headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == file.data
    known = {"If-None-Match": file.headers["ETag"]}
    assert site.client.get(current(name), headers=known).status_code == 304
    assert site.client.get(f"/web/another/{name}").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", ["app.html", "..%2Fpages.py", "x", ".%2e/site.py", ""])
def test_nothing_else_is_served(site: AdminSite, name: str) -> None:
    assert site.client.get(current(name)).status_code in (401, 404)


def test_the_page_weighs_less_than_150_kb_on_the_wire() -> None:
    web = pages.web()
    of_one = {name for name in of_languages() if not name.startswith("consent.") and not name.endswith(".en.js")}
    left_out = {"invite.js", *(name for name in of_languages() if name not in of_one)}
    files = [web.documents["app.html"], *(file for name, file in web.files.items() if name not in left_out)]
    assert sum(len(file.compressed) for file in files) < _MOST_BYTES


def test_no_script_makes_markup_of_text() -> None:
    risky = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|setHTMLUnsafe|srcdoc"
    )
    for path in (*WEB.glob("*.js"), *of_languages().values()):
        assert not risky.search(path.read_text(encoding="utf-8")), path.name


# ---------------------------------------------------------------- pictures


def test_the_cookie_shows_pictures_and_nothing_else(site: AdminSite, party: Party) -> None:
    answer = site.client.post("/session", headers=site.token(party.organiser))
    assert answer.status_code == 204
    cookies = answer.headers.getlist("Set-Cookie")
    assert len(cookies) == 2
    assert all("HttpOnly" in cookie and "SameSite=Strict" in cookie for cookie in cookies)
    assert {re.search(r"Path=([^;]+)", cookie)[1] for cookie in cookies} == {"/face", "/media"}  # type: ignore[index]
    person, face, media = (party.ids[name] for name in ("person_id", "face_id", "media_id"))
    assert site.client.get(f"/face/{face}/thumbnail").status_code == 200
    assert site.client.get(f"/media/{media}/image").status_code == 200
    # The client sends its cookie only below the cookie's paths: send it everywhere by hand.
    everywhere = {"Cookie": cookies[0].partition(";")[0]}
    for path in (f"/person/{person}", f"/person/{person}/faces", f"/event/{party.event_id}/face-persons"):
        assert site.client.get(path, headers=everywhere).status_code == 401, path
    for path in (f"/face/{face}/move", f"/face/{face}/reject", f"/person/{person}/ignore", "/session"):
        assert site.client.post(path, headers=everywhere, json={"person_id": None}).status_code == 401, path


def test_another_site_s_page_is_shown_no_picture(site: AdminSite, party: Party) -> None:
    site.client.post("/session", headers=site.token(party.organiser))
    path = f"/face/{party.ids['face_id']}/thumbnail"
    for where in ("cross-site", "same-site", "none"):
        assert site.client.get(path, headers={"Sec-Fetch-Site": where}).status_code == 401, where
    assert site.client.get(path, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_the_cookie_is_taken_back_and_shows_a_stranger_nothing(site: AdminSite, party: Party) -> None:
    path = f"/face/{party.ids['face_id']}/thumbnail"
    site.client.post("/session", headers=site.token(party.stranger))
    assert site.client.get(path).status_code == 404
    site.client.post("/session", headers=site.token(party.organiser))
    assert site.client.get(path).status_code == 200
    assert site.client.delete("/session", headers=site.token(party.organiser)).status_code == 204
    assert site.client.get(path).status_code == 401


def test_the_cookie_is_secure_where_the_page_is(
    site: AdminSite, party: Party, database_url: str, connection: Connection
) -> None:
    def cookies(asked: AdminSite, **headers: str) -> list[str]:
        answer = asked.client.post("/session", headers={**site.token(party.organiser), **headers})
        return answer.headers.getlist("Set-Cookie")

    # The address of the site is https there.
    assert all("Secure" in cookie for cookie in cookies(site))
    with open_site(database_url, connection, public_url="http://127.0.0.1:8080") as plain:
        assert not any("Secure" in cookie for cookie in cookies(plain))
        behind = {"X-Forwarded-Proto": "https"}
        assert all("Secure" in cookie for cookie in cookies(plain, **behind))


def test_a_token_too_long_for_a_cookie_is_told(site: AdminSite, party: Party) -> None:
    headers = site.token(party.organiser, padding="x" * 4000)
    answer = site.client.post("/session", headers=headers)
    assert (answer.status_code, answer.get_json()["code"]) == (422, "token_too_long")
