//! The application's own templates, texts and values over ours.

use serde_json::json;

use crate::app::{PASSWORD, Plan};

const LAYOUT: &str =
    "<html><body><h1>Acme</h1>{% block content %}{% endblock content %}</body></html>";

#[rocket::async_test]
async fn one_file_adopts_the_sites_layout_for_every_page() {
    let app = Plan::new()
        .template("layout.html.tera", LAYOUT)
        .template("security/base.html", "{% extends \"layout\" %}")
        .start()
        .await;
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await;
    for (actor, path) in [
        (&app.browser(), "/login"),
        (&app.browser(), "/register"),
        (&browser, "/verify"),
        (&browser, "/sessions"),
        (&browser, "/g/admin"),
    ] {
        let page = actor.get(path).await.text();
        assert!(page.contains("<h1>Acme</h1>"), "{path}: {page}");
        assert!(!page.contains("sec-footer"), "{path}");
    }
    assert!(
        app.browser()
            .get("/login")
            .await
            .text()
            .contains("csrf_token")
    );
    let signed_in = app.browser();
    signed_in.login("ada@example.com", PASSWORD).await;
    assert!(signed_in.is_signed_in().await);
}

#[rocket::async_test]
async fn a_page_of_the_application_extends_our_base() {
    let own = "{% extends \"security/base.html\" %}{% block content %}<p>Hello {{ site.name }}</p>{% endblock content %}";
    let app = Plan::new()
        .set("site_name", "A <b>& C")
        .template("security/login/login.html", own)
        .start()
        .await;
    let page = app.browser().get("/login").await.text();
    assert!(
        page.contains("<p>Hello A &lt;b&gt;&amp; C</p>") && page.contains("sec-footer"),
        "{page}"
    );
    assert!(
        app.browser()
            .get("/register")
            .await
            .text()
            .contains("name=\"password_confirm\"")
    );
}

#[rocket::async_test]
async fn a_broken_override_stops_the_launch() {
    for (text, what) in [
        (
            "{% extends \"security/base.html\" %}\n{% block content %}\n{{ oops",
            "no end",
        ),
        ("{{ nothing_of_that_name }}", "an unknown variable"),
        ("{{ site.name | nofilter }}", "an unknown filter"),
        ("{% extends \"nowhere\" %}", "an unknown parent"),
        ("{{ t(key=\"no.such.message\") }}", "an unknown message"),
    ] {
        let plan = Plan::new().template("security/login/login.html", text);
        assert!(plan.try_start().await.is_err(), "{what}");
    }
    let messages = Plan::new().template("security/messages/en.toml", "[login\ntitle = 1");
    assert!(messages.try_start().await.is_err());
}

#[cfg(debug_assertions)]
#[rocket::async_test]
async fn an_edit_shows_without_a_restart_and_a_bad_one_harms_nothing() {
    let app = Plan::new()
        .template("security/login/login.html", "one {{ csrf_token }}")
        .start()
        .await;
    assert!(app.browser().get("/login").await.text().starts_with("one"));
    app.template("security/login/login.html", "second {{ csrf_token }}");
    assert!(
        app.browser()
            .get("/login")
            .await
            .text()
            .starts_with("second")
    );
    app.template("security/login/login.html", "third {{ oops");
    let page = app.browser().get("/login").await;
    assert!(
        page.status == 200 && page.text().starts_with("second"),
        "{}",
        page.text()
    );
    // One that fails only now is replaced by ours.
    app.template(
        "security/login/login.html",
        "fourth page {{ unknown.variable }}",
    );
    let page = app.browser().get("/login").await;
    assert!(
        page.status == 200 && page.text().contains("name=\"password\""),
        "{}",
        page.text()
    );
    app.template(
        "security/messages/en.toml",
        "[login]\ntitle = \"Come right in\"",
    );
    app.template(
        "security/login/login.html",
        "fifth: {{ t(key=\"login.title\") }}",
    );
    assert_eq!(
        app.browser().get("/login").await.text(),
        "fifth: Come right in"
    );
}

#[rocket::async_test]
async fn texts_values_and_languages_are_the_applications_to_set() {
    let app = Plan::new()
        .template("security/messages/de.toml", "[login]\ntitle = \"Anmelden\"")
        .template("security/login/login.html", "{{ t(key=\"login.title\") }}|{{ campaign }}|{{ everywhere }}|{{ 'x' | shout }}")
        .security(|security| {
            security
                .message("en", "login.title", "Come in")
                .context(Some("security/login/login.html"), |_| json!({"campaign": "<i>spring</i>"}))
                .context(None, |page| json!({"everywhere": page}))
                .configure_tera(|tera| {
                    tera.register_filter("shout", |value: &tera::Value, _: &std::collections::HashMap<String, tera::Value>| {
                        Ok(format!("{}!", value.as_str().unwrap_or_default()).into())
                    });
                })
        })
        .start()
        .await;
    let english = app.browser().get("/login").await;
    assert_eq!(
        english.text(),
        "Come in|&lt;i&gt;spring&lt;&#x2F;i&gt;|security&#x2F;login&#x2F;login.html|x!"
    );
    let german = app
        .browser()
        .get_with(
            "/login",
            &[("Accept-Language", "fr, de-AT;q=0.8, en;q=0.1")],
        )
        .await;
    assert!(german.text().starts_with("Anmelden|"));
    assert_eq!(german.header("Content-Language"), Some("de"));
    for odd in [
        "",
        "*",
        "xx",
        ";;;q=",
        "de;q=nan",
        "../../etc",
        &"a,".repeat(10_000),
    ] {
        assert!(
            app.browser()
                .get_with("/login", &[("Accept-Language", odd)])
                .await
                .status
                == 200
        );
    }
}

#[rocket::async_test]
async fn hostile_values_come_out_escaped_on_every_page_and_in_every_mail() {
    let evil = "\"><script>alert(1)</script>'{{7*7}}";
    let app = Plan::new()
        .set("site_name", evil)
        .set("identities", ["email", "username"])
        .set("register.username", "optional")
        .start()
        .await;
    let ada = app.user("ada@example.com").await;
    let browser = app.browser().header("User-Agent", evil);
    browser.login("ada@example.com", PASSWORD).await;
    browser.set_cookie("security_flash", &format!("info:{evil}"));
    let fields = [
        ("email", evil),
        ("username", evil),
        ("password", evil),
        ("password_confirm", PASSWORD),
        ("next", evil),
    ];
    let visitor = app.browser().header("User-Agent", evil);
    let encoded: String = url::form_urlencoded::byte_serialize(evil.as_bytes()).collect();
    visitor
        .post_form(
            "/register",
            &[
                ("email", "ada@example.com"),
                ("password", PASSWORD),
                ("password_confirm", PASSWORD),
            ],
        )
        .await;
    let pages = vec![
        visitor.post_form("/login", &fields).await,
        visitor.post_form("/register", &fields).await,
        visitor.get(&format!("/login?next=/{encoded}")).await,
        visitor.get(&format!("/register?next=/{encoded}")).await,
        browser.get("/sessions").await,
        browser.get(&format!("/verify?next=/{encoded}")).await,
        browser.get("/g/admin").await,
        browser.post_raw_form("/p/input", &fields).await,
        visitor.get("/dev/mail").await,
        visitor.get("/dev/mail/1").await,
        visitor.get("/dev/mail/1/html").await,
    ];
    for page in &pages {
        // The script of passkeys is ours.
        let own = "<script type=\"module\" src=\"&#x2F;security-assets&#x2F;passkeys.js\">";
        let text = page.text().replace(own, "");
        assert!(page.status < 500 && !text.is_empty());
        assert!(!text.contains("<script") && !text.contains(evil), "{text}");
        assert!(!text.contains("'49") && !text.contains(">49<"), "{text}");
    }
    let mails = app.mails_to(&ada.email);
    assert_eq!(mails.len(), 1);
    for mail in mails {
        assert!(!mail.html.contains("<script"), "{}", mail.html);
        assert!(!mail.subject.contains(['\r', '\n']));
        assert!(
            mail.text.contains("http://localhost:8000/login"),
            "{}",
            mail.text
        );
    }
}
