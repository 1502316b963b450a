//! Accounts elsewhere, at a provider that answers on a socket: coming in, signing up, linking, ending that,
//! and proving it again.

use std::time::Duration;

use rocket_security::{
    EventKind, HttpClient, Method, ProviderEmail, SocialAnswer, SocialError, SocialProfile,
    SocialProvider, SocialRequest,
};
use serde_json::json;
use url::Url;

use crate::{
    app::{Actor, Answer, App, PASSWORD, Plan, eventually, for_each_database},
    with_social::provider::{Deviation, Person, Provider},
};

const ADA: &str = "ada@example.com";

/// A site that knows the provider by the name `example`, and its stand-in for GitHub.
pub fn knowing(plan: Plan, provider: &Provider) -> Plan {
    let table = |name: &str, key: &str| format!("social.providers.{name}.{key}");
    ["example", "github"]
        .iter()
        .fold(plan, |plan, name| {
            plan.set(&table(name, "client_id"), provider.client_id())
                .set(&table(name, "client_secret"), provider.client_secret())
                .set(&table(name, "issuer"), provider.issuer())
        })
        .set("social.providers.example.label", "Example & Sons")
        .set("social.allow_private", true)
        .set("session.idle", "10 d")
}

pub async fn app_of(plan: Plan, provider: &Provider) -> App {
    let app = knowing(plan, provider).start().await;
    provider.keep_time_by(app.clock.clone());
    app
}

/// Where a start leads.
pub async fn led(actor: &Actor<'_>, path: &str) -> String {
    let answer = actor.post_form(path, &[]).await;
    assert_eq!(answer.status, 302, "{path}: {}", answer.text());
    answer.location().unwrap().to_string()
}

/// There and back.
pub async fn there_and_back(actor: &Actor<'_>, provider: &Provider, path: &str) -> Answer {
    let there = led(actor, path).await;
    let back = provider.consent(&there).await;
    actor.get(&back).await
}

pub const START: &str = "/login/oauthstart/example";
pub const LINK: &str = "/login/oauth-link/example";
pub const UNLINK: &str = "/login/oauth-unlink/example";
pub const VERIFY: &str = "/login/oauth-verify-start/example";

/// Links what the provider knows to whoever is signed in.
pub async fn link(actor: &Actor<'_>, provider: &Provider) {
    let answer = there_and_back(actor, provider, LINK).await;
    assert_eq!(
        answer.location(),
        Some("/login/oauth-link"),
        "{}",
        answer.text()
    );
    let page = actor.get("/login/oauth-link").await;
    assert!(page.text().contains("is linked"), "{}", page.text());
}

pub async fn accounts(app: &App) -> i64 {
    app.number("SELECT COUNT(*) AS n FROM security_social_accounts")
        .await
}

/// What the page says to which an answer leads.
pub async fn said(actor: &Actor<'_>, answer: &Answer) -> String {
    assert_eq!(answer.status, 302, "{}", answer.text());
    let page = actor.get(answer.location().unwrap()).await;
    assert_eq!(page.status, 200, "{}", page.text());
    page.text()
}

#[rocket::async_test]
async fn nothing_of_it_is_there_without_a_provider() {
    let app = App::new().await;
    let browser = app.browser();
    for path in [START, VERIFY, LINK, UNLINK] {
        assert_eq!(browser.post_form(path, &[]).await.status, 404, "{path}");
    }
    let page = browser.get("/login").await;
    assert!(!page.text().contains("oauthstart"));
    assert!(!page.text().contains("Linked accounts"));
}

#[rocket::async_test]
async fn somebody_new_gets_an_account_and_comes_back_to_it() {
    for_each_database(|plan| async move {
        let provider = Provider::start();
        let app = app_of(plan, &provider).await;
        provider.signed_in(Person::new("248289761001", ADA));
        let browser = app.browser();
        let login = browser.get("/login").await.text();
        let told = app.browser().in_json().get("/login").await.json();
        assert_eq!(
            told["response"]["oauth_providers"],
            json!(["example", "github"])
        );
        assert!(
            login.contains("Continue with Example &amp; Sons"),
            "{login}"
        );
        let answer = there_and_back(&browser, &provider, START).await;
        assert_eq!((answer.status, answer.location()), (302, Some("/")));
        assert!(browser.is_signed_in().await);
        let email = rocket_security::EmailAddress::parse(ADA).unwrap();
        let ada = app
            .store()
            .find_user_by_email(&email)
            .await
            .unwrap()
            .unwrap();
        assert!(ada.confirmed_at.is_some());
        let linked = app.store().social_accounts_of(&ada.id).await.unwrap();
        assert_eq!(linked.len(), 1);
        assert_eq!(linked[0].provider, "example");
        browser.logout().await;

        app.later(Duration::from_hours(1));
        let answer = there_and_back(&browser, &provider, START).await;
        assert_eq!(answer.location(), Some("/"));
        assert!(browser.is_signed_in().await);
        assert_eq!(accounts(&app).await, 1);
        let linked = app.store().social_accounts_of(&ada.id).await.unwrap();
        assert_eq!(linked[0].last_used_at, Some(app.store().now()));
        let registered = |event: &EventKind| matches!(event, EventKind::Registered { .. });
        assert_eq!(app.count(registered).await, 1);
        let by_oauth = |event: &EventKind| match event {
            EventKind::Authenticated { methods, .. } => methods.contains(Method::Oauth),
            _ => false,
        };
        assert_eq!(app.count(by_oauth).await, 2);
        // Nothing of the conversation rests.
        let form = provider.forms().pop().unwrap();
        for secret in ["code", "code_verifier"] {
            let secret = form.posted(secret).unwrap().to_string();
            for line in app.dump().await {
                assert!(!line.contains(&secret), "{line}");
            }
        }
    })
    .await;
}

#[rocket::async_test]
async fn what_the_provider_is_asked() {
    let provider = Provider::start();
    let app = app_of(Plan::new(), &provider).await;
    let there = Url::parse(&led(&app.browser(), START).await).unwrap();
    let asked: std::collections::BTreeMap<_, _> = there.query_pairs().into_owned().collect();
    assert_eq!(asked["response_type"], "code");
    assert_eq!(asked["scope"], "openid email profile");
    assert_eq!(asked["code_challenge_method"], "S256");
    assert_eq!(asked["code_challenge"].len(), 43);
    assert_eq!(asked["state"].len(), 43);
    assert_eq!(asked["nonce"].len(), 43);
    assert!(asked["state"] != asked["nonce"] && asked["nonce"] != asked["code_challenge"]);
    assert!(asked["redirect_uri"].ends_with("/login/oauthresponse/example"));
    assert!(!asked.contains_key("max_age"));
    // The secret goes in a header, by the token endpoint alone.
    provider.signed_in(Person::new("1", ADA));
    let browser = app.browser();
    there_and_back(&browser, &provider, START).await;
    let form = provider.forms().pop().unwrap();
    assert!(form.basic().is_some() && form.posted("client_secret").is_none());
    provider.deviate(Deviation::ClientAuth("client_secret_post"));
}

#[rocket::async_test]
async fn a_provider_that_wants_the_secret_in_the_form_gets_it_there() {
    let provider = Provider::start();
    provider.deviate(Deviation::ClientAuth("client_secret_post"));
    let app = app_of(Plan::new(), &provider).await;
    provider.signed_in(Person::new("1", ADA));
    let browser = app.browser();
    there_and_back(&browser, &provider, START).await;
    assert!(browser.is_signed_in().await);
    assert!(provider.forms().pop().unwrap().basic().is_none());
}

#[rocket::async_test]
async fn next_and_remember_go_along() {
    let provider = Provider::start();
    let app = app_of(Plan::new(), &provider).await;
    provider.signed_in(Person::new("1", ADA));
    let browser = app.browser();
    let fields = [("next", "/g/maybe?x=1"), ("remember", "true")];
    let answer = browser.post_form(START, &fields).await;
    let back = provider.consent(answer.location().unwrap()).await;
    let answer = browser.get(&back).await;
    assert_eq!(answer.location(), Some("/g/maybe?x=1"));
    assert!(browser.cookie("security_remember").is_some());

    let browser = app.browser();
    let answer = browser
        .post_form(START, &[("next", "https://evil.example/")])
        .await;
    let back = provider.consent(answer.location().unwrap()).await;
    assert_eq!(browser.get(&back).await.location(), Some("/"));
}

#[rocket::async_test]
async fn sign_up_follows_the_settings() {
    let provider = Provider::start();
    let person = Person::new("1", ADA);
    for (plan, opens) in [
        (Plan::new().set("register.enabled", false), false),
        (Plan::new().set("social.sign_up", false), false),
        (
            Plan::new()
                .set("register.enabled", false)
                .set("social.sign_up", true),
            true,
        ),
        (
            Plan::new()
                .set("identities", ["email", "username"])
                .set("register.username", "required"),
            false,
        ),
        (
            Plan::new().set("emails.allow_domains", ["example.org"]),
            false,
        ),
    ] {
        let app = app_of(plan, &provider).await;
        provider.signed_in(person.clone());
        let browser = app.browser();
        let answer = there_and_back(&browser, &provider, START).await;
        assert_eq!(browser.is_signed_in().await, opens);
        if !opens {
            said(&browser, &answer).await;
            assert_eq!(accounts(&app).await, 0);
        }
    }
}

#[rocket::async_test]
async fn two_who_sign_up_at_once_get_one_account() {
    for_each_database(|plan| async move {
        let provider = Provider::start();
        let app = app_of(plan, &provider).await;
        provider.signed_in(Person::new("1", ADA));
        let (mut browsers, mut backs) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            let browser = app.browser();
            backs.push(provider.consent(&led(&browser, START).await).await);
            browsers.push(browser);
        }
        let gets = browsers
            .iter()
            .zip(&backs)
            .map(|(browser, back)| browser.get(back));
        let answers = rocket::futures::future::join_all(gets).await;
        assert!(answers.iter().all(|answer| answer.status == 302));
        assert_eq!(accounts(&app).await, 1);
        assert_eq!(app.number("SELECT COUNT(*) AS n FROM users").await, 1);
    })
    .await;
}

#[rocket::async_test]
async fn accounts_are_linked_listed_and_unlinked() {
    for_each_database(|plan| async move {
        let provider = Provider::start();
        let app = app_of(plan, &provider).await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await;
        // An address elsewhere is nobody's business here.
        provider.signed_in(Person {
            verified: None,
            ..Person::new("4711", "private@example.net")
        });
        let page = browser.get("/login/oauth-link").await.text();
        assert!(
            page.contains("Not linked") && page.contains("Example &amp; Sons"),
            "{page}"
        );
        link(&browser, &provider).await;
        let list = browser
            .copy()
            .in_json()
            .get("/login/oauth-link")
            .await
            .json();
        assert_eq!(list["response"]["providers"], json!(["example", "github"]));
        assert_eq!(list["response"]["accounts"][0]["provider"], "example");
        let mails = app.mails_to(ADA);
        assert!(
            mails
                .iter()
                .any(|mail| mail.text.contains("Example & Sons"))
        );
        let linked = |event: &EventKind| matches!(event, EventKind::SocialLinked { .. });
        assert_eq!(app.count(linked).await, 1);

        let other = app.browser();
        there_and_back(&other, &provider, START).await;
        assert_eq!(other.get("/me").await.text(), ADA);

        let answer = browser.post_form(UNLINK, &[]).await;
        assert!(said(&browser, &answer).await.contains("Account unlinked"));
        assert_eq!(accounts(&app).await, 0);
        assert_eq!(browser.post_form(UNLINK, &[]).await.status, 404);
        let unlinked = |event: &EventKind| matches!(event, EventKind::SocialUnlinked { .. });
        assert_eq!(app.count(unlinked).await, 1);
        let other = app.browser();
        there_and_back(&other, &provider, START).await;
        assert!(!other.is_signed_in().await);
    })
    .await;
}

#[rocket::async_test]
async fn the_last_way_in_stays() {
    let provider = Provider::start();
    let app = app_of(Plan::new(), &provider).await;
    provider.signed_in(Person::new("1", ADA));
    let browser = app.browser();
    there_and_back(&browser, &provider, START).await;
    let answer = browser.post_form(UNLINK, &[]).await;
    assert!(
        said(&browser, &answer)
            .await
            .contains("only way to sign in")
    );
    assert_eq!(accounts(&app).await, 1);
    // A second one elsewhere is another way.
    provider.signed_in(Person::new("2", ADA));
    there_and_back(&browser, &provider, "/login/oauth-link/github").await;
    assert_eq!(accounts(&app).await, 2);
    let both = [UNLINK, "/login/oauth-unlink/github"].map(|path| browser.post_form(path, &[]));
    rocket::futures::future::join_all(both).await;
    assert_eq!(accounts(&app).await, 1);
}

#[rocket::async_test]
async fn linking_wants_the_switch() {
    let provider = Provider::start();
    let app = app_of(Plan::new().set("social.link", false), &provider).await;
    let browser = app.signed_in(&app.user(ADA).await).await;
    for path in [LINK, UNLINK] {
        assert_eq!(browser.post_form(path, &[]).await.status, 404);
    }
    assert!(!browser.get("/profile").await.text().contains("oauth-link"));
}

#[rocket::async_test]
async fn proving_it_again_by_the_account_that_is_linked() {
    for_each_database(|plan| async move {
        let provider = Provider::start();
        let app = app_of(plan, &provider).await;
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await;
        provider.signed_in(Person::new("1", ADA));
        let page = browser.get("/verify").await.text();
        assert!(!page.contains("oauth-verify-start"), "{page}");
        link(&browser, &provider).await;
        app.later(Duration::from_hours(26));
        browser.get("/me").await;
        let refused = browser.copy().in_json().get("/g/fresh-600").await;
        assert_eq!(refused.status, 401);
        assert_eq!(refused.json()["response"]["oauth_enabled"], true);
        assert_eq!(
            refused.json()["response"]["oauth_providers"],
            json!(["example", "github"])
        );
        let page = browser.get("/verify?next=%2Fg%2Ffresh-600").await.text();
        assert!(page.contains("Confirm with Example"), "{page}");
        assert!(!page.contains("Confirm with GitHub"), "{page}");
        let before = browser.cookie("security_session");
        let start = browser.post_form(VERIFY, &[("next", "/g/fresh-600")]).await;
        let there = start.location().unwrap().to_string();
        assert!(there.contains("max_age=0"), "{there}");
        let answer = browser.get(&provider.consent(&there).await).await;
        assert_eq!(answer.location(), Some("/g/fresh-600"));
        assert_ne!(browser.cookie("security_session"), before);
        assert_eq!(browser.get("/g/fresh-600").await.status, 200);
    })
    .await;
}

#[rocket::async_test]
async fn a_second_factor_is_owed_all_the_same() {
    let provider = Provider::start();
    let plan = Plan::new().set("two_factor.enabled", true);
    let app = app_of(plan, &provider).await;
    let ada = app.user(ADA).await;
    let browser = app.browser();
    browser.sign_in_as(&ada, "mfa=true").await;
    provider.signed_in(Person::new("1", ADA));
    link(&browser, &provider).await;
    let phone = app.with_authenticator(&ada).await;
    let other = app.browser();
    let answer = there_and_back(&other, &provider, START).await;
    assert!(
        answer.location().unwrap().starts_with("/tf-"),
        "{:?}",
        answer.location()
    );
    assert!(!other.is_signed_in().await);
    let code = phone.code(&app);
    let answer = other.post_form("/tf-validate", &[("code", &code)]).await;
    assert_eq!(answer.status, 302, "{}", answer.text());
    assert!(other.is_signed_in().await);
}

#[rocket::async_test]
async fn keys_may_change_at_the_provider() {
    let provider = Provider::start();
    let app = app_of(Plan::new(), &provider).await;
    provider.signed_in(Person::new("1", ADA));
    for keep_old in [true, false] {
        let browser = app.browser();
        there_and_back(&browser, &provider, START).await;
        assert!(browser.is_signed_in().await);
        provider.rotate_keys(keep_old);
    }
    let browser = app.browser();
    there_and_back(&browser, &provider, START).await;
    assert!(browser.is_signed_in().await);
    // What is known is not asked for again.
    let documents = provider.asked("/.well-known/openid-configuration");
    assert_eq!(documents.len(), 1);
    assert_eq!(provider.asked("/jwks").len(), 3);
}

#[rocket::async_test]
async fn what_is_wrong_at_the_provider_passes() {
    let provider = Provider::start();
    let app = app_of(Plan::new().set("social.timeout", "1 s"), &provider).await;
    provider.signed_in(Person::new("1", ADA));
    let browser = app.browser();
    let there = led(&browser, START).await;
    // Down when somebody comes back.
    for how in [
        Deviation::Down("/token"),
        Deviation::Slow("/token", Duration::from_secs(3)),
        Deviation::Status("/token", 429),
    ] {
        let there = led(&browser, START).await;
        let back = provider.consent(&there).await;
        provider.deviate(how.clone());
        let answer = browser.get(&back).await;
        provider.deviate(Deviation::None);
        let page = said(&browser, &answer).await;
        assert!(page.contains("does not answer just now"), "{how:?}: {page}");
        let program = app.browser().in_json();
        let start = program.post_form(START, &[]).await;
        let back = provider.consent(start.location().unwrap()).await;
        provider.deviate(how.clone());
        let answer = program.get(&back).await;
        provider.deviate(Deviation::None);
        assert_eq!(answer.status, 503, "{how:?}");
        assert!(answer.header("Retry-After").is_some(), "{how:?}");
        assert!(!browser.is_signed_in().await && !program.is_signed_in().await);
    }
    // Gone altogether: who is on the way comes in when it is back.
    let back = provider.consent(&there).await;
    provider.stop();
    let answer = browser.get(&back).await;
    assert!(
        said(&browser, &answer)
            .await
            .contains("does not answer just now")
    );
    provider.restart();
    there_and_back(&browser, &provider, START).await;
    assert!(browser.is_signed_in().await);
}

#[rocket::async_test]
async fn a_provider_that_is_down_at_launch_is_found_later() {
    let provider = Provider::start();
    provider.stop();
    let app = app_of(Plan::new(), &provider).await;
    let browser = app.browser();
    let answer = browser.post_form(START, &[]).await;
    assert!(
        said(&browser, &answer)
            .await
            .contains("does not answer just now")
    );
    let program = app.browser().in_json();
    assert_eq!(program.post_form(START, &[]).await.status, 503);
    provider.restart();
    provider.signed_in(Person::new("1", ADA));
    // The pause after a failure is two seconds of the machine's own.
    let there = eventually("the way to the provider", async || {
        let answer = browser.post_form(START, &[]).await;
        let there = answer.location()?;
        there.starts_with("http").then(|| there.to_string())
    })
    .await;
    browser.get(&provider.consent(&there).await).await;
    assert!(browser.is_signed_in().await);
}

#[rocket::async_test]
async fn github_is_known_by_its_number() {
    for_each_database(|plan| async move {
        let provider = Provider::start();
        let app = app_of(plan, &provider).await;
        provider.signed_in(Person::new("583231", ADA));
        let browser = app.browser();
        let start = "/login/oauthstart/github";
        let answer = there_and_back(&browser, &provider, start).await;
        assert_eq!(answer.location(), Some("/"), "{}", answer.text());
        assert_eq!(browser.get("/me").await.text(), ADA);
        // Another address there is the same account here.
        provider.signed_in(Person::new("583231", "eve@example.com"));
        let browser = app.browser();
        there_and_back(&browser, &provider, start).await;
        assert_eq!(browser.get("/me").await.text(), ADA);
        // Only what is verified there, and first among the addresses, counts.
        provider.signed_in(Person::new("7", "bob@example.com"));
        for emails in [
            &[("bob@example.com", true, false)][..],
            &[("bob@example.com", false, true)],
            &[],
        ] {
            provider.github_emails(emails);
            let browser = app.browser();
            there_and_back(&browser, &provider, start).await;
            assert!(!browser.is_signed_in().await, "{emails:?}");
        }
        provider.github_emails(&[
            ("old@example.com", false, true),
            ("bob@example.com", true, true),
        ]);
        let browser = app.browser();
        there_and_back(&browser, &provider, start).await;
        assert_eq!(browser.get("/me").await.text(), "bob@example.com");
    })
    .await;
}

#[rocket::async_test]
async fn a_single_page_application_is_told_in_the_address() {
    let provider = Provider::start();
    let plan = Plan::new()
        .set("spa.enabled", true)
        .set("spa.login_view", "/app/login");
    let app = app_of(plan, &provider).await;
    provider.signed_in(Person::new("1", ADA));
    let browser = app.browser();
    let answer = there_and_back(&browser, &provider, START).await;
    let location = answer.location().unwrap();
    assert!(location.contains("success=register"), "{location}");
    assert!(
        location.contains("identity=ada%40example.com"),
        "{location}"
    );
    let answer = app
        .browser()
        .get("/login/oauthresponse/example?code=x&state=y")
        .await;
    assert_eq!(answer.location(), Some("/app/login?error=social.expired"));
}

/// Knows one person, and shows what it is asked.
struct Intranet(HttpClient);

#[rocket::async_trait]
impl SocialProvider for Intranet {
    fn name(&self) -> &str {
        "intranet"
    }

    fn label(&self) -> &str {
        "Intranet"
    }

    async fn authorize(&self, asked: &SocialRequest<'_>) -> Result<Url, SocialError> {
        let (uri, state) = (asked.redirect_uri.as_str(), asked.state);
        Url::parse_with_params("https://id.example.org/", [("back", uri), ("state", state)])
            .map_err(|error| SocialError::Refused(error.to_string()))
    }

    async fn profile(&self, answer: &SocialAnswer<'_>) -> Result<SocialProfile, SocialError> {
        let _ = &self.0;
        match answer.code {
            "ada" => Ok(SocialProfile::new("4711")
                .email(ProviderEmail::Verified(ADA.into()))
                .label("ada")),
            "nobody" => Ok(SocialProfile::new("")),
            code => Err(SocialError::Refused(format!("{code:?}"))),
        }
    }

    fn origins(&self) -> Vec<String> {
        vec![
            "https://id.example.org/path".into(),
            "javascript:alert(1)".into(),
        ]
    }
}

#[rocket::async_test]
async fn an_application_brings_its_own_provider() {
    let plan = Plan::new().security(|security| security.social(Intranet(HttpClient::default())));
    let app = plan.start().await;
    let browser = app.browser();
    let start = "/login/oauthstart/intranet";
    for (code, opens) in [("eve", false), ("nobody", false), ("ada", true)] {
        let there = Url::parse(&led(&browser, start).await).unwrap();
        let state = there
            .query_pairs()
            .find(|(name, _)| name == "state")
            .unwrap()
            .1;
        let back = format!("/login/oauthresponse/intranet?code={code}&state={state}");
        browser.get(&back).await;
        assert_eq!(browser.is_signed_in().await, opens, "{code}");
    }
    // Forms of our pages may end there, and nowhere else.
    let page = app.browser().get("/login").await;
    let policy = page.header("Content-Security-Policy").unwrap();
    assert!(
        policy.contains("form-action 'self' https://id.example.org;"),
        "{policy}"
    );
    let page = app.browser().get("/reset").await;
    let policy = page.header("Content-Security-Policy").unwrap();
    assert!(policy.contains("form-action 'self';"), "{policy}");
}

#[rocket::async_test]
async fn an_address_that_the_settings_trust_is_enough() {
    for_each_database(|plan| async move {
        let provider = Provider::start();
        let plan = plan.set("social.match_email", ["example"]);
        let app = app_of(plan, &provider).await;
        app.user(ADA).await;
        provider.signed_in(Person::new("1", "Ada@Example.com"));
        let browser = app.browser();
        there_and_back(&browser, &provider, START).await;
        assert_eq!(browser.get("/me").await.text(), ADA);
        assert_eq!(accounts(&app).await, 1);
        assert!(
            app.mails_to(ADA)
                .iter()
                .any(|mail| mail.text.contains("Example & Sons"))
        );
        // Its password is its own.
        assert_eq!(
            app.browser().login(ADA, PASSWORD).await.location(),
            Some("/")
        );
        // Another account there with the same address is somebody else.
        provider.signed_in(Person::new("2", ADA));
        let browser = app.browser();
        there_and_back(&browser, &provider, START).await;
        assert!(!browser.is_signed_in().await);
        // A provider that is not listed is not enough.
        provider.signed_in(Person::new("3", ADA));
        there_and_back(&browser, &provider, "/login/oauthstart/github").await;
        assert!(!browser.is_signed_in().await);
    })
    .await;
}

#[rocket::async_test]
async fn what_on_register_finds_taken_is_not_told_as_an_account_that_exists() {
    let provider = Provider::start();
    let plan = Plan::new().security(|security| {
        security.on_register(|_, _, _| {
            Err(rocket_security::StoreError::Taken(
                rocket_security::Unique::Email,
            ))
        })
    });
    let app = app_of(plan, &provider).await;
    provider.signed_in(Person::new("1", ADA));
    let browser = app.browser();
    let answer = there_and_back(&browser, &provider, START).await;
    let page = said(&browser, &answer).await;
    assert!(page.contains("already in use by another account"), "{page}");
    assert!(!browser.is_signed_in().await);
    assert_eq!(app.number("SELECT COUNT(*) AS n FROM users").await, 0);
}

#[rocket::async_test]
async fn an_account_without_a_password_signs_in_by_its_provider() {
    for_each_database(|plan| async move {
        let provider = Provider::start();
        let plan = plan.telling().set("passwords.required", false);
        let app = app_of(plan, &provider).await;
        provider.signed_in(Person::new("248289761001", ADA));
        let browser = app.browser();
        let answer = browser.post_form("/register", &[("email", ADA)]).await;
        assert_eq!(answer.status, 302, "{}", answer.text());
        assert!(browser.is_signed_in().await);
        link(&browser, &provider).await;
        let other = app.browser();
        let answer = there_and_back(&other, &provider, START).await;
        assert_eq!((answer.status, answer.location()), (302, Some("/")));
        assert_eq!(other.get("/me").await.text(), ADA);
        assert_eq!(
            app.number("SELECT COUNT(*) AS n FROM users WHERE password_hash IS NULL")
                .await,
            1
        );
    })
    .await;
}

#[rocket::async_test]
async fn the_box_beside_a_provider_counts() {
    let provider = Provider::start();
    let app = app_of(Plan::new().set("remember.by_default", true), &provider).await;
    provider.signed_in(Person::new("248289761001", ADA));
    let page = app.browser().get("/login").await.text();
    let page = page.replace("&#x2F;", "/");
    let (_, form) = page
        .split_once(&format!("action=\"{START}\""))
        .expect("the button");
    let (form, _) = form.split_once("</form>").expect("its end");
    assert!(
        form.contains("type=\"checkbox\" name=\"remember\" value=\"true\" checked")
            && form.contains("Keep me signed in")
            && form.contains("name=\"remember_box\" value=\"true\""),
        "{form}"
    );
    let kept_after = async |app: &App, fields: &[(&str, &str)]| {
        let browser = app.browser();
        let there = browser.post_form(START, fields).await;
        let back = provider.consent(there.location().expect("a way")).await;
        let answer = browser.get(&back).await;
        assert_eq!(answer.status, 302, "{}", answer.text());
        assert!(browser.is_signed_in().await);
        browser.cookie("security_remember").is_some()
    };
    let unticked = [("remember_box", "true")];
    let ticked = [("remember_box", "true"), ("remember", "true")];
    assert!(!kept_after(&app, &unticked).await);
    assert!(kept_after(&app, &ticked).await);
    // An application's own button has no box: the setting decides.
    assert!(kept_after(&app, &[]).await);
    let app = app_of(Plan::new(), &provider).await;
    let page = app.browser().get("/login").await.text();
    assert!(!page.contains("remember_box"), "nobody is kept unasked");
    assert!(!kept_after(&app, &[]).await);
    assert!(kept_after(&app, &[("remember", "true")]).await);
}

#[rocket::async_test]
async fn a_start_that_another_version_stored_has_expired() {
    for_each_database(|plan| async move {
        let provider = Provider::start();
        let app = app_of(plan, &provider).await;
        provider.signed_in(Person::new("248289761001", ADA));
        let overwrite = "UPDATE security_tickets SET payload = '{}'";
        let browser = app.browser();
        let there = led(&browser, START).await;
        let back = provider.consent(&there).await;
        app.sql(overwrite).await;
        let answer = browser.get(&back).await;
        assert!(said(&browser, &answer).await.contains("took too long"));
        assert!(!browser.is_signed_in().await);
        let ada = app.user(ADA).await;
        let browser = app.signed_in(&ada).await;
        let there = led(&browser, LINK).await;
        let back = provider.consent(&there).await;
        app.sql(overwrite).await;
        let answer = browser.get(&back).await;
        assert!(said(&browser, &answer).await.contains("took too long"));
        assert_eq!(accounts(&app).await, 0);
    })
    .await;
}
