//! `next` leads nowhere but to this site.

use url::Url;

use crate::app::{App, PASSWORD, Plan};

const OWN: &str = "http://localhost:8000";

/// Where a browser that follows `location` from our login page ends up.
fn origin(location: &str) -> String {
    let base = Url::parse(&format!("{OWN}/login")).unwrap();
    base.join(location).map_or_else(
        |_| "nowhere".into(),
        |url| url.origin().ascii_serialization(),
    )
}

fn hostile() -> Vec<String> {
    let mut all: Vec<String> = [
        "//evil.com",
        "////evil.com",
        "https://evil.com",
        "https:evil.com",
        "http:///evil.com",
        "javascript:alert(1)",
        "data:text/html,x",
        "\\\\evil.com",
        "/\\evil.com",
        "\\/evil.com",
        "/%5cevil.com",
        "%5C%5C%5Cevil.com",
        "/\t/evil.com",
        "/%09/evil.com",
        "/.//evil.com",
        "/..//evil.com",
        "https://localhost:8000@evil.com",
        "http://localhost:8000.evil.com/",
        "http://localhost:8001/",
        "https://localhost:8000/",
        "HtTpS://EVIL.com",
        "/a\r\nSet-Cookie: x=y",
        "evil.com",
        "@evil.com",
        "",
        "?",
        "#",
        "vbscript:x",
        "http:evil.com",
        "/%2fevil.com",
        "/%2F%2Fevil.com",
        "\u{ff0f}\u{ff0f}evil.com",
        "//evil%E3%80%82com",
        "mailto:a@evil.com",
        "file:///etc/passwd",
        "blob:x",
        "about:blank",
    ]
    .map(String::from)
    .to_vec();
    for lead in [
        "\t", "\n", "\r", "\0", "\u{19}", " ", "\u{200a}", "\u{2028}", "\u{feff}", "\u{a0}",
    ] {
        all.push(format!("{lead}//evil.com"));
        all.push(format!("{lead}https://evil.com"));
        all.push(format!("/{lead}/evil.com"));
    }
    all.push(format!("/{}", "a".repeat(100_000)));
    all
}

#[rocket::async_test]
async fn no_spelling_of_next_leaves_the_site() {
    let app = App::new().await;
    let ada = app.user("ada@example.com").await;
    for next in hostile() {
        let encoded: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        // In the query and, but where the query alone would be too long, in the field.
        for in_field in [false, true] {
            let browser = app.browser();
            let mut fields = vec![("email", "ada@example.com"), ("password", PASSWORD)];
            let path = match in_field {
                true => "/login".to_string(),
                false => format!("/login?next={encoded}"),
            };
            if in_field {
                fields.push(("next", &next));
            }
            let answer = browser.post_form(&path, &fields).await;
            let shown: String = next.chars().take(60).collect();
            assert!(
                answer.status == 302 || (400..500).contains(&answer.status),
                "{shown:?}: {}",
                answer.status
            );
            if let Some(location) = answer.location() {
                assert_eq!(origin(location), OWN, "{shown:?}: {location}");
                assert!(
                    location.starts_with('/') && location.len() <= 2_048,
                    "{shown:?}: {location}"
                );
                assert!(
                    location.bytes().all(|byte| byte.is_ascii_graphic()),
                    "{shown:?}: {location:?}"
                );
            }
            for (name, value) in &answer.headers {
                assert!(value.len() < 4_096, "{name} of {shown:?}");
            }
        }
        // Nor does a page carry it on.
        let page = app.browser().get(&format!("/login?next={encoded}")).await;
        let text = page.text().replace("&#x2F;", "/");
        assert!(
            page.status < 500 && !text.contains("//evil.com"),
            "{next:?}"
        );
        let browser = app.signed_in(&ada).await;
        let answer = browser
            .post_form(
                &format!("/verify?next={encoded}"),
                &[("password", PASSWORD)],
            )
            .await;
        if let Some(location) = answer.location() {
            assert_eq!(origin(location), OWN, "{next:?} by /verify: {location}");
        }
    }
}

#[rocket::async_test]
async fn a_page_of_ours_is_gone_to() {
    let app = App::new().await;
    app.user("ada@example.com").await;
    for (next, location) in [
        ("/me", "/me"),
        ("/a?b=c%26d&e=%2F#f", "/a?b=c%26d&e=%2F#f"),
        ("http://localhost:8000/me?x=1", "/me?x=1"),
        ("/\u{fc}ber", "/%C3%BCber"),
    ] {
        let browser = app.browser();
        let fields = [
            ("email", "ada@example.com"),
            ("password", PASSWORD),
            ("next", next),
        ];
        assert_eq!(
            browser.post_form("/login", &fields).await.location(),
            Some(location),
            "{next}"
        );
    }
    // The field, which the page carries, goes before the query.
    let browser = app.browser();
    let page = browser.get("/login?next=/me").await;
    assert!(page.text().contains("name=\"next\""), "{}", page.text());
}

#[rocket::async_test]
async fn the_page_that_was_asked_for_is_the_one_returned_to() {
    let app = App::new().await;
    app.user("ada@example.com").await;
    let browser = app.browser();
    let to_login = browser
        .get("/me?a=b&c=%2F")
        .await
        .location()
        .unwrap()
        .to_string();
    assert_eq!(to_login, "/login?next=%2Fme%3Fa%3Db%26c%3D%252F");
    let answer = browser
        .post_form(
            &to_login,
            &[("email", "ada@example.com"), ("password", PASSWORD)],
        )
        .await;
    assert_eq!(answer.location(), Some("/me?a=b&c=%2F"));
    // A POST is not returned to, nor where the Referer says.
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Referer", "https://evil.example/"),
    ];
    let answer = app
        .browser()
        .send(rocket::http::Method::Post, "/p/bare", &headers, Some(b""))
        .await;
    assert_eq!(answer.location(), Some("/login"));
}

#[rocket::async_test]
async fn subdomains_are_gone_to_only_where_the_site_allows_them() {
    let app = Plan::new()
        .set("base_url", "https://example.com")
        .set("redirects.allow_subdomains", true)
        .start()
        .await;
    app.user("ada@example.com").await;
    for (next, location) in [
        ("https://app.example.com/x", "https://app.example.com/x"),
        ("https://example.com/x", "/x"),
        ("https://evilexample.com", "/"),
        ("https://example.com.evil.net", "/"),
        ("https://app.example.com:8443/", "/"),
        ("http://app.example.com/", "/"),
        ("https://app.example.com@evil.net/", "/"),
        ("https://.example.com/", "/"),
    ] {
        let browser = app.browser();
        let fields = [
            ("email", "ada@example.com"),
            ("password", PASSWORD),
            ("next", next),
        ];
        assert_eq!(
            browser.post_form("/login", &fields).await.location(),
            Some(location),
            "{next}"
        );
    }
}

#[rocket::async_test]
async fn a_single_page_application_is_told_in_the_query() {
    let app = Plan::new()
        .set("spa.enabled", true)
        .set("spa.login_view", "/app/login")
        .set("after.login", "/app/home")
        .start()
        .await;
    app.user("ada@example.com").await;
    let browser = app.browser();
    let location = browser
        .get("/g/admin")
        .await
        .location()
        .unwrap()
        .to_string();
    assert!(
        location.starts_with("/app/login?next=%2Fg%2Fadmin&error="),
        "{location}"
    );
    let location = browser
        .login("ada@example.com", PASSWORD)
        .await
        .location()
        .unwrap()
        .to_string();
    assert_eq!(
        location,
        "/app/home?success=login&email=ada%40example.com&identity=ada%40example.com"
    );
}

#[rocket::async_test]
async fn a_prefix_moves_every_page_of_ours() {
    let app = Plan::new().set("url_prefix", "/account").start().await;
    app.user("ada@example.com").await;
    let browser = app.browser();
    assert_eq!(browser.get("/login").await.status, 404);
    assert_eq!(
        browser.get("/g/admin").await.location(),
        Some("/account/login?next=%2Fg%2Fadmin")
    );
    let page = browser.get("/account/login").await.text();
    assert!(
        page.contains("action=\"&#x2F;account&#x2F;login\""),
        "{page}"
    );
    assert_eq!(
        browser
            .get("/account/security-assets/security.css")
            .await
            .status,
        200
    );
}
