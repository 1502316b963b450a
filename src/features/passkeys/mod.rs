//! Passkeys (WebAuthn): adding and managing them at `/wan-register`, signing in at `/wan-signin`, proving it
//! again at `/wan-verify`, and accounts that never have a password at `/wan-signup`.
//!
//! Each ceremony has two steps: one asks for a challenge, the other presents what the authenticator made of
//! it. Between them is a ticket, bound to the browser or session and used once.

mod manage;
mod register;
mod signin;
mod signup;
mod verify;

use data_encoding::BASE64URL_NOPAD;
use rocket::{Route, get, routes, serde::json::Json};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::Web;
use crate::{
    error::{Error, Invalid},
    factors::passkey::{Answered, Asserting, Ceremonies, PasskeyUsage, Shown, Unfit},
    guards::Public,
    notify::{events::EventKind, notices, outbox},
    settings::{ConfigError, Settings},
    signin::ticket::{self, Draft, Found, Once, Purpose},
    site::Site,
    store::{
        Conn, StoreError,
        passkeys::{self as rows, Owned},
        tickets,
    },
    templates::template,
    types::{Life, Message, Method, Methods, Timestamp, Usages, UserId},
    web::{
        feature::{Feature, Link, MenuFor, sample_form, sample_mail},
        reply::{Answer, Reply},
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "passkeys",
    is_on: |settings, _| settings.passkeys_are_on(),
    routes: || {
        let mut routes = register::routes();
        routes.extend(manage::routes());
        routes.extend(signin::routes());
        routes.extend(verify::routes());
        routes
    },
    templates: &[
        template!("passkeys/manage.html"),
        template!("passkeys/signin.html"),
        template!("passkeys/verify.html"),
    ],
    samples: || {
        let page = sample();
        [manage::MANAGE, signin::SIGNIN, verify::VERIFY]
            .into_iter()
            .map(|name| (name, page.clone()))
            .collect()
    },
    links: &[
        Link {
            name: "passkeys",
            path: "/wan-register",
            menu: MenuFor::SignedIn { post: false },
        },
        Link {
            name: "wan_signin",
            path: "/wan-signin",
            menu: MenuFor::Nobody,
        },
        Link {
            name: "wan_verify",
            path: "/wan-verify",
            menu: MenuFor::Nobody,
        },
    ],
};

/// Sign-up by passkey, which has a switch of its own.
pub(crate) const SIGN_UP: Feature = Feature {
    name: "passkeys (sign-up)",
    is_on: |settings, _| settings.passkeys_are_on() && settings.passkeys.sign_up,
    routes: signup::routes,
    templates: &[
        template!("passkeys/signup.html"),
        template!("passkeys/create.html"),
        template!("passkeys/signup.mail.html"),
        template!("passkeys/signup.mail.txt"),
        template!("passkeys/existing.mail.html"),
        template!("passkeys/existing.mail.txt"),
    ],
    samples: || {
        let (page, mail) = (sample(), sample_mail());
        vec![
            (signup::SIGNUP, page.clone()),
            (signup::CREATE, page),
            ("security/passkeys/signup.mail.html", mail.clone()),
            ("security/passkeys/signup.mail.txt", mail.clone()),
            ("security/passkeys/existing.mail.html", mail.clone()),
            ("security/passkeys/existing.mail.txt", mail),
        ]
    },
    links: &[Link {
        name: "wan_signup",
        path: "/wan-signup",
        menu: MenuFor::Nobody,
    }],
};

fn sample() -> Value {
    json!({
        "form": sample_form(), "is_secondary": true, "can_select": true,
        "account": {"email": "ada@example.com"},
        "passkey": {"options_url": "/", "finish_url": "/", "script": "/", "autofill": true},
        "passkeys": [{
            "id": "1", "name": "Laptop", "provider": "Provider", "synced": true, "suspect": true,
            "usage": "first", "created": "today", "created_iso": "2026-01-01T00:00:00Z",
            "last_used": "now", "last_used_iso": "2026-01-01T00:00:00Z",
            "rename_form": sample_form(), "delete_form": sample_form(),
        }],
    })
}

// Settings.

/// `[security.passkeys]`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct PasskeySettings {
    /// Whether accounts may have passkeys. _Default:_ `true`.
    pub enabled: bool,
    /// The name that passkeys are made for: the host of `base_url` or a domain above it. Another name later
    /// makes every passkey useless. _Default:_ the host of `base_url`.
    pub rp_id: Option<String>,
    /// Further sites, such as `"https://example.net"`, on which the same passkeys work; told to browsers at
    /// `/.well-known/webauthn`. Also Android applications, as `"android:apk-key-hash:"` and the SHA-256 of the
    /// certificate that signs the application, in base64url. _Default:_ none.
    pub origins: Vec<String>,
    /// Whether people may make an account that has a passkey and no password. _Default:_ `false`.
    pub sign_up: bool,
    /// Whether a passkey that has checked its owner, by PIN or finger, counts as two factors.
    /// _Default:_ `true`.
    pub multi_factor: bool,
    /// Whether browsers are told which passkeys somebody has who typed who they are. Needed only by keys
    /// that cannot find themselves; somebody unknown is told of keys that are not there. _Default:_ `false`.
    pub hints: bool,
    /// Whether the field for the address offers passkeys as well. _Default:_ `true`.
    pub autofill: bool,
    /// Whether a passkey signs in without anything else. Off, keys are second factors alone, and those that were
    /// made to sign in open nothing. _Default:_ `true`.
    pub first_factor: bool,
    /// Which passkeys can prove it again at `/wan-verify`: `true` for all of them, `false` for none, or a list of
    /// what they are for, such as `["secondary"]`. _Default:_ `true`.
    pub verify: PasskeyVerify,
    /// How long somebody may take to show a passkey. _Default:_ 5 min.
    pub challenge: Life,
    /// How long somebody may take to make one. _Default:_ 5 min.
    pub register_challenge: Life,
    /// Challenges of visitors that may be open at once; beyond that the oldest end. _Default:_ 10 000.
    pub challenges: u32,
    /// How long the mailed link of a sign-up is good. _Default:_ 1 h.
    pub sign_up_life: Life,
}

/// Which passkeys can prove it again, by what they are for. A passkey for both uses counts for either.
///
/// ```
/// use rocket_security::{PasskeyUsage, config::PasskeyVerify};
/// let keys_alone = PasskeyVerify::of(&[PasskeyUsage::Secondary]);
/// assert!(keys_alone.takes(PasskeyUsage::Both) && !keys_alone.takes(PasskeyUsage::First));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasskeyVerify(Option<Usages>);

impl PasskeyVerify {
    /// Every passkey of the account.
    pub const ANY: Self = Self(Some(Usages::BOTH));
    /// No passkey.
    pub const NONE: Self = Self(None);

    /// The passkeys that are for one of these uses.
    pub fn of(usages: &[PasskeyUsage]) -> Self {
        let usages = usages.iter().map(|usage| usage.usages());
        Self(usages.reduce(Usages::union))
    }

    /// Returns whether a passkey for this use can prove it again.
    pub fn takes(self, usage: PasskeyUsage) -> bool {
        self.0.is_some_and(|taken| taken.overlaps(usage.usages()))
    }

    /// What a passkey must be for; `None` if none is taken.
    pub(crate) const fn usages(self) -> Option<Usages> {
        self.0
    }
}

impl<'de> Deserialize<'de> for PasskeyVerify {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "write true, false, or a list of `first` and `secondary`"
        )]
        enum Written {
            All(bool),
            Some(Vec<PasskeyUsage>),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::All(true) => Self::ANY,
            Written::All(false) => Self::NONE,
            Written::Some(usages) => Self::of(&usages),
        })
    }
}

impl Serialize for PasskeyVerify {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let usages = [PasskeyUsage::First, PasskeyUsage::Secondary];
        let taken = usages.into_iter().filter(|usage| self.takes(*usage));
        serializer.collect_seq(taken)
    }
}

impl Default for PasskeySettings {
    fn default() -> Self {
        Self {
            enabled: true,
            rp_id: None,
            origins: Vec::new(),
            sign_up: false,
            multi_factor: true,
            hints: false,
            autofill: true,
            first_factor: true,
            verify: PasskeyVerify::ANY,
            challenge: Life::minutes(5),
            register_challenge: Life::minutes(5),
            challenges: 10_000,
            sign_up_life: Life::hours(1),
        }
    }
}

impl PasskeySettings {
    /// What is wrong, as the rest of a sentence that begins with the table.
    pub(crate) fn problem(&self) -> Option<String> {
        for (key, life) in [
            ("challenge", self.challenge),
            ("register_challenge", self.register_challenge),
        ] {
            if life.as_secs() > 3_600 {
                return Some(format!(
                    "`{key}` is {} s, longer than anybody waits; write at most \"1 h\"",
                    life.as_secs()
                ));
            }
        }
        if self.sign_up && !self.first_factor {
            return Some("`sign_up` makes accounts that have nothing but a passkey, which `first_factor = false` does not take; turn one of the two round".into());
        }
        (self.challenges == 0).then(|| {
            "`challenges` is 0, so nobody could sign in with a passkey; write 1 or more".into()
        })
    }

    /// The further origins, each with https, at this machine, or of an Android application.
    pub(crate) fn parsed_origins(&self) -> Result<Vec<url::Url>, ConfigError> {
        self.origins
            .iter()
            .map(|origin| {
                let wrong = || {
                    ConfigError(format!(
                        "`security.passkeys.origins` has `{origin}`, which is no https origin of a site and no Android application; write for example \"https://example.net\" or \"android:apk-key-hash:\" and the SHA-256 of its certificate in base64url"
                    ))
                };
                let url = url::Url::parse(origin).map_err(|_| wrong())?;
                if let Some(hash) = origin.strip_prefix("android:apk-key-hash:") {
                    let is_hash = BASE64URL_NOPAD
                        .decode(hash.as_bytes())
                        .is_ok_and(|hash| hash.len() == 32);
                    return is_hash.then_some(url).ok_or_else(wrong);
                }
                let local = url.host_str() == Some("localhost");
                let scheme = url.scheme() == "https" || url.scheme() == "http" && local;
                let bare = url.path() == "/"
                    && url.query().is_none()
                    && url.fragment().is_none()
                    && url.username().is_empty()
                    && url.password().is_none();
                match scheme && bare && url.domain().is_some() {
                    true => Ok(url),
                    false => Err(wrong()),
                }
            })
            .collect()
    }
}

impl Settings {
    /// Whether passkeys can be there: they want a name, and no address.
    pub(crate) fn passkeys_are_on(&self) -> bool {
        let base = self.base_url.as_deref().map(url::Url::parse);
        let named = base.is_none_or(|url| url.is_ok_and(|url| url.domain().is_some()));
        self.passkeys.enabled && named
    }
}

// Routes at the site's root.

/// What is not below our prefix.
pub(crate) fn root_routes() -> Vec<Route> {
    routes![well_known]
}

/// The sites on which these passkeys work, for browsers.
#[get("/.well-known/webauthn")]
fn well_known(_public: Public, site: &rocket::State<std::sync::Arc<Site>>) -> Option<Json<Value>> {
    let ceremonies = site.passkeys.as_ref()?;
    let origins = ceremonies.origins();
    // The first is this site itself.
    (origins.len() > 1).then(|| Json(json!({"origins": origins})))
}

// What the pages are given.

/// What a page is given that offers passkeys: whom its script asks, and where it is.
pub(crate) fn offer(site: &Site, options: &str, finish: &str) -> Value {
    json!({
        "options_url": site.path(options),
        "finish_url": site.path(finish),
        "script": site.path(crate::web::paths::PASSKEYS),
        "autofill": site.settings.passkeys.autofill,
    })
}

/// What comes back from the browser.
#[derive(Debug, Default, Deserialize)]
struct Finish {
    #[serde(default)]
    credential: Answered,
    #[serde(default)]
    next: Option<String>,
    #[serde(default)]
    remember: Option<crate::web::input::Tick>,
    #[serde(default)]
    remember_device: Option<crate::web::input::Tick>,
}

/// The first step's answer.
fn asked(page: Reply, state: &str, options: &Value) -> Reply {
    // As text, which the contract has.
    page.own()
        .with("wan_state", state)
        .with("credential_options", options)
        .json("wan_state", state)
        .json("credential_options", options.to_string())
}

/// What is wrong with the second step of a ceremony: a program gets 400, a browser the page before.
fn or_back(web: &Web<'_>, done: Answer, path: &str, next: Option<&str>) -> Answer {
    web.or_back_with_reason(done, &web.site.path(path), next)
}

// Service.

/// What is done with authenticators; where passkeys are off no route of theirs is there.
fn ceremonies<'a>(web: &'a Web<'_>) -> Result<&'a Ceremonies, Error> {
    web.site.passkeys.as_ref().ok_or(Error::NotFound)
}

/// One answer for all that can be wrong with a passkey.
fn refused() -> Error {
    Invalid::form(Message::new("passkey.refused")).into()
}

/// There is no such challenge, or no longer, or not here.
fn expired() -> Error {
    Invalid::form(Message::new("passkey.expired")).into()
}

/// Writes a challenge; of those of visitors only so many are kept.
async fn put<P: Purpose>(site: &Site, draft: Draft<P>, of_visitor: bool) -> Result<(), Error> {
    let most = i64::from(site.settings.passkeys.challenges);
    let written = site
        .store
        .write(move |conn| {
            ticket::put(conn, &draft)?;
            match of_visitor {
                true => tickets::bound(conn, P::NAME, most),
                false => Ok(()),
            }
        })
        .await;
    written.map_err(crate::signin::outdated)
}

/// What somebody must be to whom a passkey belongs.
struct Expected<'a> {
    /// The account, where it is known.
    user: Option<&'a UserId>,
    /// What the passkey must be for.
    usage: Option<Usages>,
    /// A factor that was shown before.
    not: Option<&'a str>,
}

/// Judges what the browser answered. Who is refused learns no more than that.
async fn judge<P: Purpose>(
    web: &Web<'_>,
    found: &Found<P>,
    begun: &Asserting,
    answered: &Answered,
    expected: Expected<'_>,
) -> Result<Shown, Error> {
    let (site, ceremonies) = (web.site, ceremonies(web)?);
    if answered.is_absent() {
        return Err(Invalid::field("credential", Message::new("passkey.refused")).into());
    }
    let owned = match Ceremonies::credential_id(answered) {
        Some(id) => {
            site.store
                .read(move |conn| rows::by_credential(conn, &id))
                .await?
        }
        None => None,
    };
    let Some(owned) = owned else {
        return Err(fail(web, None, "nobody has it"));
    };
    let user = owned.user.id.clone();
    if expected.user.is_some_and(|expected| *expected != user) {
        return Err(fail(web, None, "it is somebody else's"));
    }
    if expected.usage.is_some_and(|usage| !owned.row.serves(usage)) {
        return Err(fail(web, Some(user), "it is not for this"));
    }
    if expected.not.is_some_and(|not| not == owned.row.id) {
        return Err(fail(web, Some(user), "it was shown before"));
    }
    match ceremonies.judge(begun, answered, owned.clone()) {
        Ok(shown) => Ok(shown),
        Err(Unfit::Refused(why)) => Err(fail(web, Some(user), why)),
        Err(Unfit::Copied) => {
            copied(web, &owned, Some(found.once())).await?;
            Err(fail(web, Some(user), "its counter went back"))
        }
    }
}

/// Tells of a passkey that was not taken.
fn fail(web: &Web<'_>, user: Option<UserId>, why: &str) -> Error {
    log::info!("a passkey was refused: {why}");
    let methods = Methods::of(Method::Passkey);
    let failed = EventKind::AuthenticationFailed { user, methods };
    web.site.event(Some(&web.client.client), failed);
    refused()
}

/// What came of an assertion in the transaction in which it takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// Its challenge was used meanwhile.
    Stale,
    /// Its counter is not new: somebody else has shown the same passkey.
    Copied,
}

/// Uses the challenge up, and moves the counter on: of many at once exactly one succeeds.
fn take_effect(
    conn: &mut Conn,
    once: &Once,
    shown: &Shown,
    now: Timestamp,
) -> Result<Outcome, StoreError> {
    if !once.consume(conn, now)? {
        return Ok(Outcome::Stale);
    }
    let id = &shown.owned.row.id;
    if !rows::count(conn, id, shown.counter, now)? {
        return Ok(Outcome::Copied);
    }
    rows::note(conn, id, &shown.credential, shown.backed_up)?;
    Ok(Outcome::Done)
}

/// What is left to do after that.
async fn settle(web: &Web<'_>, outcome: Outcome, shown: &Shown) -> Result<(), Error> {
    match outcome {
        Outcome::Done => Ok(()),
        Outcome::Stale => Err(expired()),
        Outcome::Copied => {
            copied(web, &shown.owned, None).await?;
            let user = shown.owned.user.id.clone();
            Err(fail(web, Some(user), "its counter went back"))
        }
    }
}

/// Shuts a passkey out of which there may be a copy, and tells its owner. With `once` only if that
/// challenge is still open: what is merely said twice is no copy.
async fn copied(web: &Web<'_>, owned: &Owned, once: Option<Once>) -> Result<(), Error> {
    let (site, now) = (web.site, web.site.now());
    let notice = notices::passkey_suspect(&web.scribe(), &owned.user, &owned.row.name)?;
    let id = owned.row.id.clone();
    let posted = site
        .store
        .write(move |conn| {
            if let Some(once) = &once
                && !once.consume(conn, now)?
            {
                return Ok(None);
            }
            match rows::suspect(conn, &id, now)? {
                true => Ok(Some(outbox::put(conn, &notice)?)),
                false => Ok(None),
            }
        })
        .await?;
    if let Some(posted) = posted {
        site.posted(posted);
        let suspect = EventKind::PasskeySuspect {
            user: owned.user.id.clone(),
            name: owned.row.name.clone(),
        };
        site.event(Some(&web.client.client), suspect);
    }
    Ok(())
}

/// What an assertion proves.
fn proven(site: &Site, verified: bool) -> Methods {
    let methods = Methods::of(Method::Passkey);
    match verified && site.settings.passkeys.multi_factor {
        true => methods.and_verified(),
        false => methods,
    }
}
