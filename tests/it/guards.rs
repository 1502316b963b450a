//! Every guard, for everybody, in HTML and in JSON.

use std::time::Duration;

use crate::app::{Actor, Answer, App, PASSWORD, Plan, for_each_database, on_sqlite};

/// What a guard answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    /// 200.
    In,
    /// 401, or the way to sign in.
    Anonymous,
    /// 403.
    Forbidden,
    /// 401 with `reauth_required`, or the way to prove it again.
    Reauth,
    /// 400, or the page after signing in.
    SignedIn,
    /// 401 for a request that showed Basic: no redirect, a challenge.
    Challenge,
}

use Is::{
    Anonymous as Ano, Challenge as Cha, Forbidden as For, In, Reauth as Rea, SignedIn as Sig,
};

/// Who asks, across: see `actors`. One row for each route, one column for each actor.
const MATRIX: [(&str, [Is; 9]); 13] = [
    //                    anon  none  role  inact stale token badtk basic mfa
    ("/g/signed-in", [Ano, In, In, Ano, In, In, Ano, Cha, In]),
    ("/g/admin", [Ano, For, In, Ano, In, In, Ano, Cha, For]),
    ("/g/publish", [Ano, For, In, Ano, In, In, Ano, Cha, For]),
    (
        "/g/admin-fresh",
        [Ano, For, In, Ano, Rea, In, Ano, Cha, For],
    ),
    ("/g/fresh", [Ano, In, In, Ano, Rea, In, Ano, Cha, In]),
    ("/g/fresh-600", [Ano, In, In, Ano, Rea, In, Ano, Cha, In]),
    ("/g/any-role", [Ano, For, In, Ano, In, In, Ano, Cha, For]),
    ("/g/any-fresh", [Ano, In, In, Ano, In, In, Ano, Cha, In]),
    ("/g/token", [Ano, Ano, Ano, Ano, Ano, In, Ano, Cha, Ano]),
    ("/g/basic", [Cha, Cha, Cha, Cha, Cha, Cha, Cha, In, Cha]),
    ("/g/token-session", [Ano, In, In, Ano, In, In, Ano, Cha, In]),
    ("/g/mfa", [Ano, Rea, Rea, Ano, Rea, Rea, Ano, Cha, In]),
    ("/g/anonymous", [In, Sig, Sig, In, Sig, Sig, In, In, Sig]),
];

const NAMES: [&str; 9] = [
    "anonymous",
    "no role",
    "role",
    "inactive",
    "stale",
    "token",
    "bad token",
    "basic",
    "mfa",
];

fn check(route: &str, who: &str, json: bool, wanted: Is, answer: &Answer) {
    // Who shows a token is a program, whatever it accepts.
    let json = json || who.contains("token");
    let what = format!(
        "{who} at {route} ({}) wants {wanted:?}: {} {:?} {}",
        if json { "JSON" } else { "HTML" },
        answer.status,
        answer.location(),
        answer.text().chars().take(300).collect::<String>(),
    );
    let asked = format!("{route}?a=b");
    let next: String = url::form_urlencoded::byte_serialize(asked.as_bytes()).collect();
    let challenge = answer.header("WWW-Authenticate");
    if json && wanted != In {
        assert!(answer.is_envelope(), "{what}");
        let response = &answer.json()["response"];
        assert!(
            response["errors"]
                .as_array()
                .is_some_and(|errors| !errors.is_empty()),
            "{what}"
        );
        assert!(response.get("field_errors").is_none(), "{what}");
        assert_eq!(
            response.get("reauth_required").is_some(),
            wanted == Rea,
            "{what}"
        );
    }
    match (wanted, json) {
        (In, _) => assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "in"),
            "{what}"
        ),
        (Ano, true) => assert_eq!((answer.status, challenge), (401, None), "{what}"),
        (Ano, false) => {
            assert_eq!(answer.status, 302, "{what}");
            assert_eq!(
                answer.location(),
                Some(format!("/login?next={next}").as_str()),
                "{what}"
            );
            assert_eq!(challenge, None, "{what}");
        }
        (For, _) => assert_eq!(answer.status, 403, "{what}"),
        (Rea, true) => {
            assert_eq!(answer.status, 401, "{what}");
            let response = &answer.json()["response"];
            assert_eq!(response["reauth_required"], true, "{what}");
            for key in [
                "unified_signin_enabled",
                "has_webauthn_verify_credential",
                "oauth_enabled",
            ] {
                assert_eq!(response[key], false, "{what}");
            }
            assert_eq!(response["oauth_providers"], serde_json::json!([]), "{what}");
        }
        (Rea, false) => {
            assert_eq!(answer.status, 302, "{what}");
            // A password proves no second factor.
            let way = match next.starts_with("%2Fg%2Fmfa") {
                true => "/tf-select",
                false => "/verify",
            };
            assert_eq!(
                answer.location(),
                Some(format!("{way}?next={next}").as_str()),
                "{what}"
            );
        }
        (Sig, true) => assert_eq!(answer.status, 400, "{what}"),
        (Sig, false) => assert_eq!(
            (answer.status, answer.location()),
            (302, Some("/")),
            "{what}"
        ),
        // A program is challenged only if it showed Basic; who did is in the name.
        (Cha, true) => {
            assert_eq!(answer.status, 401, "{what}");
            assert_eq!(challenge.is_some(), who == "basic", "{what}");
        }
        (Cha, false) => {
            assert_eq!((answer.status, answer.location()), (401, None), "{what}");
            assert!(
                challenge.is_some_and(|text| text.starts_with("Basic realm=\"Login Required\"")),
                "{what}"
            );
        }
    }
}

/// The columns of the matrix, in order.
async fn actors(app: &App) -> Vec<Actor<'_>> {
    let none = app.user("none@example.com").await;
    let role = app.user("role@example.com").await;
    let inactive = app.user("inactive@example.com").await;
    let stale = app.user("stale@example.com").await;
    for user in [&role, &inactive, &stale] {
        app.grant(user, "admin", &["post:publish"]).await;
    }
    let old = app.signed_in(&stale).await;
    // Beyond freshness and grace, but not idle.
    for _ in 0..3 {
        app.later(Duration::from_hours(9));
        assert!(old.is_signed_in().await);
    }
    let shut = app.signed_in(&inactive).await;
    // By hand, so that the session stays and the account alone is in the way.
    app.sql("UPDATE users SET active = FALSE WHERE email_key = 'inactive@example.com'")
        .await;
    let mfa = app.browser();
    mfa.sign_in_as(&none, "mfa=true").await;
    let token = app.token("role@example.com").await;
    vec![
        app.browser(),
        app.signed_in(&none).await,
        app.signed_in(&role).await,
        shut,
        old,
        app.browser().token(&token),
        app.signed_in(&role).await.token("junk"),
        app.browser().basic("role@example.com", PASSWORD),
        mfa,
    ]
}

#[rocket::async_test]
async fn every_guard_answers_everybody_exactly() {
    on_sqlite(|plan| async move {
        let app = plan.start().await;
        let actors = actors(&app).await;
        for (route, row) in MATRIX {
            for ((wanted, actor), who) in row.into_iter().zip(&actors).zip(NAMES) {
                let path = format!("{route}?a=b");
                let html = [("Accept", "text/html,*/*;q=0.8")];
                check(
                    route,
                    who,
                    false,
                    wanted,
                    &actor.get_with(&path, &html).await,
                );
                let json = [("Accept", "application/json")];
                check(
                    route,
                    who,
                    true,
                    wanted,
                    &actor.get_with(&path, &json).await,
                );
            }
        }
    })
    .await;
}

#[rocket::async_test]
async fn a_request_is_judged_by_its_token_alone() {
    on_sqlite(|plan| async move {
        let app = plan.start().await;
        let stale = app.user("stale@example.com").await;
        let ada = app.user("ada@example.com").await;
        let browser = app.signed_in(&stale).await;
        app.later(Duration::from_mins(11));
        assert_eq!(browser.get("/g/fresh-600").await.status, 302);

        // A fresh token of another account speaks for that account, not for the session.
        let token = app.token("ada@example.com").await;
        let both = browser.copy().token(&token);
        assert_eq!(both.get("/g/fresh-600").await.text(), "in");
        assert_eq!(both.get("/me").await.text(), ada.email);
        // And it lends the session nothing.
        assert_eq!(browser.get("/g/fresh-600").await.status, 302);
        assert_eq!(browser.get("/me").await.text(), stale.email);

        for header in [
            ("Authentication-Token", ""),
            ("Authentication-Token", "junk"),
            ("Authorization", "Bearer"),
            ("Authorization", "Bearer  "),
            ("Authorization", "bearer junk"),
            ("Authorization", "Bearer \u{fffd}\u{301}"),
        ] {
            let answer = browser.copy().in_json().get_with("/me", &[header]).await;
            assert_eq!(answer.status, 401, "{header:?}");
        }
        // Basic where nobody asked for it is not looked at: the session speaks.
        let basic = browser.copy().basic("ada@example.com", PASSWORD);
        assert_eq!(basic.get("/me").await.text(), stale.email);
    })
    .await;
}

#[rocket::async_test]
async fn a_database_that_is_down_is_503_and_never_nobody() {
    for_each_database(|plan| async move {
        let app = plan
            .set("database.connections", 2)
            .set("database.patience", 1)
            .start()
            .await;
        let ada = app.user("ada@example.com").await;
        let browser = app.signed_in(&ada).await;
        let token = app.token("ada@example.com").await;
        let program = app.program().token(&token);
        let basic = app.program().basic("ada@example.com", PASSWORD);
        let csrf = browser.csrf().await;

        // Every connection is taken and none comes back.
        let held = [app.pool().get().unwrap(), app.pool().get().unwrap()];
        let asked = [
            (&browser, "/g/signed-in"),
            (&browser, "/g/admin"),
            (&browser, "/g/anonymous"),
            (&browser, "/sessions"),
            (&browser, "/login"),
            (&program, "/g/token"),
            (&basic, "/g/basic"),
        ];
        let answers = asked.map(|(actor, path)| async move { (path, actor.get(path).await) });
        for (path, answer) in rocket::futures::future::join_all(answers).await {
            assert_eq!(answer.status, 503, "{path}: {}", answer.text());
            let wait: u64 = answer
                .header("Retry-After")
                .expect("Retry-After")
                .parse()
                .unwrap();
            assert!(wait > 0);
            assert!(!answer.text().contains("pool"), "{}", answer.text());
            assert!(
                answer.cookie("security_session").is_none(),
                "{path} touched the cookie"
            );
        }
        let answer = app
            .program()
            .post_json(
                "/login",
                serde_json::json!({"email": "ada@example.com", "password": PASSWORD}),
            )
            .await;
        assert_eq!(answer.status, 503);
        assert!(answer.is_envelope());
        let answer = browser
            .post_raw_form("/logout", &[("csrf_token", &csrf)])
            .await;
        assert_eq!(answer.status, 503);
        drop(held);
        assert!(
            browser.is_signed_in().await,
            "nothing was forgotten meanwhile"
        );
    })
    .await;
}

#[rocket::async_test]
async fn a_post_without_input_wants_to_come_from_our_own_page() {
    let app = App::new().await;
    let ada = app.user("ada@example.com").await;
    let browser = app.signed_in(&ada).await;
    let csrf = browser.csrf().await;
    let token = app.token("ada@example.com").await;
    let basic = app.browser().basic("ada@example.com", PASSWORD);
    let program = app.program().token(&token);
    let origin = ("Origin", "http://localhost:8000");
    for (actor, path, header, status) in [
        (&browser, "/p/bare", None, 400),
        (
            &browser,
            "/p/bare",
            Some(("Origin", "https://evil.example")),
            400,
        ),
        (&browser, "/p/bare", Some(("Origin", "null")), 400),
        (
            &browser,
            "/p/bare",
            Some(("Origin", "http://localhost:8001")),
            400,
        ),
        (
            &browser,
            "/p/bare",
            Some(("Sec-Fetch-Site", "cross-site")),
            400,
        ),
        (
            &browser,
            "/p/bare",
            Some(("Sec-Fetch-Site", "same-site")),
            400,
        ),
        (&browser, "/p/bare", Some(("Sec-Fetch-Site", "none")), 400),
        (&browser, "/p/bare", Some(("X-CSRF-Token", "junk")), 400),
        (&browser, "/p/bare", Some(origin), 200),
        (
            &browser,
            "/p/bare",
            Some(("Sec-Fetch-Site", "same-origin")),
            200,
        ),
        (
            &browser,
            "/p/bare",
            Some(("X-CSRF-Token", csrf.as_str())),
            200,
        ),
        (
            &browser,
            "/p/bare",
            Some(("X-CSRFToken", csrf.as_str())),
            200,
        ),
        (
            &browser,
            "/p/bare",
            Some(("X-XSRF-Token", csrf.as_str())),
            200,
        ),
        (&basic, "/p/bare-basic", None, 400),
        (
            &basic,
            "/p/bare-basic",
            Some(("Origin", "https://evil.example")),
            400,
        ),
        (&basic, "/p/bare-basic", Some(origin), 200),
        (&program, "/p/bare", None, 200),
    ] {
        let headers: Vec<(&str, &str)> = header.into_iter().collect();
        let answer = actor
            .send(rocket::http::Method::Post, path, &headers, None)
            .await;
        assert_eq!(
            answer.status,
            status,
            "{path} {header:?}: {}",
            answer.text()
        );
    }
    // Both say something: what the browser says of itself counts.
    let headers = [("Sec-Fetch-Site", "cross-site"), origin];
    let answer = browser
        .send(rocket::http::Method::Post, "/p/bare", &headers, None)
        .await;
    assert_eq!(answer.status, 400);
}

#[rocket::async_test]
async fn no_spelling_of_a_path_goes_around_its_guard() {
    let app = App::new().await;
    let visitor = app.browser();
    for path in [
        "/g/admin/",
        "//g/admin",
        "/g//admin",
        "/g/./admin",
        "/g/x/../admin",
        "/g%2Fadmin",
        "/G/ADMIN",
        "/g/admin%00",
        "/g/admin;a=b",
        "/g/%61dmin",
        "/g/admin?",
        "/g/admin#x",
    ] {
        for verb in [
            rocket::http::Method::Get,
            rocket::http::Method::Head,
            rocket::http::Method::Options,
        ] {
            let answer = visitor.send(verb, path, &[], None).await;
            assert!(
                answer.status != 200 && answer.status < 500,
                "{verb} {path}: {}",
                answer.status
            );
        }
    }
}

#[rocket::async_test]
async fn routes_without_a_guard_are_named_at_launch() {
    #[rocket::get("/open")]
    fn open() -> &'static str {
        "open"
    }
    #[rocket::post("/open")]
    fn write() -> &'static str {
        "written"
    }
    let plan = |more: &[&str]| {
        let known = ["/g/maybe", "/as/<id>?<mfa>&<remember>"];
        let public: Vec<&str> = known.iter().chain(more).copied().collect();
        Plan::new()
            .set("report.unguarded", "error")
            .set("report.public", public)
    };
    assert!(plan(&[]).try_start().await.is_ok());
    let refused = plan(&[]).mount(rocket::routes![open]).try_start().await;
    assert!(refused.is_err(), "an open route passed");
    let refused = plan(&[]).mount(rocket::routes![write]).try_start().await;
    assert!(refused.is_err(), "an open route that writes passed");
    // `Public` marks, a guard guards, and the settings list what is open on purpose.
    let app = plan(&["/open"]).mount(rocket::routes![open]).start().await;
    assert_eq!(app.browser().get("/open").await.text(), "open");
}

#[rocket::async_test]
async fn the_application_says_where_people_are_sent() {
    let app = Plan::new()
        .security(|security| {
            security
                .unauthenticated(|request| Some(format!("/welcome?from={}", request.uri().path())))
                .forbidden(|_| Some("/no-entry".into()))
                .reauthenticate(|_| Some("https://evil.example/".into()))
        })
        .start()
        .await;
    let ada = app.user("ada@example.com").await;
    let answer = app.browser().get("/g/admin").await;
    assert_eq!(answer.location(), Some("/welcome?from=/g/admin"));
    let browser = app.signed_in(&ada).await;
    assert_eq!(browser.get("/g/admin").await.location(), Some("/no-entry"));
    // Not even the application's own hook leads to another site.
    let location = browser.get("/g/mfa").await;
    assert_eq!(location.location(), Some("/tf-select?next=%2Fg%2Fmfa"));
    // Programs are answered as always.
    assert_eq!(browser.in_json().get("/g/admin").await.status, 403);
}
