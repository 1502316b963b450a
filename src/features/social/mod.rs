//! Sign-in with an account elsewhere: `/login/oauthstart/<name>` leads to a provider, which leads back to
//! `/login/oauthresponse/<name>`; the same to prove it again, and to link an account there to one here.
//!
//! Between going and coming back is a ticket, bound to the browser or session and used once; its secret is
//! the `state`. Nonce and PKCE verifier are derived from that and rest nowhere.

mod builder;
mod link;
mod signin;
mod verify;

use data_encoding::BASE64URL_NOPAD;
use rocket::{
    Request,
    form::{Errors, Form},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use super::Web;
use crate::{
    error::{Denied, Error, Invalid},
    events::EventKind,
    http::headers,
    identity::target::{Outward, Target},
    secrets::{Purpose as Key, Secret},
    signin::{
        limits::{PerAddress, count_per_address},
        ticket::{self, CodeSubject, Purpose, Spent, TicketOptions},
    },
    social::{
        SocialAnswer, SocialError, SocialProfile, SocialProvider, SocialRequest, challenge_of,
    },
    store::{social::SocialKey, tickets},
    types::{Message, Method, Methods, Path, PathTo, UserId},
    web::{
        feature::{Feature, Link, MenuFor},
        json::wants_json,
        reply::{Answer, Reply},
        site::Site,
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "social",
    is_on: |settings, _| settings.social.is_on(),
    routes: || {
        let mut routes = signin::routes();
        routes.extend(verify::routes());
        routes
    },
    templates: &[],
    samples: Vec::new,
    mails: &[],
    links: &[],
};

/// Linking, which has a switch of its own.
pub(crate) const LINKING: Feature = Feature {
    name: "social (linking)",
    is_on: |settings, _| settings.social.is_on() && settings.social.link,
    routes: link::routes,
    templates: &[link::PAGE],
    samples: || {
        let account = json!({
            "label": "ada", "created": "today", "created_iso": "2026-01-01T00:00:00Z",
            "last_used": "now", "last_used_iso": "2026-01-01T00:00:00Z",
        });
        let one = |name: &str, account: &Value| {
            json!({
                "name": name, "label": name, "account": account,
                "link_url": "/login/oauth-link/x", "unlink_url": "/login/oauth-unlink/x",
            })
        };
        let providers = [one("github", &account), one("google", &Value::Null)];
        let page = json!({"providers": providers});
        vec![(link::PAGE, page)]
    },
    mails: &[],
    links: &[Link {
        name: "social_accounts",
        path: Path::OauthLink,
        menu: MenuFor::SignedIn { post: false },
    }],
};

// What pages are given.

/// What a page is given that offers providers; null where there are none. It offers all of them to sign in, or those
/// that are linked, to prove it again.
pub(crate) fn offer(web: &Web<'_>, linked: Option<&[String]>, next: Option<&str>) -> Value {
    let site = web.site;
    let path = match linked {
        None => PathTo::OauthStart,
        Some(_) => PathTo::OauthVerifyStart,
    };
    let offered: Vec<Value> = site
        .social
        .iter()
        .filter(|provider| {
            linked.is_none_or(|linked| linked.iter().any(|name| name == provider.name()))
        })
        .map(|provider| {
            json!({
                "name": provider.name(),
                "label": provider.label(),
                "action": site.path_to(path, [provider.name()]),
            })
        })
        .collect();
    if offered.is_empty() {
        return Value::Null;
    }
    headers::let_forms_out(web.request);
    let next = next.and_then(|next| site.http.redirects.allowed(next));
    let remember = &site.settings.remember;
    // Only where it would happen unasked: otherwise the box of the form beside it is enough.
    let box_shown = linked.is_none() && remember.enabled && remember.by_default;
    json!({"providers": offered, "next": next.map(String::from), "remember_box": box_shown})
}

/// The providers by which somebody can prove it again.
pub(crate) async fn linked(site: &Site, user: &UserId) -> Result<Vec<String>, Error> {
    if !site.settings.social.verify || site.social.is_empty() {
        return Ok(Vec::new());
    }
    let accounts = site.store.social_accounts_of(user).await?;
    let known = site.social.issuers();
    Ok(accounts
        .into_iter()
        .map(|one| (one.provider, one.issuer))
        .filter(|one| known.contains(one))
        .map(|(provider, _)| provider)
        .collect())
}

// Going and coming back.

/// What a provider leads back to, beside whatever a ticket carries for its own purpose.
#[derive(Debug, Default, rocket::FromForm)]
struct Back<'r> {
    state: Option<&'r str>,
    code: Option<&'r str>,
    iss: Option<&'r str>,
    error: Option<&'r str>,
    error_description: Option<&'r str>,
}

/// The same in the body of a POST, beside whatever else the provider tells.
#[derive(Debug, Default, rocket::FromForm)]
struct FormPost<'r> {
    state: Option<&'r str>,
    code: Option<&'r str>,
    iss: Option<&'r str>,
    error: Option<&'r str>,
    error_description: Option<&'r str>,
}

/// The path that a provider leads back to; its address is registered there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Return {
    /// After signing in or linking.
    Login,
    /// After proving it again.
    Verify,
}

impl Return {
    fn url(self, site: &Site, name: &str) -> Result<Url, Error> {
        let url = site.absolute_to(self.path(), [name]);
        Url::parse(&url).map_err(|error| Error::Broken(error.to_string()))
    }

    const fn path(self) -> PathTo {
        match self {
            Self::Login => PathTo::OauthResponse,
            Self::Verify => PathTo::OauthVerifyResponse,
        }
    }
}

/// A secret that belongs to a state, and is known to nobody who has not our keys.
fn derived(site: &Site, what: &[u8], state: &str) -> Secret<String> {
    let tag = site.keys.mac(Key::Social, &[what, state.as_bytes()]);
    Secret::new(BASE64URL_NOPAD.encode(&tag))
}

/// The provider of this name.
fn provider<'a>(web: &'a Web<'_>, name: &str) -> Result<&'a dyn SocialProvider, Error> {
    let found = web.site.social.get(name).ok_or(Error::NotFound)?;
    Ok(found.as_ref())
}

/// Leads a browser to a provider.
async fn redirect_to_provider<P>(
    web: &Web<'_>,
    provider: &dyn SocialProvider,
    back: Return,
    bound_to: String,
    caller: Option<&crate::signin::caller::Caller>,
    payload: &P::Payload,
) -> Answer
where
    P: Purpose,
    P::Payload: DeserializeOwned,
{
    let site = web.site;
    count_per_address(site, PerAddress::Challenge, &web.client).await?;
    let of_visitor = caller.is_none();
    let terms = TicketOptions {
        life: site.settings.social.state.get(),
        user: caller.map(|caller| caller.user.id.clone()),
        bound_to: Some(bound_to),
    };
    let begun = caller.map_or(
        ticket::Begun::ByVisitor,
        crate::signin::caller::Caller::begun,
    );
    let nobody = CodeSubject::of_bucket(P::NAME);
    let draft = ticket::draft::<P>(site, terms, begun, &nobody, payload)?.without_code();
    let state = draft.secret.expose().clone();
    let redirect_uri = back.url(site, provider.name())?;
    let nonce = derived(site, b"nonce", &state);
    let asked = SocialRequest {
        redirect_uri: &redirect_uri,
        state: &state,
        nonce: nonce.expose(),
        code_challenge: &challenge_of(&derived(site, b"pkce", &state)),
        again: back == Return::Verify,
    };
    let url = provider
        .authorize(&asked)
        .await
        .map_err(|error| logged(provider.name(), &error))?;
    site.store
        .write(move |conn| {
            ticket::insert_beside(conn, &draft)?;
            match of_visitor {
                true => tickets::bound(conn, P::NAME, STATES),
                false => Ok(()),
            }
        })
        .await
        .map_err(crate::signin::outdated)?;
    let outward = Outward::new(url).ok_or_else(|| {
        logged(
            provider.name(),
            &SocialError::Refused("it leads to no web page".into()),
        )
    })?;
    Ok(Reply::moved(outward.into_target()))
}

/// Visitors that may be on their way at once; beyond that the oldest start again.
const STATES: i64 = 10_000;

/// Uses up the ticket that a state is; `None` if there is none for this purpose here.
async fn returned<P: Purpose>(
    web: &Web<'_>,
    back: &Back<'_>,
    bound_to: Option<&str>,
) -> Result<Option<Spent<P>>, Error> {
    let Some((state, bound_to)) = back.state.zip(bound_to) else {
        return Ok(None);
    };
    ticket::spend::<P>(&web.site.store, state, Some(bound_to)).await
}

/// Asks the provider who came back.
async fn profile(
    web: &Web<'_>,
    provider: &dyn SocialProvider,
    back: &Back<'_>,
    to: Return,
) -> Result<SocialProfile, Error> {
    let site = web.site;
    if let Some(error) = back.error {
        let short = |text: &str| text.chars().take(200).collect::<String>();
        let why = back.error_description.map(short).unwrap_or_default();
        log::info!(
            "the provider {} sent somebody back: {:?} {why:?}",
            provider.name(),
            short(error)
        );
        return Err(rejected(match error {
            "access_denied" => "social.cancelled",
            "temporarily_unavailable" | "server_error" => "social.unavailable",
            _ => "social.refused",
        }));
    }
    let (Some(state), Some(code)) = (back.state, back.code) else {
        return Err(rejected("social.refused"));
    };
    let redirect_uri = to.url(site, provider.name())?;
    let nonce = derived(site, b"nonce", state);
    let answer = SocialAnswer {
        code,
        issuer: back.iss,
        redirect_uri: &redirect_uri,
        nonce: nonce.expose(),
        code_verifier: &derived(site, b"pkce", state),
        now: site.now(),
    };
    let profile = provider.profile(&answer).await.map_err(|error| {
        if let SocialError::Refused(_) = error {
            event_rejected(web, None);
        }
        logged(provider.name(), &error)
    })?;
    // What a standard's subject can be (OpenID Connect Core 1.0, section 2), and the table can hold.
    let subject = &profile.subject;
    if subject.is_empty() || subject.len() > 255 || !subject.bytes().all(|b| b.is_ascii_graphic()) {
        event_rejected(web, None);
        let why = SocialError::Refused("its subject is no ASCII of 1 to 255 characters".into());
        return Err(logged(provider.name(), &why));
    }
    Ok(profile)
}

/// What names the account that came back.
fn key_of(provider: &dyn SocialProvider, profile: &SocialProfile) -> SocialKey {
    SocialKey {
        provider: provider.name().into(),
        issuer: provider.issuer().into(),
        subject: profile.subject.clone(),
    }
}

/// What an owner knows an account by, as the table holds it.
fn label_of(profile: &SocialProfile) -> Option<String> {
    let label = profile.label.as_deref()?;
    let shown: String = label
        .chars()
        .filter(|c| !crate::identity::text::is_hidden(*c))
        .take(255)
        .collect();
    (!shown.is_empty()).then_some(shown)
}

fn rejected(key: &'static str) -> Error {
    Invalid::form(Message::new(key)).into()
}

/// Why a provider did not do, for the log; for the person no more than whether to try again.
fn logged(name: &str, error: &SocialError) -> Error {
    log::warn!("the provider {name} {error}");
    match error {
        SocialError::Unavailable(_) => Error::unavailable("the provider does not answer"),
        SocialError::Refused(_) => rejected("social.refused"),
    }
}

/// Tells of somebody who was not let in.
fn event_rejected(web: &Web<'_>, user: Option<UserId>) {
    let methods = Methods::of(Method::Oauth);
    let failed = EventKind::AuthenticationFailed { user, methods };
    web.site.event(&web.client.client, failed);
}

/// What is wrong where no form shows it: a browser is told where it came from, a view of an application in
/// the browser gets the key, and a program the status. Each reason names the provider.
fn or_back(web: &Web<'_>, provider: &str, done: Answer, path: &str, next: Option<&str>) -> Answer {
    let site = web.site;
    // One that is in the settings no more can still be unlinked.
    let label = site.social_label(provider);
    let label = label.unwrap_or_else(|| provider.to_string());
    if wants_json(web.request, site) {
        return named(done, &label);
    }
    let done = match done {
        Err(Error::Unavailable { .. }) => Err(rejected("social.unavailable")),
        // Not as elsewhere, where one is led back afterwards: this address is good once, and has a code in it.
        Err(Error::Denied(Denied::Inactive)) => Err(rejected("login.inactive")),
        Err(Error::Denied(Denied::Unconfirmed)) => Err(rejected("login.unconfirmed")),
        Err(Error::Denied(
            Denied::Anonymous
            | Denied::BadCredential
            | Denied::Mechanism
            | Denied::Stale
            | Denied::SecondFactor,
        )) => Err(rejected("social.expired")),
        done => done.map_err(Error::for_form),
    };
    let done = named(done, &label);
    let Err(Error::Invalid(invalid)) = &done else {
        return done;
    };
    let mut messages = invalid.fields().flat_map(|(_, messages)| messages);
    let key = messages.next().map_or("social.refused", Message::key);
    if !site.settings.spa.enabled {
        let mut target = Target::local(path);
        if let Some(next) = next.and_then(|next| site.http.redirects.allowed(next)) {
            target = target.with_query(&[("next", next.as_str())]);
        }
        return Ok(Reply::done(target).flash("error", format!("{key}@{provider}")));
    }
    let view = Target::local(&site.settings.spa.login_view).with_query(&[("error", key)]);
    Ok(Reply::done(view))
}

/// Puts the provider's name for people into what is wrong.
fn named(done: Answer, provider: &str) -> Answer {
    let Err(Error::Invalid(invalid)) = done else {
        return done;
    };
    let mut named = Invalid::new();
    for (field, messages) in invalid.fields() {
        for message in messages {
            named.add(field, message.clone().with("provider", provider));
        }
    }
    Err(named.into())
}

/// Leads a browser that a provider sent here by POST to the same place by GET.
///
/// A cross-site POST brings none of our cookies, which are `SameSite=Lax`; the GET that follows it does. So the
/// state is bound to the browser as it is elsewhere, and this does nothing but pass the answer on.
fn passed_on(
    web: &Web<'_>,
    name: &str,
    back: Return,
    form: Result<Form<FormPost<'_>>, Errors<'_>>,
) -> Answer {
    mark(web.request);
    let provider = provider(web, name)?;
    if !provider.posts_back() {
        return Err(Error::NotFound);
    }
    let form = form.ok().map(Form::into_inner).unwrap_or_default();
    let pairs = [
        ("state", form.state),
        ("code", form.code),
        ("iss", form.iss),
        ("error", form.error),
        ("error_description", form.error_description),
    ];
    let mut url = back.url(web.site, provider.name())?;
    let said = pairs
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    url.query_pairs_mut().extend_pairs(said);
    // None where it is too long for a header.
    match Outward::new(url) {
        Some(to) => Ok(Reply::moved(to.into_target())),
        None => Err(Invalid::form(Message::new("input.invalid")).into()),
    }
}

/// The address holds a code and a state; and it is nothing but a redirect.
fn mark(request: &Request<'_>) {
    headers::hide_address(request);
}
