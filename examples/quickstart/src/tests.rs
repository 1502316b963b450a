//! What the README says of its quick start, by Rocket's local client.

use rocket::{
    http::{ContentType, Header, Status},
    local::blocking::Client,
};
use rocket_security::{Accounts, User, testing::LoginAs};

fn client() -> Client {
    let figment = rocket::Config::figment()
        .merge(("log_level", "off"))
        .merge(("security.database.url", ":memory:"))
        .merge(("security.database.connections", 1));
    Client::tracked(super::site().configure(figment)).expect("the site starts")
}

fn grant(client: &Client, user: &User, role: &str, permissions: &[&str]) {
    let accounts: &Accounts = client.rocket().state().expect("the accounts");
    let runtime = rocket::tokio::runtime::Runtime::new().expect("a runtime");
    runtime
        .block_on(async {
            accounts.find_or_create_role(role).await?;
            accounts.add_permissions_to_role(role, permissions).await?;
            accounts.add_role_to_user(&user.id, role).await
        })
        .expect("the role");
}

fn status(client: &Client, path: &str) -> Status {
    client.get(path.to_string()).dispatch().status()
}

#[test]
fn everybody_is_greeted_and_whoever_is_signed_in_by_address() {
    let client = client();
    let home = || client.get("/").dispatch().into_string();
    assert_eq!(home().as_deref(), Some("Hello"));
    client.login_as(&client.new_user("ada@example.com"));
    assert_eq!(home().as_deref(), Some("Hello, ada@example.com"));
}

#[test]
fn the_page_for_administrators_is_for_them_alone() {
    let client = client();
    assert_eq!(status(&client, "/admin"), Status::Found);
    let ada = client.new_user("ada@example.com");
    client.login_as(&ada);
    assert_eq!(status(&client, "/admin"), Status::Forbidden);
    grant(&client, &ada, "admin", &[]);
    assert_eq!(status(&client, "/admin"), Status::Ok);
}

#[test]
fn an_editor_publishes_with_the_token_of_a_page() {
    let client = client();
    let ada = client.new_user("ada@example.com");
    grant(&client, &ada, "editor", &["post:publish"]);
    client.login_as(&ada);
    let publish = |token: &str| {
        let request = client
            .post("/posts/7/publish")
            .header(ContentType::JSON)
            .header(Header::new("X-CSRFToken", token.to_string()))
            .body("{}");
        let answer = request.dispatch();
        (answer.status(), answer.into_string().unwrap_or_default())
    };
    assert_eq!(publish("").0, Status::BadRequest);
    let page = client.get("/sessions").dispatch().into_string();
    let page = page.expect("a page");
    let (_, rest) = page
        .split_once("name=\"csrf_token\" value=\"")
        .expect("a form");
    let (token, _) = rest.split_once('"').expect("a token");
    let published = (Status::Ok, "ada@example.com published 7".to_string());
    assert_eq!(publish(token), published);
}

#[test]
fn the_pages_of_accounts_are_there() {
    let client = client();
    for path in ["/login", "/register", "/confirm", "/reset", "/dev/mail"] {
        let answer = client
            .get(path)
            .header(Header::new("Host", "localhost:8000"))
            .dispatch();
        assert_eq!(answer.status(), Status::Ok, "{path}");
    }
    for path in ["/verify", "/sessions", "/change", "/change-email"] {
        assert_eq!(status(&client, path), Status::Found, "{path}");
    }
}
