//! The development mailbox, which holds live links: for whoever sits at the machine, and nobody else.

use crate::app::{App, PASSWORD};

async fn registered() -> App {
    let app = App::new().await;
    let fields = [
        ("email", "ada@example.com"),
        ("password", PASSWORD),
        ("password_confirm", PASSWORD),
    ];
    app.browser().post_form("/register", &fields).await;
    app
}

#[rocket::async_test]
async fn the_mailbox_answers_under_the_machines_own_names_only() {
    let app = registered().await;
    for (host, status) in [
        ("localhost:8000", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        // An address of this machine under the name of another site: DNS rebinding.
        ("evil.example", 404),
        ("evil.example:8000", 404),
        ("localhost.evil.example", 404),
        ("localhost.", 404),
        ("192.168.0.7:8000", 404),
        ("a b", 404),
        ("", 404),
    ] {
        for path in ["/dev/mail", "/dev/mail/1", "/dev/mail/1/html"] {
            for json in [false, true] {
                let mut headers = vec![("Host", host)];
                if json {
                    headers.push(("Accept", "application/json"));
                }
                let answer = app.browser().get_with(path, &headers).await;
                assert_eq!(answer.status, status, "{host} {path}");
                assert!(
                    status == 200 || !answer.text().contains("/confirm/"),
                    "{host} {path}"
                );
            }
        }
    }
}

#[rocket::async_test]
async fn the_mailbox_answers_nobody_behind_a_proxy_and_nobody_elsewhere() {
    let app = registered().await;
    for header in [
        "Forwarded",
        "Via",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Server",
        "X-Real-IP",
        "CF-Connecting-IP",
        "CF-Ray",
        "CF-Visitor",
        "CDN-Loop",
        "True-Client-IP",
        "Client-IP",
        "Proxy-Client-IP",
        "WL-Proxy-Client-IP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
        "Fastly-Client-IP",
        "Fly-Client-IP",
        "X-ProxyUser-Ip",
        "X-Envoy-External-Address",
        "X-Azure-ClientIP",
        "X-Appengine-User-Ip",
        "X-Original-Forwarded-For",
        "X-Original-Host",
        "X-Original-URL",
        "X-Varnish",
    ] {
        let headers = [("Host", "localhost:8000"), (header, "127.0.0.1")];
        for path in ["/dev/mail", "/dev/mail/1", "/dev/mail/1/html"] {
            assert_eq!(
                app.browser().get_with(path, &headers).await.status,
                404,
                "{header} {path}"
            );
        }
    }
    for (address, status) in [
        ("127.0.0.1", 200),
        ("127.8.8.8", 200),
        ("::1", 200),
        ("::ffff:127.0.0.1", 200),
        ("192.0.2.1", 404),
        ("::ffff:192.0.2.1", 404),
        ("10.0.0.1", 404),
    ] {
        let host = [("Host", "localhost:8000")];
        let answer = app
            .browser()
            .from(address)
            .get_with("/dev/mail", &host)
            .await;
        assert_eq!(answer.status, status, "{address}");
    }
}

#[rocket::async_test]
async fn a_button_in_a_mail_opens_a_tab_of_its_own() {
    let app = registered().await;
    let host = [("Host", "localhost:8000")];
    let page = app.browser().get_with("/dev/mail/1", &host).await.text();
    let sandbox = "allow-popups allow-popups-to-escape-sandbox";
    assert!(page.contains(&format!("sandbox=\"{sandbox}\"")), "{page}");
    let part = app.browser().get_with("/dev/mail/1/html", &host).await;
    let policy = part.header("Content-Security-Policy").unwrap_or_default();
    assert!(
        policy.ends_with(&format!("; sandbox {sandbox}")),
        "{policy}"
    );
    assert!(part.text().contains("<head><base target=\"_blank\">"));
}
