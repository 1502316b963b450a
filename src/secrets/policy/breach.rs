//! Looking a password up among breached ones, without giving it away.
//!
//! The range look-up of Have I Been Pwned: the first five hexadecimal digits of the SHA-1 go out, all
//! hashes with that start come back, padded so that their number tells nothing either.

use data_encoding::HEXUPPER;
use sha1::{Digest, Sha1};
use tokio::task;
use ureq::Agent;
use zeroize::Zeroizing;

use super::{BreachCheck, PolicyError, PolicySettings};
use crate::{secrets::password::Password, types::Message};

/// An answer has about 40 KiB.
const MAX_BODY: u64 = 1 << 20;

/// The complaint `password.breached`, or nothing.
pub(super) async fn check(
    settings: &PolicySettings,
    password: &Password,
) -> Result<Vec<Message>, PolicyError> {
    let digest = Zeroizing::new(HEXUPPER.encode(&Sha1::digest(password.expose().as_bytes())));
    let url = format!("{}{}", settings.breach_url, &digest[..5]);
    let timeout = settings.breach_timeout;
    let sightings = task::spawn_blocking(move || {
        let agent: Agent = Agent::config_builder()
            .timeout_global(Some(timeout))
            .max_redirects(0)
            .build()
            .into();
        let body = agent
            .get(&url)
            .header("Add-Padding", "true")
            .header("User-Agent", "rocket_security")
            .call()
            .and_then(|mut answer| {
                if answer.status() != 200 {
                    return Err(ureq::Error::StatusCode(answer.status().as_u16()));
                }
                answer
                    .body_mut()
                    .with_config()
                    .limit(MAX_BODY)
                    .read_to_string()
            })
            .map_err(|error| error.to_string())?;
        count(&body, &digest[5..])
    })
    .await
    .unwrap_or_else(|error| Err(error.to_string()));
    match sightings {
        Ok(number) if number >= settings.breach_count => Ok(vec![
            Message::new("password.breached").with("count", number),
        ]),
        Ok(_) => Ok(Vec::new()),
        Err(error) => {
            log::warn!("the look-up among breached passwords failed: {error}");
            if settings.breach == BreachCheck::Strict {
                Err(PolicyError::Unavailable)
            } else {
                Ok(Vec::new())
            }
        }
    }
}

/// How often the hash with this rest was seen; lines are `REST:COUNT`, padding has a count of 0.
fn count(body: &str, rest: &str) -> Result<u64, String> {
    let mut lines = body
        .lines()
        .filter(|line| !line.trim().is_empty())
        .peekable();
    if lines.peek().is_none() {
        return Err("the answer is empty".to_owned());
    }
    let mut seen = 0;
    for line in lines {
        // A page of a captive portal or proxy must not pass for "never seen".
        let (hash, number) = line
            .trim()
            .split_once(':')
            .filter(|(hash, _)| hash.len() == 35)
            .ok_or("the answer is no list of hashes")?;
        if hash.eq_ignore_ascii_case(rest) {
            seen = number.trim().parse().map_err(|_| "a count is no number")?;
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use std::{
        io::{BufRead, BufReader, Write},
        net::TcpListener,
        thread::{self, JoinHandle},
    };

    use super::*;

    // SHA-1 of "password": 5BAA6 1E4C9B93F3F0682250B6CF8331B7EE68FD8.
    const REST: &str = "1E4C9B93F3F0682250B6CF8331B7EE68FD8";

    /// Answers one request with `body` and gives back its head.
    fn serve(status: &'static str, body: String) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/range/", listener.local_addr().unwrap());
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while reader.read_line(&mut head).unwrap() > 2 {}
            let length = body.len();
            // The client may hang up early on a body that is too long.
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            head
        });
        (url, served)
    }

    async fn ask(breach: BreachCheck, url: &str, raw: &str) -> Result<Vec<Message>, PolicyError> {
        let settings = PolicySettings {
            breach,
            breach_url: url.to_owned(),
            breach_timeout: Duration::from_secs(1),
            ..PolicySettings::default()
        };
        check(&settings, &Password::parse(raw).unwrap()).await
    }

    #[rocket::async_test]
    async fn a_breached_password_is_counted_and_five_digits_leave() {
        let body = format!("0018A45C4D1DEF81644B54AB7F969B88D65:3\r\n{REST}:42\r\n");
        let (url, served) = serve("200 OK", body);
        let complaints = ask(BreachCheck::Strict, &url, "password").await.unwrap();
        assert_eq!(
            complaints,
            [Message::new("password.breached").with("count", 42)]
        );
        let head = served.join().unwrap().to_lowercase();
        assert!(head.starts_with("get /range/5baa6 http/1.1\r\n"));
        assert!(head.contains("add-padding: true\r\n"));
        assert!(!head.contains("1e4c9"));
    }

    #[rocket::async_test]
    async fn others_and_padding_are_fine() {
        let (url, _) = serve("200 OK", format!("{REST}:0\r\n"));
        assert!(
            ask(BreachCheck::Strict, &url, "password")
                .await
                .unwrap()
                .is_empty()
        );
        let (url, _) = serve("200 OK", format!("{REST}:9\r\n"));
        assert!(
            ask(BreachCheck::Strict, &url, "another")
                .await
                .unwrap()
                .is_empty()
        );
    }

    #[rocket::async_test]
    async fn failures_are_accepted_or_not_as_set() {
        let closed = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            format!("http://{}/", listener.local_addr().unwrap())
        };
        for (status, body) in [
            ("500 Oops", String::new()),
            ("302 Found", String::new()),
            ("200 OK", String::new()),
            ("200 OK", "<html>Please sign in</html>".to_owned()),
            ("200 OK", format!("{REST}:1\r\n").repeat(40_000)),
        ] {
            let (url, _) = serve(status, body.clone());
            let strict = ask(BreachCheck::Strict, &url, "password").await;
            assert_eq!(strict, Err(PolicyError::Unavailable), "{status}");
            let (url, _) = serve(status, body);
            assert_eq!(
                ask(BreachCheck::Lenient, &url, "password").await,
                Ok(vec![])
            );
        }
        let strict = ask(BreachCheck::Strict, &closed, "password").await;
        assert_eq!(strict, Err(PolicyError::Unavailable));
    }

    #[rocket::async_test]
    async fn a_server_that_never_answers_is_left() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let start = std::time::Instant::now();
        assert_eq!(
            ask(BreachCheck::Lenient, &url, "password").await,
            Ok(vec![])
        );
        assert!(start.elapsed().as_secs() < 10);
        drop(listener);
    }
}
