"""Who comes in, for how long, and what whoever guesses gets."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from compose.settings import SiteSettings
from compose.status_page import accounts, attempts
from compose.status_page.accounts import Account, Accounts
from compose.status_page.attempts import Attempts
from compose.status_page.logins import Logins
from compose.status_page.roles import Role
from tests.support.audited_site import uid
from tests.support.status_page import PASSWORD, Person, logged_in

CLOSED = ("/", "/deliveries", f"/exams/{uid(1)}", f"/exams/{uid(1)}/course", f"/exams/{uid(1)}/overlay.png")
OTHERS_FORM = "This form came from the page of another site."


@pytest.mark.parametrize("path", CLOSED)
def test_nothing_is_shown_to_who_is_not_logged_in(site: SiteSettings, path: str) -> None:
    stranger = Person(site)
    answer = stranger.get(path)
    assert answer.status_code in (303, 401)
    assert answer.headers.get("location", "/login").startswith("/login")
    assert stranger.get(path, **{"X-Live": "1"}).status_code == 401
    assert "1.2.826" not in answer.text


def test_a_login_is_a_cookie_for_no_script_and_no_other_site(site: SiteSettings) -> None:
    answer = Person(site).log_in("anna")
    cookie = answer.headers["set-cookie"]
    assert re.search(r"scleroscan_login=[\w-]{43};", cookie)
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie


def test_behind_https_the_cookie_never_travels_in_the_clear(site: SiteSettings) -> None:
    secure = site.status_page.model_copy(update={"behind_proxy": True})
    behind = SiteSettings(site.db, site.node, site.worker, site.monitor, secure)
    answer = Person(behind, "https://scleroscan.example").log_in("anna")
    assert "Secure" in answer.headers["set-cookie"]
    assert "max-age" in answer.headers["strict-transport-security"]


@pytest.mark.parametrize(("name", "password"), [("anna", "wrong"), ("nobody", PASSWORD), ("", ""), ("anna", "")])
def test_a_wrong_name_and_a_wrong_password_hear_the_same(site: SiteSettings, name: str, password: str) -> None:
    answer = Person(site).log_in(name, password)
    assert answer.status_code == 403
    assert "No account has this name and password." in answer.text
    assert "set-cookie" not in answer.headers


def test_who_guesses_is_locked_out_for_minutes(site: SiteSettings) -> None:
    stranger = Person(site)
    assert {stranger.log_in("anna", f"guess {n}").status_code for n in range(attempts.OF_A_NAME)} == {403}
    answer = stranger.log_in("anna")
    assert answer.status_code == 429
    assert "Too many wrong passwords" in answer.text
    assert stranger.log_in("bert").status_code == 303


def test_tries_are_counted_by_address_too_and_forgotten_in_time() -> None:
    now = [0.0]
    tried = Attempts(lambda: now[0])
    for number in range(attempts.OF_AN_ADDRESS):
        tried.failed(f"name{number}", "10.0.0.9")
    assert tried.wait_s("other", "10.0.0.9") == attempts.WINDOW_S
    assert tried.wait_s("other", "10.0.0.8") == 0
    now[0] = attempts.WINDOW_S + 1
    assert tried.wait_s("other", "10.0.0.9") == 0


def test_a_password_that_is_compared_for_long_still_counts() -> None:
    now = [0.0]
    tried = Attempts(lambda: now[0])
    tried.failed("anna", "10.0.0.9")
    now[0] = attempts.WINDOW_S + 1
    assert tried.wait_s("bert", "10.0.0.9") == 0
    tried.succeeded("anna", "10.0.0.9")


def test_the_login_leads_back_to_our_own_pages_alone(site: SiteSettings) -> None:
    for target, leads in (
        (f"/exams/{uid(1)}", f"/exams/{uid(1)}"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/logout", "/"),
    ):
        assert Person(site).log_in("anna", next=target).headers["location"] == leads


def test_a_login_form_of_another_site_is_refused(site: SiteSettings) -> None:
    form = {"name": "anna", "password": PASSWORD}
    answer = Person(site).post_bare("/login", form, **{"Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code, OTHERS_FORM in answer.text) == (403, True)


def test_logging_out_ends_the_login_and_not_only_the_cookie(site: SiteSettings) -> None:
    anna = logged_in(site, "anna")
    token = anna._client.cookies["scleroscan_login"]
    assert anna.post("/logout").headers["location"] == "/login"
    assert anna.get("/", Cookie=f"scleroscan_login={token}").headers["location"].startswith("/login")


def test_a_login_ends_without_clicks_and_at_the_end_of_the_day(site: SiteSettings) -> None:
    now = [0.0]
    known = Accounts(site.status_page.accounts)
    logins = Logins(known, idle_s=100, login_s=1000, clock=lambda: now[0])
    account = known.of("anna")
    assert account is not None
    token = logins.begin(account)
    now[0] = 90
    assert logins.of(token, is_click=False) is not None
    now[0] = 101
    assert logins.of(token, is_click=True) is None
    token, now[0] = logins.begin(account), 200
    for second in range(200, 1101, 50):
        now[0] = second
        assert logins.of(token, is_click=True) is not None
    now[0] = 1102
    assert logins.of(token, is_click=True) is None


def test_an_account_that_was_removed_or_changed_is_logged_out(site: SiteSettings) -> None:
    anna, bert = logged_in(site, "anna"), logged_in(site, "bert")
    known = Accounts(site.status_page.accounts)
    known.remove("bert")
    assert bert.get("/").status_code == 303
    known.put("anna", Role.VIEWER, True, PASSWORD)
    assert anna.get("/").status_code == 303


def test_passwords_are_kept_by_argon2id_in_a_file_of_the_owner(
    site: SiteSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "HASHER", accounts.PasswordHasher())
    path = site.status_page.accounts
    Accounts(path).put("dora", Role.VIEWER, False, PASSWORD)
    text = path.read_text()
    assert PASSWORD not in text
    assert "$argon2id$v=19$m=65536,t=3,p=4$" in text
    assert path.stat().st_mode & 0o777 == 0o600
    assert isinstance(Accounts(path).with_password("dora", PASSWORD), Account)


def test_a_form_without_end_is_cut_off(site: SiteSettings) -> None:
    answer = Person(site).post_bare("/login", {"name": "a" * 20_000})
    assert answer.status_code == 413


@pytest.mark.parametrize("content", ["no JSON", '[{"name": "anna"}]', '{"name": 1}'])
def test_accounts_that_cannot_be_read_are_a_page_with_a_code(
    site: SiteSettings, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    anna = logged_in(site, "anna")
    good = site.status_page.accounts.read_bytes()
    site.status_page.accounts.write_text(content)
    for answer in (anna.get("/"), Person(site).get("/login"), Person(site).log_in("anna")):
        assert answer.status_code == 503
        assert "accounts_unreadable" in answer.text
        assert str(site.status_page.accounts) not in answer.text
    assert "accounts_unreadable" in {getattr(record, "code", "") for record in caplog.records}
    site.status_page.accounts.write_bytes(good)
    assert anna.get("/").status_code == 200


def test_accounts_added_at_the_same_time_are_all_kept(site: SiteSettings) -> None:
    path, names = site.status_page.accounts, [f"person-{number}" for number in range(12)]
    with ThreadPoolExecutor(len(names)) as at_once:
        list(at_once.map(lambda name: Accounts(path).put(name, Role.VIEWER, False, PASSWORD), names))
    assert set(names) < set(Accounts(path).all())
    assert [one.name for one in path.parent.glob("accounts.json*.part")] == []
