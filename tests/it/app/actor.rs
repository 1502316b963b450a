//! Actors: browsers with cookies, and programs without.

use std::{collections::BTreeMap, net::SocketAddr, sync::Mutex};

use rocket::http::{Cookie, Header, Method as Verb};
use rocket_security::{Clock, Timestamp, User};
use serde_json::{Value, json};

use super::{Answer, App};

/// Somebody who asks: a browser with cookies, or a program without.
pub struct Actor<'a> {
    pub app: &'a App,
    cookies: Mutex<BTreeMap<String, String>>,
    keeps_cookies: bool,
    json: bool,
    headers: Vec<(String, String)>,
    remote: Option<SocketAddr>,
    page: Mutex<Option<Page>>,
}

/// A CSRF token as a page had it, with the cookies and the time of that moment: while both are the same, a page would
/// give as good a one.
#[derive(Clone)]
struct Page {
    cookies: BTreeMap<String, String>,
    at: Timestamp,
    token: String,
}

impl<'a> Actor<'a> {
    pub(super) fn new(app: &'a App, keeps_cookies: bool) -> Self {
        Self {
            app,
            cookies: Mutex::default(),
            keeps_cookies,
            json: false,
            headers: Vec::new(),
            remote: None,
            page: Mutex::default(),
        }
    }

    /// Asks for JSON, as a page's script does.
    pub fn in_json(mut self) -> Self {
        self.json = true;
        self
    }

    /// Asks for pages again.
    #[cfg(all(feature = "smtp", feature = "sms"))]
    pub fn of_pages(mut self) -> Self {
        self.json = false;
        self
    }

    pub fn from(mut self, address: &str) -> Self {
        self.remote = Some(SocketAddr::new(address.parse().expect("an address"), 4711));
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.header("Authentication-Token", token)
    }

    pub fn basic(self, identity: &str, password: &str) -> Self {
        let text = data_encoding::BASE64.encode(format!("{identity}:{password}").as_bytes());
        self.header("Authorization", &format!("Basic {text}"))
    }

    /// A browser with the same cookies, as of now.
    pub fn copy(&self) -> Self {
        Self {
            app: self.app,
            cookies: Mutex::new(self.cookies.lock().unwrap().clone()),
            keeps_cookies: self.keeps_cookies,
            json: self.json,
            headers: self.headers.clone(),
            remote: self.remote,
            page: Mutex::default(),
        }
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(name).cloned()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies
            .lock()
            .unwrap()
            .insert(name.into(), value.into());
    }

    pub fn forget_cookie(&self, name: &str) {
        self.cookies.lock().unwrap().remove(name);
    }

    /// Any request, with exactly these headers and this body besides cookies and the actor's own.
    pub async fn send(
        &self,
        verb: Verb,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Answer {
        let mut request = self.app.client.req(verb, path.to_string());
        if self.json && !headers.iter().any(|(name, _)| *name == "Accept") {
            request.add_header(Header::new("Accept", "application/json"));
        }
        for (name, value) in &self.headers {
            request.add_header(Header::new(name.clone(), value.clone()));
        }
        for (name, value) in headers {
            request.add_header(Header::new(name.to_string(), value.to_string()));
        }
        for (name, value) in self.cookies.lock().unwrap().iter() {
            request = request.cookie(Cookie::new(name.clone(), value.clone()));
        }
        if let Some(remote) = self.remote {
            request = request.remote(remote);
        }
        if let Some(body) = body {
            request.set_body(body);
        }
        let response = request.dispatch().await;
        let headers: Vec<(String, String)> = response
            .headers()
            .iter()
            .map(|header| (header.name().to_string(), header.value().to_string()))
            .collect();
        let status = response.status().code;
        let body = response.into_bytes().await.unwrap_or_default();
        let answer = Answer {
            status,
            headers,
            body,
        };
        // A page of the application's own template is the application's to check.
        if !self.app.dir.path().join("templates").exists() {
            crate::pages::record(path, &answer);
        }
        if self.keeps_cookies {
            let mut jar = self.cookies.lock().unwrap();
            for cookie in answer.cookies() {
                let gone = cookie
                    .max_age()
                    .is_some_and(|age| age <= time::Duration::ZERO);
                match gone {
                    true => drop(jar.remove(cookie.name())),
                    false => drop(jar.insert(cookie.name().into(), cookie.value().into())),
                }
            }
        }
        answer
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Verb::Get, path, &[], None).await
    }

    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Verb::Get, path, headers, None).await
    }

    /// A token as a page of ours would hold it.
    pub async fn csrf(&self) -> String {
        let at = self.app.clock.now();
        let cookies = self.cookies.lock().unwrap().clone();
        let known = self.page.lock().unwrap().clone();
        if let Some(page) = known
            && page.at == at
            && page.cookies == cookies
        {
            return page.token;
        }
        let answer = self
            .send(Verb::Get, "/login", &[("Accept", "application/json")], None)
            .await;
        let token = answer.json()["response"]["csrf_token"]
            .as_str()
            .unwrap_or_default()
            .to_string();
        let cookies = self.cookies.lock().unwrap().clone();
        *self.page.lock().unwrap() = self.keeps_cookies.then(|| Page {
            cookies,
            at,
            token: token.clone(),
        });
        token
    }

    /// A form as a page of ours sends it, CSRF token included.
    pub async fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.csrf().await;
        let mut all = fields.to_vec();
        all.push(("csrf_token", &token));
        self.post_raw_form(path, &all).await
    }

    /// A form with these fields and no others.
    pub async fn post_raw_form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.post_body(path, "application/x-www-form-urlencoded", body.as_bytes())
            .await
    }

    /// JSON, with a CSRF header where there are cookies that want one.
    pub async fn post_json(&self, path: &str, body: Value) -> Answer {
        let csrf = match self.keeps_cookies {
            true => self.csrf().await,
            false => String::new(),
        };
        let mut headers = vec![("Content-Type", "application/json")];
        if self.keeps_cookies {
            headers.push(("X-CSRF-Token", csrf.as_str()));
        }
        self.send(
            Verb::Post,
            path,
            &headers,
            Some(body.to_string().as_bytes()),
        )
        .await
    }

    /// Any body, with no CSRF token.
    pub async fn post_body(&self, path: &str, kind: &str, body: &[u8]) -> Answer {
        self.send(Verb::Post, path, &[("Content-Type", kind)], Some(body))
            .await
    }

    /// Signs in by the form.
    pub async fn login(&self, identity: &str, password: &str) -> Answer {
        let fields = [("email", identity), ("password", password)];
        match self.json {
            true => {
                self.post_json("/login", json!({"email": identity, "password": password}))
                    .await
            }
            false => self.post_form("/login", &fields).await,
        }
    }

    /// Signs in by the form and wants to be remembered.
    pub async fn login_remembered(&self, identity: &str, password: &str) -> Answer {
        let fields = [
            ("email", identity),
            ("password", password),
            ("remember", "true"),
        ];
        self.post_form("/login", &fields).await
    }

    /// Signs in by the application's own code: `query` is `"mfa=true"`, `"remember=true"` or nothing.
    pub async fn sign_in_as(&self, user: &User, query: &str) {
        let answer = self
            .post_json(&format!("/as/{}?{query}", user.id), json!({}))
            .await;
        assert_eq!(answer.status, 204, "{}", answer.text());
    }

    pub async fn logout(&self) -> Answer {
        self.post_form("/logout", &[]).await
    }

    /// Whether `/me` knows who this is; any other answer than yes or no fails.
    pub async fn is_signed_in(&self) -> bool {
        let answer = self
            .send(Verb::Get, "/me", &[("Accept", "application/json")], None)
            .await;
        match answer.status {
            200 => true,
            401 => false,
            other => panic!("/me answered {other}: {}", answer.text()),
        }
    }
}
