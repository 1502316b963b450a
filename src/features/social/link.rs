//! Linking accounts elsewhere to one here, and ending that: `/login/oauth-link`.

use rocket::{Route, get, post, routes};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    super::{Submitted, Web},
    Back, Return, key_of, label_of, or_back, profile, provider, redirect_to_provider, rejected,
    returned, signin,
};
use crate::{
    error::{Denied, Error},
    events::EventKind,
    features::factor_setup::session_of,
    guards::strong::Strong,
    http::headers,
    identity::target::Target,
    notify::notices,
    signin::{caller::Caller, outdated, sign_in_methods::SignInMethods, ticket::Purpose},
    social::{SocialProfile, SocialProvider},
    store::{SocialAccountInfo, StoreError, User, social, users},
    templates::{Template, template},
    types::{Path, PathTo, Timestamp},
    web::{
        input::Empty,
        reply::{Answer, Reply},
    },
};

pub(super) const PAGE: Template = template!("social/accounts.html");

pub(super) fn routes() -> Vec<Route> {
    routes![list, start, unlink]
}

/// The ticket of somebody who went to fetch an account elsewhere.
pub(super) enum OauthLink {}

/// What goes with it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    provider: String,
}

impl Purpose for OauthLink {
    const NAME: &'static str = "oauth_link";
    type Payload = Asked;
}

// Routes.

#[get("/login/oauth-link")]
async fn list(web: Web<'_>) -> Answer {
    let caller = web.strong().await?;
    page(&web, &caller).await
}

#[post("/login/oauth-link/<name>", data = "<form>")]
async fn start(web: Web<'_>, name: &str, form: Submitted<Empty>) -> Answer {
    web.pressed(form, "social.link")?;
    let provider = provider(&web, name)?;
    let caller = web.strong().await?;
    let asked = Asked {
        provider: provider.name().into(),
    };
    let (session, caller) = (session_of(&caller)?, Some(&*caller));
    let done =
        redirect_to_provider::<OauthLink>(&web, provider, Return::Login, session, caller, &asked)
            .await;
    or_back(
        &web,
        provider.name(),
        done,
        &web.site.path(Path::OauthLink),
        None,
    )
}

#[post("/login/oauth-unlink/<name>", data = "<form>")]
async fn unlink(web: Web<'_>, name: &str, form: Submitted<Empty>) -> Answer {
    web.pressed(form, "social.unlink")?;
    let caller = web.strong().await?;
    let done = end(&web, &caller, name).await;
    or_back(&web, name, done, &web.site.path(Path::OauthLink), None)
}

/// Somebody who is signed in comes back. Whoever went to sign in, and is signed in by now, has done that.
pub(super) async fn response(
    web: &Web<'_>,
    provider: &dyn SocialProvider,
    back: &Back<'_>,
) -> Answer {
    let caller = web.signed_in()?;
    let done = fetch(web, &caller, provider, back).await;
    let path = match web.site.settings.social.link {
        true => web.site.path(Path::OauthLink),
        false => web.site.settings.after.login.clone(),
    };
    or_back(web, provider.name(), done, &path, None)
}

async fn page(web: &Web<'_>, caller: &Strong) -> Result<Reply, Error> {
    let site = web.site;
    let linked = site.store.social_accounts_of(&caller.user.id).await?;
    let at = |provider: &dyn SocialProvider| {
        linked.iter().find(|account| {
            account.provider == provider.name() && account.issuer == provider.issuer()
        })
    };
    let shown: Vec<Value> = site
        .social
        .iter()
        .map(|provider| {
            let name = provider.name();
            json!({
                "name": name,
                "label": provider.label(),
                "account": at(provider.as_ref()).map(view),
                "link_url": site.path_to(PathTo::OauthLink, [name]),
                "unlink_url": site.path_to(PathTo::OauthUnlink, [name]),
            })
        })
        .collect();
    headers::let_forms_out(web.request);
    Ok(Reply::page(PAGE)
        .own()
        .with("providers", shown)
        .answer(LinkedAnswer {
            providers: site.social.names(),
            accounts: linked.iter().map(told).collect(),
        }))
}

fn view(account: &SocialAccountInfo) -> Value {
    json!({
        "label": account.label,
        "created": account.created_at.to_text(),
        "created_iso": account.created_at.rfc3339(),
        "last_used": account.last_used_at.map(Timestamp::to_text),
        "last_used_iso": account.last_used_at.map(Timestamp::rfc3339),
    })
}

/// The providers and the linked accounts.
#[derive(Serialize)]
struct LinkedAnswer<'a> {
    /// The names of all providers.
    providers: Vec<String>,
    /// The accounts elsewhere that are linked to this one.
    accounts: Vec<LinkedAccount<'a>>,
}

/// An account elsewhere that is linked to this one.
#[derive(Serialize)]
struct LinkedAccount<'a> {
    /// The name of its provider.
    provider: &'a str,
    /// What its owner knows it by, if the provider told.
    label: Option<&'a str>,
    /// When it was linked.
    created: String,
    /// When it was last used to sign in.
    last_used: Option<String>,
}

fn told(account: &SocialAccountInfo) -> LinkedAccount<'_> {
    LinkedAccount {
        provider: &account.provider,
        label: account.label.as_deref(),
        created: account.created_at.rfc3339(),
        last_used: account.last_used_at.map(Timestamp::rfc3339),
    }
}

// Service.

async fn fetch(
    web: &Web<'_>,
    caller: &Caller,
    provider: &dyn SocialProvider,
    back: &Back<'_>,
) -> Answer {
    let Ok(session) = session_of(caller) else {
        return Err(Denied::Mechanism.into());
    };
    let asked = returned::<OauthLink>(web, back, Some(&session))
        .await?
        .filter(|spent| spent.user.as_ref() == Some(&caller.user.id))
        .map(|spent| spent.payload)
        .filter(|asked| asked.provider == provider.name());
    if asked.is_none() || !web.site.settings.social.link {
        return Err(rejected("social.expired"));
    }
    // It was begun in a session that was fresh; that may have gone stale meanwhile.
    web.strong().await?;
    let came = profile(web, provider, back, Return::Login).await?;
    write(web, provider, &came, &caller.user).await?;
    let target = Target::local(&web.site.path(Path::OauthLink));
    Ok(Reply::done(target)
        .csrf()
        .flash("success", "social.linked")
        .spa("social_linked", &caller.user.email))
}

/// What came of linking an account elsewhere.
enum Linked {
    Done,
    /// It is linked to another account here.
    Elsewhere,
    /// The account here is linked to another one at the provider.
    ToAnother,
}

/// Links an account elsewhere to `user`'s, and tells its owner.
pub(super) async fn write(
    web: &Web<'_>,
    provider: &dyn SocialProvider,
    came: &SocialProfile,
    user: &User,
) -> Result<(), Error> {
    let site = web.site;
    let key = key_of(provider, came);
    let label = label_of(came);
    let row = signin::row(&user.id, &key, label.clone(), site.now());
    let notice = notices::social_linked(&web.composer(), user, provider.label(), label.as_deref())?;
    let (id, uniquifier, name) = (
        user.id.clone(),
        user.uniquifier.clone(),
        provider.name().to_string(),
    );
    let written = web
        .change(move |change| {
            users::hold(change, &id, &uniquifier)?;
            if let Some((_, owner)) = social::owner_of(change, &key)? {
                // Done already, by the same person.
                return Ok(match owner.id == id {
                    true => Linked::Done,
                    false => Linked::Elsewhere,
                });
            }
            match social::of_user_at(change, &id, &name)? {
                Some(other) if other.issuer == key.issuer => {
                    return Ok(Linked::ToAnother);
                }
                // The provider moved, and the former link opens nothing any more.
                Some(former) => drop(social::delete(change, &id, &former.id)?),
                None => {}
            }
            social::insert(change, &row)?;
            change.mail(&notice)?;
            change.event(EventKind::SocialLinked {
                user: id.clone(),
                provider: row.provider.clone(),
            });
            Ok(Linked::Done)
        })
        .await;
    match written {
        Ok(Linked::Done) => Ok(()),
        Ok(Linked::ToAnother) => Err(rejected("social.linked_already")),
        Ok(Linked::Elsewhere) | Err(StoreError::Taken(_)) => {
            Err(rejected("social.linked_elsewhere"))
        }
        Err(error) => Err(outdated(error)),
    }
}

/// What came of ending a link.
enum Ended {
    Done,
    None,
    LastWay,
}

async fn end(web: &Web<'_>, caller: &Strong, name: &str) -> Answer {
    let (site, user) = (web.site, &caller.user);
    // One that was configured before can be ended too.
    let label = match site.social.get(name) {
        Some(provider) => provider.label().to_string(),
        None => name.to_string(),
    };
    let notice = notices::social_unlinked(&web.composer(), user, &label)?;
    let factors = SignInMethods::of(site);
    let (id, uniquifier, at) = (user.id.clone(), user.uniquifier.clone(), name.to_string());
    let ended = web
        .change(move |change| {
            users::hold(change, &id, &uniquifier)?;
            let Some(account) = social::of_user_at(change, &id, &at)? else {
                return Ok(Ended::None);
            };
            if !factors.without(change, &id, &account.id)? {
                return Ok(Ended::LastWay);
            }
            social::delete(change, &id, &account.id)?;
            change.mail(&notice)?;
            change.event(EventKind::SocialUnlinked {
                user: id.clone(),
                provider: at.clone(),
            });
            Ok(Ended::Done)
        })
        .await
        .map_err(outdated)?;
    match ended {
        Ended::Done => {}
        Ended::None => return Err(Error::NotFound),
        Ended::LastWay => return Err(rejected("social.last_way")),
    }
    let target = Target::local(&site.path(Path::OauthLink));
    Ok(Reply::done(target)
        .csrf()
        .flash("success", "social.unlinked"))
}
