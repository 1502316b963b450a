//! What browsers and password managers find on pages of ours.

use rocket::http::{Header, Method as Verb};
use serde_json::json;

use crate::app::{App, PASSWORD, Plan};

#[rocket::async_test]
async fn our_cookies_are_read_by_their_exact_names_whatever_stands_beside_them() {
    let app = App::new().await;
    let ada = app.user("ada@example.com").await;
    let eve = app.user("eve@example.com").await;
    let session = app
        .signed_in(&ada)
        .await
        .cookie("security_session")
        .unwrap();
    let other = app
        .signed_in(&eve)
        .await
        .cookie("security_session")
        .unwrap();
    let asked = async |cookies: &str| {
        let request = app
            .client
            .get("/me")
            .header(Header::new("Cookie", cookies.to_string()));
        let request = request.header(Header::new("Accept", "application/json"));
        let answer = request.dispatch().await;
        answer.into_string().await.unwrap_or_default()
    };
    for beside in [
        "a=%FF%FE",
        "a=é€\u{fffd}",
        "a=b=c; =; ;;",
        "{\"a\": 1}",
        "a=\"x y\"; b=\\",
        "security_session_=x",
        // A browser lets a subdomain set this one; decoded it would be ours.
        &format!("%73ecurity_session={other}"),
    ] {
        for cookies in [
            format!("{beside}; security_session={session}"),
            format!("security_session={session}; {beside}"),
        ] {
            assert_eq!(asked(&cookies).await, "ada@example.com", "{cookies}");
        }
    }
    assert_ne!(
        asked(&format!("%73ecurity_session={session}")).await,
        "ada@example.com"
    );
    let twice = format!("security_session={session}; security_session={other}");
    assert_eq!(asked(&twice).await, "ada@example.com");
}

#[rocket::async_test]
async fn password_managers_are_told_whose_password_it_is() {
    let app = Plan::new().set("freshness.within", "1 h").start().await;
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await;
    let account = "autocomplete=\"username\" value=\"ada@example.com\" required";
    for path in ["/change", "/verify"] {
        let page = browser.get(path).await.text();
        assert!(page.contains(account), "{path}: {page}");
    }
    app.browser()
        .post_form("/reset", &[("email", "ada@example.com")])
        .await;
    let link = app.link_to("ada@example.com", "recover");
    let page = app.browser().get(&link).await.text();
    assert!(page.contains(account), "{page}");
    // Where a field says it, nothing is hidden.
    for path in ["/login", "/register", "/reset/code"] {
        let page = app.browser().get(path).await.text();
        assert!(!page.contains("-account\""), "{path}");
        assert!(page.contains("autocomplete=\"username"), "{path}");
    }
}

#[rocket::async_test]
async fn no_password_is_cut_when_it_is_pasted() {
    let app = App::new().await;
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await;
    for page in [
        app.browser().get("/register").await,
        app.browser().get("/login").await,
        app.browser().get("/reset/code").await,
        browser.get("/change").await,
    ] {
        let page = page.text();
        let mut fields = page
            .split("<input ")
            .filter(|field| field.contains("type=\"password\""));
        assert!(fields.clone().count() > 0);
        let cut = fields.find(|field| field.split('>').next().unwrap().contains("maxlength"));
        assert_eq!(cut, None);
    }
}

#[rocket::async_test]
async fn the_title_says_that_a_field_is_wrong() {
    let app = App::new().await;
    let browser = app.browser();
    assert!(
        !browser
            .get("/register")
            .await
            .text()
            .contains("<title>Error:")
    );
    for (path, fields) in [
        (
            "/register",
            vec![("email", "nonsense"), ("password", "short")],
        ),
        (
            "/login",
            vec![("email", "ada@example.com"), ("password", "wrong")],
        ),
        ("/login", vec![("email", ""), ("password", "wrong")]),
        ("/reset", vec![("email", "nonsense")]),
    ] {
        let page = browser.post_form(path, &fields).await.text();
        assert!(page.contains("<title>Error: "), "{path}: {page}");
    }
}

#[rocket::async_test]
async fn what_is_missing_is_told_by_its_label() {
    let app = App::new().await;
    let browser = app.browser();
    let fields = [("email", ""), ("password", PASSWORD)];
    let page = browser.post_form("/login", &fields).await.text();
    assert!(page.contains("Email address: enter a value."), "{page}");
}

#[rocket::async_test]
async fn password_managers_find_where_a_password_is_changed() {
    for (prefix, change) in [("", "/change"), ("/auth", "/auth/change")] {
        let app = Plan::new().set("url_prefix", prefix).start().await;
        for actor in [app.browser(), app.program()] {
            let answer = actor.get("/.well-known/change-password").await;
            assert_eq!((answer.status, answer.location()), (302, Some(change)));
        }
    }
    let app = Plan::new()
        .set("change_password.enabled", false)
        .start()
        .await;
    let answer = app.browser().get("/.well-known/change-password").await;
    assert_eq!(answer.status, 404);
}

#[rocket::async_test]
async fn pages_have_an_icon() {
    let app = App::new().await;
    let page = app.browser().get("/login").await.text();
    assert!(
        page.contains("href=\"&#x2F;security-assets&#x2F;icon.svg\""),
        "{page}"
    );
    let icon = app.browser().get("/security-assets/icon.svg").await;
    assert_eq!(icon.header("Content-Type"), Some("image/svg+xml"));
    let head = app
        .browser()
        .send(Verb::Head, "/security-assets/icon.svg", &[], None)
        .await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[rocket::async_test]
async fn forms_may_lead_where_redirects_may() {
    let policy = async |plan: Plan| {
        let app = plan.start().await;
        let page = app.browser().get("/login").await;
        let policy = page.header("Content-Security-Policy").unwrap_or_default();
        let found = policy
            .split(';')
            .find(|directive| directive.trim().starts_with("form-action"));
        found.unwrap().trim().to_string()
    };
    assert_eq!(policy(Plan::new()).await, "form-action 'self'");
    let site = || Plan::new().set("base_url", "https://www.example.com");
    let plan = site()
        .set("redirects.allow_subdomains", true)
        .set("redirects.base_domain", "example.com");
    assert_eq!(
        policy(plan).await,
        "form-action 'self' https://*.example.com"
    );
    let plan = site()
        .set("redirects.allow_subdomains", true)
        .set("redirects.base_domain", "example.com")
        .set("redirects.allowed_subdomains", ["app", "."])
        .set("after.login", "https://app.example.com/home");
    assert_eq!(
        policy(plan).await,
        "form-action 'self' https://app.example.com https://example.com"
    );
    let plan = Plan::new()
        .set("base_url", "http://localhost:8123")
        .set("redirects.allow_subdomains", true);
    assert_eq!(
        policy(plan).await,
        "form-action 'self' https://*.localhost https://*.localhost:8123 http://*.localhost http://*.localhost:8123"
    );
}

#[rocket::async_test]
async fn the_applications_answers_have_no_cache_control_of_ours() {
    use rocket::serde::json::Value;
    #[rocket::get("/own/page")]
    fn page(page: rocket_security::Page<'_>) -> String {
        let context: Value = page.context("own", json!({}));
        context["csrf_token"]
            .as_str()
            .unwrap_or_default()
            .to_string()
    }
    let app = Plan::new().mount(rocket::routes![page]).start().await;
    app.user("ada@example.com").await;
    let visitor = app.browser().get("/own/page").await;
    assert!(visitor.cookie("security_visitor").is_some());
    assert_eq!(visitor.header("Cache-Control"), None);
    assert_eq!(visitor.header("Vary"), Some("Cookie"));
    assert_eq!(app.browser().get("/").await.header("Vary"), None);
    // What lets somebody in is kept by no cache, whoever answers.
    let browser = app.browser();
    browser.login_remembered("ada@example.com", PASSWORD).await;
    browser.forget_cookie("security_session");
    let back = browser.get("/own/page").await;
    assert!(back.cookie("security_session").is_some());
    assert_eq!(back.header("Cache-Control"), Some("private, no-store"));
}

#[cfg(all(feature = "cli", feature = "sqlite"))]
#[rocket::async_test]
async fn a_form_leads_a_browser_to_another_host_that_redirects_allow() {
    use crate::with_cli::browser::{
        Process, arrives, browser, command, fill, free_port, submit, until_it_answers, wait,
    };

    let Some((_driver, browser)) = browser().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut site = command(&folder.path().join("site.db"), port);
    site.env("ROCKET_SECURITY__REDIRECTS__ALLOW_SUBDOMAINS", "true")
        .env(
            "ROCKET_SECURITY__BASE_URL",
            format!("http://localhost:{port}"),
        );
    let _site = Process(site.spawn().unwrap());
    until_it_answers(port).await;
    let at = |path: &str| format!("http://localhost:{port}{path}");
    browser.goto(&at("/register")).await.unwrap();
    fill(&browser, "register-email", "ada@example.com").await;
    fill(&browser, "register-password", PASSWORD).await;
    fill(&browser, "register-password_confirm", PASSWORD).await;
    submit(&browser).await;
    arrives(&browser, "/login").await;
    let next = format!("/login?next=http://app.localhost:{port}/?here");
    browser.goto(&at(&next)).await.unwrap();
    fill(&browser, "login-email", "ada@example.com").await;
    fill(&browser, "login-password", PASSWORD).await;
    submit(&browser).await;
    let there = async || {
        let url = browser.current_url().await;
        url.is_ok_and(|url| url.host_str() == Some("app.localhost"))
    };
    wait("the other host", there).await;
    browser.close().await.unwrap();
}

#[rocket::async_test]
async fn the_language_is_the_one_that_suits_the_browser_best() {
    let title = |text: &str| format!("[login]\ntitle = \"{text}\"\n");
    let plan = ["de", "zh-Hant", "zh-Hans", "pt-BR", "sr-Latn"]
        .into_iter()
        .fold(Plan::new(), |plan, language| {
            let name = format!("security/messages/{language}.toml");
            plan.template(&name, &title(language))
        });
    let app = plan.start().await;
    for (accept, language) in [
        ("de", "de"),
        ("DE-at", "de"),
        ("fr, de", "de"),
        ("fr;q=0.9 , de ; q=0.8, en;q=0.1", "de"),
        ("en; q=0.2, de; q=0.3", "de"),
        ("en;q=0.2,de;Q=0.1", "en"),
        ("de;q=0, en;q=0.1", "en"),
        ("de;q=x, en", "en"),
        ("zh-Hant-TW", "zh-Hant"),
        ("zh-hant", "zh-Hant"),
        ("zh-TW", "zh-Hant"),
        ("zh-HK, en;q=0.5", "zh-Hant"),
        ("zh-CN", "zh-Hans"),
        ("zh-Hans-SG", "zh-Hans"),
        ("pt", "pt-BR"),
        ("pt-BR", "pt-BR"),
        ("sr-Latn-RS", "sr-Latn"),
        ("de-DE-1996-x-private", "de"),
        ("*", "en"),
        ("", "en"),
        (",;q=1,,-", "en"),
    ] {
        let page = app
            .browser()
            .get_with("/login", &[("Accept-Language", accept)])
            .await;
        assert_eq!(page.header("Content-Language"), Some(language), "{accept}");
    }
}
