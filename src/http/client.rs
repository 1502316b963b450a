//! Who asks: the client's address, its agent and its device cookie, gathered once a request.

use std::net::IpAddr;
use std::time::Duration;

use rocket::Request;

use super::{
    address::{ClientAddress, client_address},
    browser::Browser,
    cookies::Kind,
};
use crate::{
    events::Client,
    http::{context::HttpContext, language},
    notify::{context::NotifyContext, mail::MailComposer},
    secrets::{Purpose, random_token},
    store::{User, cut},
    types::span::days,
};

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct ClientInfo {
    pub(crate) client: Client,
    pub(crate) device: DeviceCookie,
    /// The language in which mails to whoever asks are written.
    pub(crate) language: String,
    address: Option<ClientAddress>,
}

impl ClientInfo {
    pub(crate) fn of(request: &Request<'_>, context: &HttpContext) -> Self {
        let header = context.settings.forwarded_header;
        let values: Vec<&str> = request.headers().get(header.name()).collect();
        let peer: Option<IpAddr> = request.remote().map(|remote| remote.ip());
        let address = client_address(peer, &context.settings.trusted_proxies, header, &values);
        let browser = Browser::of(request, context);
        let agent = request.headers().get_one("user-agent").unwrap_or_default();
        Self {
            client: Client {
                address: address.map_or_else(String::new, |address| address.to_string()),
                agent: cut(agent, 255),
            },
            device: DeviceCookie::read(browser.cookie(Kind::Device)),
            language: language::of(request, context),
            address,
        }
    }

    /// Who writes mails on behalf of this client.
    pub(crate) fn composer<'a>(&'a self, notify: &'a NotifyContext) -> MailComposer<'a> {
        MailComposer::on_behalf(notify, &self.client, &self.language)
    }

    /// What attempts from the client's IPv6 network are counted under.
    pub(crate) fn network_bucket(&self) -> Option<String> {
        self.address.and_then(|address| address.network())
    }

    /// What attempts from here are counted under.
    pub(crate) fn address_bucket(&self) -> String {
        self.address
            .map_or_else(|| "unknown".to_string(), |address| address.bucket())
    }
}

/// The browser's own mark: an id, and a seal for each account that signed in here (at most five).
///
/// It is no credential. It only says that failed attempts from here are counted apart. A new password, a
/// first second factor or a sign-out everywhere makes a stranger of it: the seal is about the uniquifier.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeviceCookie {
    id: String,
    seals: Vec<String>,
}

/// How long a browser keeps its mark.
const KEPT: Duration = days(365);

const SEALS: usize = 5;
/// Seals are cut to 16 bytes: forging one gains a budget of ten guesses.
const SEAL_BYTES: usize = 16;

impl DeviceCookie {
    fn read(value: Option<&str>) -> Self {
        let mut parts = value.unwrap_or_default().split('.');
        let id = parts.next().unwrap_or_default();
        if id.len() != 43 || value.is_some_and(|value| value.len() > 400) {
            return Self::default();
        }
        Self {
            id: id.into(),
            seals: parts.take(SEALS).map(String::from).collect(),
        }
    }

    fn parts<'a>(id: &'a str, user: &'a User) -> [&'a [u8]; 3] {
        [
            id.as_bytes(),
            user.id.as_str().as_bytes(),
            user.uniquifier.as_str().as_bytes(),
        ]
    }

    /// The id of this device, if `user` signed in on it before.
    pub(crate) fn known_device(&self, context: &HttpContext, user: &User) -> Option<String> {
        let known = self.seals.iter().any(|seal| {
            data_encoding::BASE64URL_NOPAD
                .decode(seal.as_bytes())
                .is_ok_and(|tag| {
                    context
                        .keys
                        .verify_mac(Purpose::Device, &Self::parts(&self.id, user), &tag)
                })
        });
        known.then(|| self.id.clone())
    }

    /// Sends the browser the cookie that says that `user` signed in here, unless its cookie says so already.
    pub(crate) fn send_seal(&self, browser: &Browser, context: &HttpContext, user: &User) {
        if self.known_device(context, user).is_some() {
            return;
        }
        let id = match self.id.is_empty() {
            true => match random_token() {
                Ok(id) => id.expose().clone(),
                Err(_) => return,
            },
            false => self.id.clone(),
        };
        let tag = context.keys.mac(Purpose::Device, &Self::parts(&id, user));
        let seal = data_encoding::BASE64URL_NOPAD.encode(&tag[..SEAL_BYTES]);
        let mut value = format!("{id}.{seal}");
        for old in self.seals.iter().take(SEALS - 1) {
            value.push('.');
            value.push_str(old);
        }
        browser.send_for(Kind::Device, value, KEPT);
    }
}
