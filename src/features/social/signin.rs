//! Signing in, and signing up, with an account elsewhere.

use rocket::{
    Route,
    form::{Errors, Form},
    get, post, routes,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    super::{Submitted, Web},
    Back, FormPost, Return, key_of, label_of, link, mark, or_back, passed_on, profile, provider,
    redirect_to_provider, rejected, returned,
};
use crate::{
    error::{Denied, Error, Invalid},
    events::EventKind,
    identity::{EmailAddress, Identity, target::Target},
    notify::notices,
    settings::Usernames,
    signin::{
        admit::{Admission, admit},
        limits::{Buckets, refuse_if_locked},
        remember::Remember,
        session::SessionOptions,
        ticket::{CodeSubject, Purpose},
    },
    social::{ProviderEmail, SocialProfile, SocialProvider},
    store::{
        NewUser, StoreError, User,
        social::{self, NewSocialAccount},
        tickets,
        users::{self, EarlierPassword},
    },
    templates::form::{Field, FormView},
    types::{Method, Methods, PathTo},
    web::{
        input::{self, Checkbox},
        reply::Answer,
        site::Site,
    },
};

pub(super) fn routes() -> Vec<Route> {
    routes![start, response, posted]
}

/// The ticket of somebody on their way to a provider.
pub(super) enum OauthStart {}

/// What was chosen before.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Resume {
    provider: String,
    remember: Option<bool>,
    next: Option<Target>,
}

impl Purpose for OauthStart {
    const NAME: &'static str = "oauth_start";
    type Payload = Resume;
}

// Form.

#[derive(Debug, Default, Deserialize)]
struct Start {
    #[serde(default)]
    remember: Option<Checkbox>,
    /// Whether the page that sends it showed the box.
    #[serde(default)]
    remember_box: Option<Checkbox>,
    #[serde(default)]
    next: Option<String>,
}

impl Start {
    fn view(&self, web: &Web<'_>, provider: &str) -> FormView {
        let mut fields = Vec::new();
        if self.remember_box.is_some() {
            let keep = input::choice_where_shown(web.request, self.remember, self.remember_box);
            fields.extend(web.keep_field(keep.map(Checkbox)));
            fields.push(Field::hidden("remember_box", "true"));
        }
        fields.extend(self.next.as_ref().map(|next| Field::hidden("next", next)));
        let action = web.site.path_to(PathTo::OauthStart, [provider]);
        FormView::new("oauth_start", action, fields)
    }
}

// Routes.

#[post("/login/oauthstart/<name>?<next>", data = "<form>")]
async fn start(web: Web<'_>, name: &str, next: Option<&str>, form: Submitted<Start>) -> Answer {
    let form = web.sent(form, |form| form.view(&web, name))?;
    let provider = provider(&web, name)?;
    web.visitors_only()?;
    let next = form.next.as_deref().or(next);
    let wish = Resume {
        provider: provider.name().into(),
        remember: input::choice_where_shown(web.request, form.remember, form.remember_box),
        next: web.judged(next),
    };
    let browser = web.browser.visitor()?;
    let done =
        redirect_to_provider::<OauthStart>(&web, provider, Return::Login, browser, None, &wish)
            .await;
    let login = web.site.login_path();
    or_back(&web, provider.name(), done, &login, wish.next.as_deref())
}

#[get("/login/oauthresponse/<name>?<back..>")]
async fn response(web: Web<'_>, name: &str, back: Back<'_>) -> Answer {
    mark(web.request);
    let provider = provider(&web, name)?;
    if web.caller.is_some() {
        return link::response(&web, provider, &back).await;
    }
    web.visitors_only()?;
    let mut next = None;
    let done = resume(&web, provider, &back, &mut next).await;
    or_back(
        &web,
        provider.name(),
        done,
        &web.site.login_path(),
        next.as_deref(),
    )
}

#[post("/login/oauthresponse/<name>", data = "<form>")]
async fn posted(web: Web<'_>, name: &str, form: Result<Form<FormPost<'_>>, Errors<'_>>) -> Answer {
    passed_on(&web, name, Return::Login, form)
}

// Service.

/// Brings whoever comes back to the gate.
async fn resume(
    web: &Web<'_>,
    provider: &dyn SocialProvider,
    back: &Back<'_>,
    next: &mut Option<Target>,
) -> Answer {
    let site = web.site;
    let browser = web.presenter().browser;
    let wish = returned::<OauthStart>(web, back, browser.as_deref())
        .await?
        .map(|spent| spent.payload)
        .ok_or_else(|| rejected("social.expired"))?;
    if wish.provider != provider.name() {
        return Err(rejected("social.expired"));
    }
    *next = wish.next;
    let came = profile(web, provider, back, Return::Login).await?;
    let found = who(web, provider, &came).await?;
    let (user, methods) = match found {
        Who::Linked(link, user) => {
            let buckets = Buckets::of_user(site, &user, &web.client);
            refuse_if_locked(site, &buckets).await?;
            let now = site.now();
            let still = site
                .store
                .write(move |conn| social::touch(conn, &link, now))
                .await?;
            if !still {
                return Err(rejected("social.no_account"));
            }
            (user, Methods::of(Method::Oauth))
        }
        Who::Matched(user) => (
            matched(web, provider, &came, user).await?,
            Methods::of(Method::Oauth),
        ),
        Who::New(email) => (
            sign_up(web, provider, &came, email).await?,
            Methods::of(Method::Oauth).and(Method::Register),
        ),
    };
    let new = methods.contains(Method::Register);
    let buckets = Buckets::of_user(site, &user, &web.client);
    let admission = admit(site, user, methods).await?;
    let after = match (&site.settings.after.register, new) {
        (Some(after), true) => after.as_str(),
        _ => site.settings.after.login.as_str(),
    };
    let target: Target = web.next(next.as_deref(), after);
    let opening = SessionOptions {
        remember: Remember::chosen(site, wish.remember),
        clears: Some(&buckets),
    };
    let done = if new { "register" } else { "login" };
    let reply = web.enter(admission, opening, target, false, done).await?;
    Ok(match new {
        true => reply.flash("success", "social.signed_up"),
        false => reply,
    })
}

/// Who somebody is here.
enum Who {
    /// The owner of the account that theirs elsewhere is linked to.
    Linked(String, User),
    /// The owner of the account with their address, which the settings say is enough.
    Matched(User),
    /// Nobody yet.
    New(EmailAddress),
}

async fn who(
    web: &Web<'_>,
    provider: &dyn SocialProvider,
    came: &SocialProfile,
) -> Result<Who, Error> {
    let site = web.site;
    let key = key_of(provider, came);
    let linked = site
        .store
        .read(move |conn| social::owner_of(conn, &key))
        .await?;
    if let Some((link, user)) = linked {
        return Ok(Who::Linked(link, user));
    }
    // An address that nobody proved says nothing about who somebody is.
    let email = match &came.email {
        ProviderEmail::Verified(email) => email,
        ProviderEmail::Unverified(_) => return Err(rejected("social.unverified")),
        ProviderEmail::Absent => return Err(rejected("social.no_email")),
    };
    let email = EmailAddress::parse(email).map_err(|_| rejected("social.no_email"))?;
    let (asked, now) = (email.clone(), site.now());
    let (name, issuer) = (provider.name().to_string(), provider.issuer().to_string());
    let reserved = CodeSubject::of_identity(site, &Identity::Email(email.clone()));
    let (owner, other, undone) = site
        .store
        .read(move |conn| {
            let owner = users::owner_of(conn, &asked, None)?.map(|(_, owner)| owner);
            let other = match &owner {
                Some(owner) => social::of_user_at(conn, &owner.id, &name)?
                    .is_some_and(|account| account.issuer == issuer),
                None => false,
            };
            // An address that its owner can still take back is theirs alone.
            let undone = tickets::open_under(conn, tickets::UNDO, reserved.as_str(), now)?;
            Ok((owner, other, undone.is_some()))
        })
        .await?;
    let matches = site
        .settings
        .social
        .match_email
        .iter()
        .any(|name| name == provider.name());
    match owner {
        // It belongs to another account there: an address that was given up, and taken by somebody else. Where
        // nobody proved the address here, what is linked is as little proven.
        Some(owner) if other && owner.confirmed_at.is_some() => Err(rejected("social.exists")),
        Some(owner) if matches && !undone => Ok(Who::Matched(owner)),
        Some(_) => Err(rejected("social.exists")),
        None if undone => Err(rejected("social.exists")),
        None if !signs_up(site) => Err(rejected("social.no_account")),
        None => {
            site.accept_email(&email).map_err(Invalid::form)?;
            Ok(Who::New(email))
        }
    }
}

/// Whether somebody without an account gets one.
fn signs_up(site: &Site) -> bool {
    let register = &site.settings.register;
    let by_default = register.enabled && register.username != Usernames::Required;
    site.settings.social.sign_up.unwrap_or(by_default)
}

/// Proves the address of the account that has it, if nobody had: then what was set up in it before may be
/// somebody else's, and goes. It is linked once it is let in by that alone.
async fn matched(
    web: &Web<'_>,
    provider: &dyn SocialProvider,
    came: &SocialProfile,
    user: User,
) -> Result<User, Error> {
    let site = web.site;
    if !user.active {
        return Err(Denied::Inactive.into());
    }
    let buckets = Buckets::of_user(site, &user, &web.client);
    refuse_if_locked(site, &buckets).await?;
    let removed = notices::password_removed(&web.composer(), &user)?;
    let (id, key) = (user.id.clone(), user.email.clone());
    let proven = web
        .change(move |change| {
            change.prove_address(&id, EarlierPassword::Remove, Some(&removed))?;
            let user = users::by_id(change, &id)?.ok_or(StoreError::Missing)?;
            // The address may have become another's in this moment.
            match user.email == key {
                true => Ok(user),
                false => Err(StoreError::Missing),
            }
        })
        .await;
    let user = match proven {
        Err(StoreError::Missing) => return Err(rejected("social.expired")),
        proven => proven?,
    };
    // Whoever owes more is matched again the next time.
    if let Admission::In(_) = admit(site, user.clone(), Methods::of(Method::Oauth)).await? {
        link::write(web, provider, came, &user).await?;
    }
    Ok(user)
}

/// Makes an account that is opened by the one elsewhere.
async fn sign_up(
    web: &Web<'_>,
    provider: &dyn SocialProvider,
    came: &SocialProfile,
    email: EmailAddress,
) -> Result<User, Error> {
    let new = NewUser::new(email).confirmed(true);
    let key = key_of(provider, came);
    let row = row(&new.id, &key, label_of(came), web.site.now());
    let written = web
        .change(move |change| {
            let user = change.register_user(&new)?;
            social::insert(change, &row)?;
            change.event(EventKind::SocialLinked {
                user: user.id.clone(),
                provider: row.provider.clone(),
            });
            Ok(user)
        })
        .await;
    match written {
        Ok(user) => Ok(user),
        // The same person in another window was faster, or somebody else with the address.
        Err(StoreError::Taken(_)) => Err(rejected("social.exists")),
        Err(error) => Err(error.into()),
    }
}

/// A link to be written.
pub(super) fn row(
    user: &crate::types::UserId,
    key: &social::SocialKey,
    label: Option<String>,
    now: crate::types::Timestamp,
) -> NewSocialAccount {
    NewSocialAccount {
        id: Uuid::now_v7().to_string(),
        user_id: user.clone(),
        provider: key.provider.clone(),
        subject: key.subject.clone(),
        issuer: key.issuer.clone(),
        label,
        created_at: now,
        last_used_at: Some(now),
    }
}
