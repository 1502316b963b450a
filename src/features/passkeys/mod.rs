//! Passkeys (WebAuthn): adding and managing them at `/wan-register`, signing in at `/wan-signin`, proving it
//! again at `/wan-verify`, and accounts that never have a password at `/wan-signup`.
//!
//! Each ceremony has two steps: one asks for a challenge, the other presents what the authenticator made of
//! it. Between them is a ticket, bound to the browser or session and used once.

mod answer;
mod builder;
mod manage;
mod register;
mod script;
mod signin;
mod signup;
mod verify;

use rocket::{Route, get, routes, serde::json::Json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Web;
use crate::{
    error::{Error, Invalid},
    events::EventKind,
    factors::passkey::{Answered, Asserting, Ceremonies, KIND, Shown, Unfit},
    guards::Public,
    identity::target::Target,
    notify::notices,
    signin::ticket::{
        self, Draft, Purpose,
        challenge::{Found, TicketId},
    },
    store::{
        Conn, StoreError,
        passkeys::{self as rows, Owned},
        tickets,
    },
    types::{Message, Method, Methods, Path, Timestamp, Usages, UserId},
    web::{
        feature::{Feature, Link, MenuFor, sample_form},
        json::wants_json,
        reply::{Answer, Reply},
        site::Site,
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
        routes.extend(routes![script::passkeys]);
        routes
    },
    templates: &[manage::MANAGE, signin::SIGNIN, verify::VERIFY],
    samples: || {
        let page = sample();
        [manage::MANAGE, signin::SIGNIN, verify::VERIFY]
            .into_iter()
            .map(|name| (name, page.clone()))
            .collect()
    },
    mails: &[],
    links: &[
        Link {
            name: "passkeys",
            path: Path::WanRegister,
            menu: MenuFor::SignedIn { post: false },
        },
        Link {
            name: "wan_signin",
            path: Path::WanSignin,
            menu: MenuFor::Nobody,
        },
        Link {
            name: "wan_verify",
            path: Path::WanVerify,
            menu: MenuFor::Nobody,
        },
    ],
};

/// Sign-up by passkey, which has a switch of its own.
pub(crate) const SIGN_UP: Feature = Feature {
    name: "passkeys (sign-up)",
    is_on: |settings, _| settings.passkeys_are_on() && settings.passkeys.sign_up,
    routes: signup::routes,
    templates: &[signup::SIGNUP, signup::CREATE],
    samples: || {
        let page = sample();
        vec![(signup::SIGNUP, page.clone()), (signup::CREATE, page)]
    },
    mails: &[signup::MAIL, signup::EXISTING],
    links: &[Link {
        name: "wan_signup",
        path: Path::WanSignup,
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
pub(crate) fn offer(site: &Site, path: &str, query: &str) -> Value {
    json!({
        "options_url": format!("{path}{query}"),
        "finish_url": path,
        "script": site.path(Path::PasskeysScript),
        "autofill": site.settings.passkeys.autofill,
    })
}

/// Whether browsers offer passkeys where an identity is filled in.
pub(crate) fn autofills(site: &Site) -> bool {
    site.passkeys_sign_in() && site.settings.passkeys.autofill
}

/// What comes back from the browser.
#[derive(Debug, Default, Deserialize)]
struct Finish {
    #[serde(default)]
    credential: Answered,
    #[serde(default)]
    next: Option<String>,
    #[serde(default)]
    remember: Option<crate::web::input::Checkbox>,
    #[serde(default)]
    remember_device: Option<crate::web::input::Checkbox>,
}

/// The answer to the first step of a ceremony.
#[derive(Serialize)]
struct CeremonyAnswer<'a> {
    /// The state, which ends the path of the second step.
    wan_state: &'a str,
    /// What the browser's API is given, as a JSON text.
    credential_options: String,
}

/// The first step's answer.
fn asked(page: Reply, state: &str, options: &Value) -> Reply {
    page.own()
        .with("wan_state", state)
        .with("credential_options", options)
        .answer(CeremonyAnswer {
            wan_state: state,
            credential_options: options.to_string(),
        })
}

/// What is wrong with the second step of a ceremony: a program gets 400, a browser the page before.
fn or_back(web: &Web<'_>, done: Answer, path: Path, next: Option<&str>) -> Answer {
    or_back_with_reason(web, done, &web.site.path(path), next)
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
async fn keep_challenge<P: Purpose>(
    site: &Site,
    draft: Draft<P>,
    of_visitor: bool,
) -> Result<(), Error> {
    let most = i64::from(site.settings.passkeys.challenges.get());
    let written = site
        .store
        .write(move |conn| {
            ticket::insert(conn, &draft)?;
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
async fn verify_shown<P: Purpose>(
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
        return Err(rejected(web, None, "nobody has it"));
    };
    let user = owned.user.id.clone();
    if expected.user.is_some_and(|expected| *expected != user) {
        return Err(rejected(web, None, "it is somebody else's"));
    }
    if expected.usage.is_some_and(|usage| !owned.row.serves(usage)) {
        return Err(rejected(web, Some(user), "it is not for this"));
    }
    if expected.not.is_some_and(|not| not == owned.row.id) {
        return Err(rejected(web, Some(user), "it was shown before"));
    }
    match ceremonies.verify(begun, answered, owned.clone()) {
        Ok(shown) => Ok(shown),
        Err(Unfit::Refused(why)) => Err(rejected(web, Some(user), why)),
        Err(Unfit::Copied) => {
            copied(web, &owned, Some(found.ticket_id())).await?;
            Err(rejected(web, Some(user), "its counter went back"))
        }
    }
}

/// Tells of a passkey that was not taken.
fn rejected(web: &Web<'_>, user: Option<UserId>, why: &str) -> Error {
    log::info!("a passkey was refused: {why}");
    let methods = Methods::of(Method::Passkey);
    let failed = EventKind::AuthenticationFailed { user, methods };
    web.site.event(&web.client.client, failed);
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
    ticket_id: &TicketId,
    shown: &Shown,
    now: Timestamp,
) -> Result<Outcome, StoreError> {
    if !ticket_id.consume(conn, now)? {
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
            Err(rejected(web, Some(user), "its counter went back"))
        }
    }
}

/// Shuts a passkey out of which there may be a copy, and tells its owner. With `ticket_id` only if that
/// challenge is still open: what is merely said twice is no copy.
async fn copied(web: &Web<'_>, owned: &Owned, ticket_id: Option<TicketId>) -> Result<(), Error> {
    let now = web.site.now();
    let notice = notices::passkey_suspect(&web.composer(), &owned.user, KIND, &owned.row.name)?;
    let (id, user, name) = (
        owned.row.id.clone(),
        owned.user.id.clone(),
        owned.row.name.clone(),
    );
    web.change(move |change| {
        if let Some(ticket_id) = &ticket_id
            && !ticket_id.consume(change, now)?
        {
            return Ok(());
        }
        if rows::suspect(change, &id, now)? {
            change.mail(&notice)?;
            let (user, name) = (user.clone(), name.clone());
            change.event(EventKind::PasskeySuspect { user, name });
        }
        Ok(())
    })
    .await?;
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

/// Tells a browser the first thing that is wrong on the page at `path`, which leads on to `next`; a program gets 400.
fn or_back_with_reason(web: &Web<'_>, done: Answer, path: &str, next: Option<&str>) -> Answer {
    match done.map_err(Error::for_form) {
        Err(Error::Invalid(invalid)) if !wants_json(web.request, web.site) => {
            let mut messages = invalid.fields().flat_map(|(_, messages)| messages);
            let key = messages.next().map_or("input.invalid", Message::key);
            let mut target = Target::local(path);
            if let Some(next) = next.and_then(|next| web.site.http.redirects.allowed(next)) {
                target = target.with_query(&[("next", next.as_str())]);
            }
            Ok(Reply::done(target).flash("error", key.to_string()))
        }
        done => done,
    }
}
