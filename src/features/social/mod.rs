//! Sign-in with an account elsewhere: `/login/oauthstart/<name>` leads to a provider, which leads back to
//! `/login/oauthresponse/<name>`; the same to prove it again, and to link an account there to one here.
//!
//! Between going and coming back is a ticket, bound to the browser or session and used once; its secret is
//! the `state`. Nonce and PKCE verifier are derived from that and rest nowhere.

mod link;
mod signin;
mod verify;

use std::{collections::BTreeMap, path::PathBuf};

use data_encoding::BASE64URL_NOPAD;
use rocket::{
    Request,
    form::{Errors, Form},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use url::Url;

use super::Web;
use crate::{
    error::{Denied, Error, Invalid},
    http::{
        headers,
        redirect::{Outward, Target},
    },
    notify::events::EventKind,
    secrets::{Purpose as Key, Secret},
    signin::{
        limits::{PerAddress, count_per_address},
        ticket::{self, Handle, Purpose, Spent, Terms},
    },
    site::Site,
    social::{
        SocialAnswer, SocialError, SocialProfile, SocialProvider, SocialRequest, challenge_of,
        is_name,
    },
    store::{social::SocialKey, tickets},
    templates::template,
    types::{Life, Message, Method, Methods, UserId},
    web::{
        feature::{Feature, Link, MenuFor},
        reply::{Answer, Reply, wants_json},
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
    links: &[],
};

/// Linking, which has a switch of its own.
pub(crate) const LINKING: Feature = Feature {
    name: "social (linking)",
    is_on: |settings, _| settings.social.is_on() && settings.social.link,
    routes: link::routes,
    templates: &[template!("social/accounts.html")],
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
    links: &[Link {
        name: "social_accounts",
        path: link::PATH,
        menu: MenuFor::SignedIn { post: false },
    }],
};

// Settings.

/// `[security.social]`: sign-in with accounts elsewhere. It is on as soon as there is a provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SocialSettings {
    /// `[security.social.providers.<name>]`: a table for each provider. _Default:_ none.
    pub providers: BTreeMap<String, ProviderSettings>,
    /// Whether somebody without an account here gets one, if the provider says that their address is
    /// proven. _Default:_ as `register.enabled`, but no where a username is required.
    pub sign_up: Option<bool>,
    /// Providers whose word on an address is enough to enter the account that has this address, without it
    /// being linked before. Whoever runs such a provider can enter every account. _Default:_ none.
    pub match_email: Vec<String>,
    /// Whether people may link and unlink accounts themselves. _Default:_ `true`.
    pub link: bool,
    /// Whether a linked account proves it again where a fresh sign-in is wanted. _Default:_ `true`.
    pub verify: bool,
    /// How long somebody may take at the provider. _Default:_ 10 min.
    pub state: Life,
    /// How long each request to a provider may take. _Default:_ 10 s.
    pub timeout: Life,
    /// How long what a provider says of itself is kept, its keys included. _Default:_ 1 h.
    pub keep: Life,
    /// Whether providers may be on this machine or network, and may speak plain http. _Default:_ `false`.
    pub allow_private: bool,
    /// Whether the application gave providers of its own.
    #[serde(skip)]
    pub(crate) given: bool,
}

impl Default for SocialSettings {
    fn default() -> Self {
        Self {
            providers: BTreeMap::new(),
            sign_up: None,
            match_email: Vec::new(),
            link: true,
            verify: true,
            state: Life::minutes(10),
            timeout: Life::seconds(10),
            keep: Life::hours(1),
            allow_private: false,
            given: false,
        }
    }
}

/// `[security.social.providers.<name>]`. The names `google` and `github` need `client_id` and
/// `client_secret` alone; the name `apple` needs `client_id`, `team_id`, `key_id` and `private_key`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSettings {
    /// The name under which the provider knows this site.
    pub client_id: String,
    /// The secret that goes with it; best from the environment. _Default:_ none, for a public client.
    #[serde(default)]
    pub client_secret: Option<Secret<String>>,
    /// Where the provider is: what it calls itself in its discovery document, or where a GitHub Enterprise
    /// Server is. _Default:_ known for `apple`, `google` and `github`, else required.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Further audiences that may stand in an ID token beside `client_id`, such as the id of a project at Zitadel.
    /// The token must then name `client_id` as `azp`. _Default:_ none.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// How the provider sends its answer: `"query"`, or `"form_post"` by POST. _Default:_ `"form_post"` for
    /// `apple`, else `"query"`.
    #[serde(default)]
    pub response_mode: Option<ResponseMode>,
    /// Further parameters of the request to the provider, such as `prompt`, `hd` or `claims`. _Default:_ none.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// The key that signs the client's secret in place of `client_secret`, as Apple wants it: the text of the
    /// `.p8` file, best from the environment. _Default:_ none.
    #[serde(default)]
    pub private_key: Option<Secret<String>>,
    /// The `.p8` file itself, in place of `private_key`. _Default:_ none.
    #[serde(default)]
    pub private_key_file: Option<PathBuf>,
    /// The id of that key. _Default:_ none.
    #[serde(default)]
    pub key_id: Option<String>,
    /// The id of the team that the key belongs to. _Default:_ none.
    #[serde(default)]
    pub team_id: Option<String>,
    /// `"oidc"` or `"github"`. _Default:_ `"github"` if that is the name, else `"oidc"`.
    #[serde(default)]
    pub kind: Option<ProviderKind>,
    /// Its name for people. _Default:_ known for `apple`, `google` and `github`, else the name.
    #[serde(default)]
    pub label: Option<String>,
    /// What is asked for; `openid` is added. _Default:_ `["openid", "email", "profile"]`; of Apple,
    /// `["openid", "email", "name"]`, of GitHub, `["user:email"]`.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// Further origins through which it leads browsers, such as `"https://login.example.com"`: our pages
    /// would else not let them go there. _Default:_ that of `issuer` and of what it says of itself.
    #[serde(default)]
    pub origins: Vec<String>,
}

/// How a provider sends its answer to the browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResponseMode {
    /// In the query of a GET.
    Query,
    /// In the body of a POST.
    FormPost,
}

/// What a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ProviderKind {
    /// OpenID Connect, by discovery.
    Oidc,
    /// OAuth 2.0 as GitHub has it.
    Github,
}

/// The parameters of a request that are no setting.
const OURS: [&str; 13] = [
    "response_type",
    "response_mode",
    "client_id",
    "client_secret",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "max_age",
    "request",
    "request_uri",
];

impl ProviderSettings {
    pub(crate) fn kind_of(&self, name: &str) -> ProviderKind {
        self.kind.unwrap_or(match name {
            "github" => ProviderKind::Github,
            _ => ProviderKind::Oidc,
        })
    }

    pub(crate) fn issuer_of(&self, name: &str) -> Option<String> {
        let known = match name {
            "google" => Some("https://accounts.google.com"),
            "apple" => Some("https://appleid.apple.com"),
            _ => None,
        };
        self.issuer.clone().or(known.map(String::from))
    }

    pub(crate) fn response_mode_of(&self, name: &str) -> ResponseMode {
        self.response_mode.unwrap_or(match name {
            "apple" => ResponseMode::FormPost,
            _ => ResponseMode::Query,
        })
    }

    pub(crate) fn scopes_of(&self, name: &str) -> Vec<String> {
        let (kind, owned) = (self.kind_of(name), |list: &[&str]| {
            list.iter().map(ToString::to_string).collect()
        });
        let mut scopes = self.scopes.clone().unwrap_or_else(|| match (kind, name) {
            (ProviderKind::Github, _) => owned(&["user:email"]),
            (_, "apple") => owned(&["email", "name"]),
            _ => owned(&["email", "profile"]),
        });
        if kind == ProviderKind::Oidc && !scopes.iter().any(|scope| scope == "openid") {
            scopes.insert(0, "openid".into());
        }
        scopes
    }

    /// The key that signs the client's secret, if there is one.
    pub(crate) fn private_key(&self) -> Result<Option<Secret<String>>, String> {
        match (&self.private_key, &self.private_key_file) {
            (Some(_), Some(_)) => {
                Err("`private_key` and `private_key_file` are both there; write one".into())
            }
            (Some(key), None) => Ok(Some(key.clone())),
            (None, Some(file)) => match std::fs::read_to_string(file) {
                Ok(key) => Ok(Some(Secret::new(key))),
                Err(error) => Err(format!(
                    "`private_key_file` is `{}`: {error}",
                    file.display()
                )),
            },
            (None, None) => Ok(None),
        }
    }

    pub(crate) fn label_of(&self, name: &str) -> String {
        let known = match name {
            "google" => "Google",
            "github" => "GitHub",
            "apple" => "Apple",
            other => other,
        };
        self.label.clone().unwrap_or_else(|| known.into())
    }

    fn problem(&self, name: &str, allow_private: bool) -> Option<String> {
        if self.client_id.trim().is_empty() {
            return Some("`client_id` is empty; write what the provider gave you".into());
        }
        let has_key = self.private_key.is_some() || self.private_key_file.is_some();
        if has_key && self.client_secret.is_some() {
            return Some("`client_secret` and `private_key` are both there; write one".into());
        }
        if let Some(name) = self
            .parameters
            .keys()
            .find(|name| OURS.contains(&name.as_str()))
        {
            return Some(format!(
                "`parameters.{name}` is set by this library; leave it out"
            ));
        }
        for (key, url) in self
            .issuer
            .iter()
            .map(|url| ("issuer", url))
            .chain(self.origins.iter().map(|url| ("origins", url)))
        {
            let parsed = Url::parse(url).ok();
            let fits = parsed.as_ref().is_some_and(|url| {
                let scheme = url.scheme() == "https" || allow_private && url.scheme() == "http";
                scheme && url.host().is_some() && url.query().is_none() && url.fragment().is_none()
            });
            if !fits {
                return Some(format!(
                    "`{key}` has `{url}`, which is no https address; write for example \"https://id.example.com\" (plain http wants `security.social.allow_private`)"
                ));
            }
        }
        if self.issuer_of(name).is_none() && self.kind_of(name) == ProviderKind::Oidc {
            return Some(
                "`issuer` is missing; write where the provider is, such as \"https://id.example.com\""
                    .into(),
            );
        }
        None
    }
}

impl SocialSettings {
    /// Whether there is a provider.
    pub(crate) fn is_on(&self) -> bool {
        self.given || !self.providers.is_empty()
    }

    /// What is wrong, as the rest of a sentence that begins with the table.
    pub(crate) fn problem(&self) -> Option<String> {
        for (key, life) in [
            ("state", self.state),
            ("timeout", self.timeout),
            ("keep", self.keep),
        ] {
            if life.as_secs() == 0 {
                return Some(format!(
                    "`{key}` is 0; write a length of time such as \"10 s\""
                ));
            }
        }
        for (name, provider) in &self.providers {
            if !is_name(name) {
                return Some(format!(
                    "`providers.{name}`: a name has 1 to 32 small letters, digits and hyphens"
                ));
            }
            if let Some(problem) = provider.problem(name, self.allow_private) {
                return Some(format!("`providers.{name}`: {problem}"));
            }
        }
        None
    }
}

// What pages are given.

/// What a page offers providers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer<'a> {
    SignIn,
    /// Proving it again, with those that are linked.
    Verify(&'a [String]),
}

/// What a page is given that offers providers; null where there are none.
pub(crate) fn offer(web: &Web<'_>, what: Offer<'_>, next: Option<&str>) -> Value {
    let site = web.site;
    let path = match what {
        Offer::SignIn => "/login/oauthstart",
        Offer::Verify(_) => "/login/oauth-verify-start",
    };
    let offered: Vec<Value> = site
        .social
        .iter()
        .filter(|provider| match what {
            Offer::SignIn => true,
            Offer::Verify(linked) => linked.iter().any(|name| name == provider.name()),
        })
        .map(|provider| {
            json!({
                "name": provider.name(),
                "label": provider.label(),
                "action": site.path(&format!("{path}/{}", provider.name())),
            })
        })
        .collect();
    if offered.is_empty() {
        return Value::Null;
    }
    headers::let_forms_out(web.request);
    let next = next.and_then(|next| site.redirects.judge(next));
    let remember = &site.settings.remember;
    // Only where it would happen unasked: otherwise the box of the form beside it is enough.
    let box_shown = matches!(what, Offer::SignIn) && remember.enabled && remember.by_default;
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
struct Posted<'r> {
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
        let url = site.absolute(&format!("{}/{name}", self.path()));
        Url::parse(&url).map_err(|error| Error::Broken(error.to_string()))
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Login => "/login/oauthresponse",
            Self::Verify => "/login/oauth-verify-response",
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
async fn lead<P>(
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
    let terms = Terms {
        life: site.settings.social.state,
        user: caller.map(|caller| caller.user.id.clone()),
        bound_to: Some(bound_to),
    };
    let begun = caller.map_or(
        ticket::Begun::ByVisitor,
        crate::signin::caller::Caller::begun,
    );
    let nobody = Handle::of_bucket(P::NAME);
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
        .map_err(|error| said(provider.name(), &error))?;
    site.store
        .write(move |conn| {
            ticket::put_beside(conn, &draft)?;
            match of_visitor {
                true => tickets::bound(conn, P::NAME, STATES),
                false => Ok(()),
            }
        })
        .await
        .map_err(crate::signin::outdated)?;
    let outward = Outward::new(url).ok_or_else(|| {
        said(
            provider.name(),
            &SocialError::Refused("it leads to no web page".into()),
        )
    })?;
    Ok(Reply::leave(outward))
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
        return Err(wrong(match error {
            "access_denied" => "social.cancelled",
            "temporarily_unavailable" | "server_error" => "social.unavailable",
            _ => "social.refused",
        }));
    }
    let (Some(state), Some(code)) = (back.state, back.code) else {
        return Err(wrong("social.refused"));
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
            fail(web, None);
        }
        said(provider.name(), &error)
    })?;
    // What a standard's subject can be (OpenID Connect Core 1.0, section 2), and the table can hold.
    let subject = &profile.subject;
    if subject.is_empty() || subject.len() > 255 || !subject.bytes().all(|b| b.is_ascii_graphic()) {
        fail(web, None);
        let why = SocialError::Refused("its subject is no ASCII of 1 to 255 characters".into());
        return Err(said(provider.name(), &why));
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

fn wrong(key: &'static str) -> Error {
    Invalid::form(Message::new(key)).into()
}

/// Why a provider did not do, for the log; for the person no more than whether to try again.
fn said(name: &str, error: &SocialError) -> Error {
    log::warn!("the provider {name} {error}");
    match error {
        SocialError::Unavailable(_) => Error::unavailable("the provider does not answer"),
        SocialError::Refused(_) => wrong("social.refused"),
    }
}

/// Tells of somebody who was not let in.
fn fail(web: &Web<'_>, user: Option<UserId>) {
    let methods = Methods::of(Method::Oauth);
    let failed = EventKind::AuthenticationFailed { user, methods };
    web.site.event(Some(&web.client.client), failed);
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
        Err(Error::Unavailable { .. }) => Err(wrong("social.unavailable")),
        // Not as elsewhere, where one is led back afterwards: this address is good once, and has a code in it.
        Err(Error::Denied(Denied::Inactive)) => Err(wrong("login.inactive")),
        Err(Error::Denied(Denied::Unconfirmed)) => Err(wrong("login.unconfirmed")),
        Err(Error::Denied(
            Denied::Anonymous
            | Denied::BadCredential
            | Denied::Mechanism
            | Denied::Stale
            | Denied::SecondFactor,
        )) => Err(wrong("social.expired")),
        done => done,
    };
    let done = named(done, &label);
    let Err(Error::Invalid(invalid)) = &done else {
        return done;
    };
    let mut messages = invalid.fields().flat_map(|(_, messages)| messages);
    let key = messages.next().map_or("social.refused", Message::key);
    if !site.settings.spa.enabled {
        let mut target = Target::local(path);
        if let Some(next) = next.and_then(|next| site.redirects.judge(next)) {
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
    form: Result<Form<Posted<'_>>, Errors<'_>>,
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
        Some(to) => Ok(Reply::leave(to)),
        None => Err(Invalid::form(Message::new("input.invalid")).into()),
    }
}

/// The address holds a code and a state; and it is nothing but a redirect.
fn mark(request: &Request<'_>) {
    headers::hide_address(request);
}
