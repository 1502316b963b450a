//! A person who makes keys for programs, at a browser: headless Chromium at a small site that takes them.
//!
//! Wants what [`crate::with_cli::browser`] wants. Pages are looked over as in [`crate::browser_factors`].

use fantoccini::Locator;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use rocket::{figment::Figment, get, routes, tokio};
use rocket_security::{guards::ApiKey, prelude::*};

use crate::{
    app::SECRET,
    with_cli::browser::{ADA, Person, until_it_answers},
};

policies! {
    Publish = permission("post:publish");
    Delete  = permission("post:delete");
}

#[get("/k/publish")]
fn publish(who: Require<(Via<ApiKey>, Publish)>) -> String {
    who.email.clone()
}

#[get("/k/delete")]
fn delete(_who: Require<(Via<ApiKey>, Delete)>) {}

/// A site that takes keys, in this process; the demonstration site does not.
async fn site(person: &Person) -> rocket::Shutdown {
    let path = |name: &str| person.folder.path().join(name);
    let figment = Figment::from(rocket::Config::debug_default())
        .merge(("log_level", "off"))
        .merge(("port", person.port))
        .merge(("shutdown.ctrlc", false))
        .merge(("template_dir", path("templates")))
        .merge(("security.secret", SECRET))
        .merge(("security.database.url", path("site.db")))
        .merge(("security.api_keys.enabled", true));
    let rocket = rocket::custom(figment)
        .mount("/", routes![publish, delete])
        .attach(Security::default())
        .ignite()
        .await
        .expect("a site");
    let shutdown = rocket.shutdown();
    tokio::spawn(rocket.launch());
    until_it_answers(person.port).await;
    shutdown
}

/// What a program with this key is answered.
async fn asks(person: &Person, path: &str, key: &str) -> (u16, String) {
    let request = Request::get(format!("http://127.0.0.1:{}{path}", person.port))
        .header("Authorization", format!("Bearer {key}"))
        .header("Accept", "application/json")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request).await.expect("an answer");
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.expect("a body");
    let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    (status, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_makes_a_key_sees_it_once_uses_it_and_ends_it() {
    let Some(ada) = Person::without_a_site().await else {
        return;
    };
    let mut role = ada.command();
    role.args(["roles", "create", "editor"])
        .args(["--permission", "post:publish"])
        .args(["--permission", "post:delete"]);
    assert!(role.status().unwrap().success());
    ada.has_account(&["--role", "editor"]).await;
    let shutdown = site(&ada).await;
    ada.signs_in_with_password().await;
    ada.is_at("/").await;
    ada.open("/api-keys").await;
    ada.sees("You have no API keys", "api-keys-empty").await;

    // What is wrong stands at its field, and what was chosen stays.
    let name = "x".repeat(65);
    let tick = Locator::Css("input[name=permissions][value='post:publish']");
    let script = "const field = document.getElementById('api_keys-name');
        field.removeAttribute('maxlength');
        field.value = arguments[0];";
    let typed = ada.browser.execute(script, vec![name.into()]).await;
    typed.unwrap();
    ada.press(tick).await;
    ada.answers("api_keys", &[]).await;
    ada.sees("Use at most 64 characters", "api-keys-wrong")
        .await;
    let field = ada.browser.find(Locator::Id("api_keys-name")).await;
    field.unwrap().clear().await.unwrap();
    let ticked = ada.browser.find(tick).await.unwrap();
    assert!(ticked.is_selected().await.unwrap());
    ada.answers("api_keys", &[("name", "Nightly backup")]).await;
    ada.sees("it is not shown again", "api-keys-made").await;
    let key = ada.browser.find(Locator::Css("dl > div .sec-key")).await;
    let key = key.unwrap().text().await.unwrap();
    assert!(key.starts_with("rs_"), "{key}");
    ada.reads("Nightly backup").await;

    // It does what was ticked and no more.
    let answer = asks(&ada, "/k/publish", &key).await;
    assert_eq!(answer, (200, ADA.to_string()));
    assert_eq!(asks(&ada, "/k/delete", &key).await.0, 403);

    ada.open("/api-keys").await;
    ada.sees("Nightly backup", "api-keys").await;
    let source = ada.browser.source().await.unwrap();
    let (_, secret) = key.split_at(key.len() - 43);
    assert!(!source.contains(secret), "it is shown once");

    ada.tabs_to("form[action$='/revoke'] button").await;
    ada.presses_enter().await;
    ada.sees("API key revoked", "api-keys-ended").await;
    ada.reads("You have no API keys").await;
    assert_eq!(asks(&ada, "/k/publish", &key).await.0, 401);
    ada.browser.clone().close().await.unwrap();
    shutdown.notify();
}
