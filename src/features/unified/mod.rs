//! Unified sign-in: `/us-signin` takes any identity with any passcode that the account has: password,
//! mailed code or link, text message, authenticator app. `/us-setup` adds some, `/us-verify` asks again.

mod setup;
mod verify;

use rocket::{get, post, routes};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Submitted, Web, mailed, two_factor::Code};
use crate::{
    error::{Denied, Error, Invalid},
    events::EventKind,
    factors,
    identity::{EmailAddress, Identity, IdentityKind, target::Target},
    notify::{
        mail::Addressee,
        notices,
        outbox::{Letter, Postage},
        sms::Sms,
    },
    secrets::{Password, PasswordHash, Verdict},
    settings::SignInMethod,
    signin::{
        admit::{Admission, admit},
        limits::{
            Buckets, PerAddress, count, count_failure, count_per_address, locked, refuse_if_locked,
            tell_failure,
        },
        outdated,
        password::{self, Attempt, Proof},
        remember::Remember,
        second::sms_text,
        session::Opening,
        ticket::{self, Draft, Handle, Held, Presented, Purpose, Terms},
        ticket_mail,
    },
    store::{
        StoreError, User,
        factors::{self as rows, FactorRow},
        failures,
        users::{self, EarlierPassword},
    },
    templates::{
        form::{Field, FormView},
        template,
    },
    types::{FactorKind, Message, Method, Methods, Usages, UserId},
    web::{
        feature::{Feature, Link, MenuFor, sample_form, sample_mail},
        input::{Nothing, Tick},
        json::wants_json,
        reply::{Answer, Reply, or_again},
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "unified",
    is_on: |settings, _| settings.unified.enabled,
    routes: || {
        let mut routes = routes![show, submit, send_code, link, by_link];
        routes.extend(setup::routes());
        routes.extend(verify::routes());
        routes
    },
    templates: &[
        template!("unified/signin.html"),
        template!("unified/link.html"),
        template!("unified/setup.html"),
        template!("unified/confirm.html"),
        template!("unified/verify.html"),
        template!("unified/unified.mail.html"),
        template!("unified/unified.mail.txt"),
    ],
    samples: || {
        let mail = sample_mail();
        let page = json!({
            "form": sample_form(), "sent": true, "method": "email", "destination": "a***@example.com",
            "account": {"email": "ada@example.com"}, "qr": "data:image/svg+xml;base64,",
            "key": "ABCD EFGH", "uri": "otpauth://totp/x", "issuer": "Site", "username": "ada",
            "active": [{"id": "1", "kind": "sms", "name": "Phone", "detail": "34", "remove_url": "/"}],
            "available": ["sms"],
        });
        let pages = [SIGNIN, LINK, setup::SETUP, setup::CONFIRM, verify::VERIFY];
        let mails = [
            "security/unified/unified.mail.html",
            "security/unified/unified.mail.txt",
        ];
        let pages = pages.into_iter().map(|name| (name, page.clone()));
        let mails = mails.into_iter().map(|name| (name, mail.clone()));
        pages.chain(mails).collect()
    },
    links: &[
        Link {
            name: "us_signin",
            path: "/us-signin",
            menu: MenuFor::Visitors,
        },
        Link {
            name: "us_send_code",
            path: "/us-signin/send-code",
            menu: MenuFor::Nobody,
        },
        Link {
            name: "us_setup",
            path: "/us-setup",
            menu: MenuFor::SignedIn { post: false },
        },
        Link {
            name: "us_verify",
            path: "/us-verify",
            menu: MenuFor::Nobody,
        },
        Link {
            name: "us_verify_send",
            path: "/us-verify/send-code",
            menu: MenuFor::Nobody,
        },
    ],
};

/// What stands at `/login` where this replaces it.
pub(crate) const AT_LOGIN: Feature = Feature {
    name: "login",
    is_on: |settings, _| settings.unified.enabled && settings.unified.replaces_login,
    routes: || routes![show_at_login, submit_at_login],
    templates: &[],
    samples: Vec::new,
    links: &[],
};

const SIGNIN: &str = "security/unified/signin.html";
const LINK: &str = "security/unified/link.html";

/// The ticket of a code, and of the link that goes with a mailed one.
pub(crate) enum Passcode {}

/// How it was sent, and what was chosen when it was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sent {
    kind: FactorKind,
    remember: Option<bool>,
    next: Option<Target>,
}

impl Purpose for Passcode {
    const NAME: &'static str = "passcode";
    type Payload = Sent;
}

// Forms.

#[derive(Debug, Default, Deserialize)]
struct SignIn {
    #[serde(default)]
    identity: String,
    /// As other forms call it.
    #[serde(default)]
    email: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    passcode: Code,
    /// As other forms call it.
    #[serde(default)]
    password: Code,
    #[serde(default)]
    chosen_method: String,
    #[serde(default)]
    remember: Option<Tick>,
    #[serde(default)]
    next: Option<String>,
}

impl SignIn {
    /// Whom the form means: the address wins over the username.
    fn identity(&self) -> &str {
        let names = [&self.identity, &self.email, &self.username];
        let given = names.into_iter().find(|name| !name.trim().is_empty());
        given.map_or("", String::as_str)
    }

    fn passcode(&self) -> &str {
        match self.passcode.0.is_empty() {
            true => &self.password.0,
            false => &self.passcode.0,
        }
    }

    fn page(&self, web: &Web<'_>, sent: bool) -> Reply {
        let site = web.site;
        let by_phone = site.settings.unified.methods.contains(&SignInMethod::Sms);
        let identity = match site.settings.identities.0.as_slice() {
            _ if by_phone => Field::text("identity", "field.identity"),
            [IdentityKind::Email] => Field::email("identity", "field.email"),
            [IdentityKind::Username] => Field::text("identity", "field.username"),
            _ => Field::text("identity", "field.email_or_username"),
        };
        let identity = identity
            .value(self.identity())
            .autocomplete(web.identity_hint());
        let passcode = passcode_field();
        // Whoever has said who they are goes on with the passcode.
        let mut fields = match sent || !self.identity().is_empty() {
            true => vec![identity, passcode.autofocus()],
            false => vec![identity.autofocus(), passcode],
        };
        fields.extend(web.keep_field(self.remember));
        fields.extend(method_field(&code_methods(web), &self.chosen_method));
        if let Some(next) = &self.next {
            fields.push(Field::hidden("next", next));
        }
        let form = FormView::new("us_signin", site.path("/us-signin"), fields);
        let others = web.others(self.next.as_deref());
        let page = others.on(Reply::page(SIGNIN)).with("sent", sent);
        let page = match sent {
            true => page.with("method", &self.chosen_method),
            false => page,
        };
        with_methods(web, page).form(form)
    }
}

/// A password or a code: hidden like the one, and never shown again.
fn passcode_field() -> Field {
    Field::password("passcode", "field.passcode")
        .autocomplete("current-password")
        .hint(Message::new("field.passcode_hint"))
}

/// The ways by which a code is sent here.
fn code_methods(web: &Web<'_>) -> Vec<FactorKind> {
    let mut kinds = factors_of(web);
    kinds.retain(|kind| kind.sends());
    kinds
}

/// The factors that sign in here.
fn factors_of(web: &Web<'_>) -> Vec<FactorKind> {
    let methods = web.site.settings.unified.methods.iter();
    methods.filter_map(|method| method.factor()).collect()
}

fn method_field(kinds: &[FactorKind], chosen: &str) -> Option<Field> {
    match kinds {
        [] => None,
        [only] => Some(Field::hidden("chosen_method", only.name())),
        several => {
            let option = |kind: &FactorKind| {
                let name = kind.name();
                (name.to_string(), Message::new(format!("factor.{name}")))
            };
            let options = several.iter().map(option).collect();
            Some(Field::choice("chosen_method", "field.chosen_method", options).value(chosen))
        }
    }
}

/// What programs are told of the ways in.
fn with_methods(web: &Web<'_>, reply: Reply) -> Reply {
    let settings = &web.site.settings;
    let available: Vec<&str> = settings.unified.methods.iter().map(|m| m.name()).collect();
    let codes: Vec<&str> = code_methods(web)
        .into_iter()
        .map(FactorKind::name)
        .collect();
    let mut attributes: Vec<&str> = settings
        .identities
        .0
        .iter()
        .map(IdentityKind::name)
        .collect();
    // A phone that signs in names its owner too.
    if settings.unified.methods.contains(&SignInMethod::Sms) {
        attributes.push("phone");
    }
    reply
        .json("available_methods", available)
        .json("code_methods", codes)
        .json("identity_attributes", attributes)
}

// Routes.

#[get("/us-signin?<next>")]
async fn show(web: Web<'_>, next: Option<&str>) -> Answer {
    web.begin_anew().await?;
    match &web.caller {
        // A single-page application asks here, after a reload, who is signed in.
        Some(caller) if wants_json(web.request, web.site) => {
            let reply = Reply::page(SIGNIN).json("user", web.account(&caller.user));
            Ok(with_methods(&web, reply))
        }
        Some(_) => Err(Denied::SignedIn.into()),
        None => {
            let next = next.and_then(|next| web.site.http.redirects.judge(next));
            let form = SignIn {
                next: next.map(String::from),
                ..SignIn::default()
            };
            Ok(form.page(&web, false))
        }
    }
}

#[post("/us-signin?<next>&<include_auth_token>", data = "<form>")]
async fn submit(
    web: Web<'_>,
    next: Option<&str>,
    include_auth_token: Option<&str>,
    form: Submitted<SignIn>,
) -> Answer {
    web.visitors_only()?;
    let form = web.sent(form, |form| form.page(&web, false))?;
    web.begin_anew().await?;
    let done = match sign_in(&web, &form).await {
        Ok((admission, buckets, sent)) => {
            let wish = sent.as_ref();
            let next = form
                .next
                .as_deref()
                .or(next)
                .or(wish.and_then(|sent| sent.next.as_deref()));
            let remember = web
                .keeps(form.remember)
                .or(wish.and_then(|sent| sent.remember));
            let opening = Opening {
                remember: Remember::chosen(web.site, remember),
                clears: Some(&buckets),
            };
            let target = web.next(next, &web.site.settings.after.login);
            let with_token = include_auth_token.is_some();
            web.enter(admission, opening, target, with_token, "login")
                .await
        }
        Err(error) => Err(error),
    };
    or_again(done, || form.page(&web, false))
}

/// Whoever comes to `/login` goes on to the form.
#[get("/login?<next>")]
async fn show_at_login(web: Web<'_>, next: Option<&str>) -> Answer {
    if web.caller.is_some() || wants_json(web.request, web.site) {
        return show(web, next).await;
    }
    let form = Target::local(&web.site.login_path());
    let next = next.and_then(|next| web.site.http.redirects.judge(next));
    Ok(Reply::done(match &next {
        Some(next) => form.with_query(&[("next", next.as_str())]),
        None => form,
    }))
}

/// Programs that know `/login` sign in there with what they know: `email` or `username`, and `password`.
#[post("/login?<next>&<include_auth_token>", data = "<form>")]
async fn submit_at_login(
    web: Web<'_>,
    next: Option<&str>,
    include_auth_token: Option<&str>,
    form: Submitted<SignIn>,
) -> Answer {
    submit(web, next, include_auth_token, form).await
}

#[post("/us-signin/send-code?<next>", data = "<form>")]
async fn send_code(web: Web<'_>, next: Option<&str>, form: Submitted<SignIn>) -> Answer {
    web.visitors_only()?;
    let form = web.sent(form, |form| {
        let form = form.page(&web, false).into_form();
        form.map(|form| form.without("passcode").submit("us_send_code.submit"))
    })?;
    let done = send(&web, &form, form.next.as_deref().or(next)).await;
    // Whoever asks for a code is told nothing of the account.
    let sent = done.map(|()| form.page(&web, true).json("user", json!({})));
    or_again(sent, || form.page(&web, false))
}

#[get("/us-verify-link/<token>")]
async fn link(web: Web<'_>, token: &str) -> Answer {
    web.visitors_only()?;
    mailed::link_page::<Passcode>(&web, token, "/us-signin", |held| {
        let action = web.site.path(&format!("/us-verify-link/{token}"));
        Reply::page(LINK)
            .with("account", json!({"email": held.user.email}))
            .form(FormView::new("us_link", action, []))
    })
    .await
}

#[post("/us-verify-link/<token>?<include_auth_token>", data = "<form>")]
async fn by_link(
    web: Web<'_>,
    token: &str,
    include_auth_token: Option<&str>,
    form: Submitted<Nothing>,
) -> Answer {
    web.visitors_only()?;
    let form = web.sent(form, |_| FormView::new("us_link", String::new(), []));
    mailed::use_link(
        &web,
        token,
        "/us-signin",
        form,
        async |held: Held<Passcode>, _| {
            // Only a mail has a link; what came by text message is typed.
            if held.payload.kind != FactorKind::Email {
                return Err(mailed::gone());
            }
            let buckets = Buckets::of_user(web.site, &held.user, &web.client);
            refuse_if_locked(web.site, &buckets).await?;
            let sent = held.payload.clone();
            let user = spend(&web, held).await?;
            let admission = admit(web.site, user, Methods::of(Method::Email)).await?;
            let opening = Opening {
                remember: Remember::chosen(web.site, sent.remember),
                clears: Some(&buckets),
            };
            let target = web.next(sent.next.as_deref(), &web.site.settings.after.login);
            let with_token = include_auth_token.is_some();
            web.enter(admission, opening, target, with_token, "login")
                .await
        },
    )
    .await
}

// Service.

/// Whom somebody means, by whatever of their names.
struct Meant {
    identity: Identity,
    user: Option<User>,
    hash: Option<PasswordHash>,
    handle: Handle,
}

/// Finds the account by e-mail address, username, or a phone that it signs in with.
async fn meant(web: &Web<'_>, typed: &str) -> Result<Meant, Error> {
    let site = web.site;
    let settings = &site.settings;
    if typed.trim().is_empty() {
        return Err(Invalid::field("identity", Message::new("input.required")).into());
    }
    let mut identity = Identity::recognise(typed, &settings.identities.0, site.usernames.as_ref());
    let phone = match (
        &identity,
        settings.unified.methods.contains(&SignInMethod::Sms),
    ) {
        (Identity::Unknown(_), true) => site.factors.phones.parse(typed).ok(),
        _ => None,
    };
    if let Some(phone) = &phone {
        identity = Identity::Unknown(phone.as_str().to_string());
    }
    let asked = identity.clone();
    let found = site
        .store
        .read(move |conn| match phone {
            Some(phone) => match rows::owner_of(conn, phone.as_str())? {
                Some(id) => Ok(users::by_id(conn, &id)?
                    .map(|user| Ok::<_, StoreError>((users::password_of(conn, &id)?, user)))
                    .transpose()?
                    .map(|(hash, user)| (user, hash))),
                None => Ok(None),
            },
            None => users::with_password(conn, &asked),
        })
        .await?;
    let (user, hash) = found.map_or((None, None), |(user, hash)| (Some(user), hash));
    let handle = match &user {
        Some(user) => Handle::of_user(&user.id),
        None => Handle::of_identity(site, &identity),
    };
    Ok(Meant {
        identity,
        user,
        hash,
        handle,
    })
}

/// Brings whoever the form names to the gate, by any passcode that is right.
async fn sign_in(
    web: &Web<'_>,
    form: &SignIn,
) -> Result<(Admission, Buckets, Option<Sent>), Error> {
    let (site, mut invalid) = (web.site, Invalid::new());
    if form.identity().is_empty() {
        invalid.add("identity", Message::new("input.required"));
    }
    if form.passcode().is_empty() {
        invalid.add("passcode", Message::new("input.required"));
    }
    if !invalid.is_empty() {
        return Err(invalid.into());
    }
    let meant = meant(web, form.identity()).await?;
    let buckets = Buckets::of(site, &meant.identity, meant.user.as_ref(), &web.client);
    refuse_if_locked(site, &buckets).await?;
    // What can be neither is told before either is judged.
    let password = Password::parse(form.passcode())
        .map_err(|message| Error::from(Invalid::field("passcode", message)))?;
    // The one hash that every attempt costs. It is compared before a code is judged: a password of digits
    // only is no wrong code.
    let hash = meant.hash.clone().filter(|_| takes_passwords(web));
    let verdict = site.hasher.verify(&password, hash.as_ref()).await?;
    let is_password = meant.user.is_some() && matches!(verdict, Verdict::Match { .. });
    if let Some(code) = code_of(form.passcode()).filter(|_| !is_password) {
        let user = meant.user.as_ref();
        let codes = Buckets::of_first_code(site, &meant.identity, user, &web.client);
        // A wrong code is counted there, once.
        let judged = match by_code(web, &meant, &codes, &code).await {
            // No code is judged now and no guess is counted, but this was a guess at the password, too.
            Err(shut @ Error::Denied(Denied::Locked { .. })) if takes_passwords(web) => {
                let methods = Methods::of(Method::Password);
                count_failure(site, &buckets, user, methods, &web.client).await?;
                return Err(shut);
            }
            judged => judged?,
        };
        let (user, methods, sent) = judged.ok_or_else(|| wrong_of(web, user.is_some()))?;
        let admission = gate(web, admit(site, user, methods).await)?;
        return Ok((admission, codes, sent));
    }
    let attempt = Attempt {
        buckets,
        client: &web.client,
        before: Methods::default(),
    };
    let judged = password::check_verdict(site, meant.user, hash, verdict, attempt);
    match gate(web, judged.await)? {
        Proof::Right(admission, buckets) => Ok((admission, buckets, None)),
        Proof::Wrong(password::Wrong::NoAccount) => Err(wrong_of(web, false)),
        Proof::Wrong(_) => Err(wrong_of(web, true)),
    }
}

/// Whether a password can be the passcode.
fn takes_passwords(web: &Web<'_>) -> bool {
    let methods = &web.site.settings.unified.methods;
    methods.contains(&SignInMethod::Password)
}

/// The answer to a wrong passcode, of an account or of nobody.
fn wrong_of(web: &Web<'_>, is_account: bool) -> Error {
    match (web.site.settings.generic_answers.0, is_account) {
        (true, _) => wrong(),
        (false, false) => Invalid::field("identity", Message::new("login.unknown")).into(),
        (false, true) => Invalid::field("passcode", Message::new("us.wrong_passcode")).into(),
    }
}

/// One answer for all that is wrong, and for an account that is shut: for sites that do not tell.
fn wrong() -> Error {
    Invalid::form(Message::new("us.wrong")).into()
}

fn gate<T>(web: &Web<'_>, answer: Result<T, Error>) -> Result<T, Error> {
    let telling = !web.site.settings.generic_answers.0;
    let told = |key| Err(Invalid::field("identity", Message::new(key)).into());
    match answer {
        Err(Error::Denied(Denied::Inactive)) if telling => told("login.inactive"),
        Err(Error::Denied(Denied::Unconfirmed)) if telling => told("login.unconfirmed"),
        Err(Error::Denied(Denied::Inactive | Denied::Unconfirmed)) => Err(wrong()),
        answer => answer,
    }
}

/// What was typed, if it can be a code: ours have six digits, an application's own authenticators may have
/// up to ten.
fn code_of(typed: &str) -> Option<String> {
    let code = factors::digits(typed);
    let is_code = (6..=10).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit());
    is_code.then_some(code)
}

/// Judges a code: one that was sent, or one of the account's authenticators. A wrong code is counted.
///
/// # Errors
///
/// [`Denied::Locked`] if codes are refused now: then nothing was counted.
async fn by_code(
    web: &Web<'_>,
    meant: &Meant,
    buckets: &Buckets,
    code: &str,
) -> Result<Option<(User, Methods, Option<Sent>)>, Error> {
    let site = web.site;
    refuse_if_locked(site, buckets).await?;
    let authenticator = of_authenticator(web, meant.user.as_ref(), code).await?;
    // A right code of an authenticator is no guess at the one that was sent.
    if authenticator.is_none() {
        let presented = Presented::Code(meant.handle.clone(), code);
        if let Ok(held) = ticket::present::<Passcode>(site, presented, &web.bearer()).await? {
            let sent = held.payload.clone();
            let user = spend(web, held).await?;
            // A right code that was answered after the door was shut comes too late.
            refuse_if_locked(site, buckets).await?;
            return Ok(Some((user, Methods::of(sent.kind.method()), Some(sent))));
        }
    }
    let right = accept_authenticator(web, meant.user.as_ref(), buckets, authenticator).await?;
    let user = meant.user.clone().filter(|_| right);
    Ok(user.map(|user| (user, Methods::of(Method::Authenticator), None)))
}

/// What `code` is for an authenticator that the account signs in with, if it is right; it is not used up yet.
/// Nobody's costs the same.
async fn of_authenticator(
    web: &Web<'_>,
    user: Option<&User>,
    code: &str,
) -> Result<Option<factors::Right>, Error> {
    let methods = &web.site.settings.unified.methods;
    let mut ways = ways_in(web, user).await?;
    if !methods.contains(&SignInMethod::Authenticator) {
        ways.clear();
    }
    Ok(factors::right_code(&web.site.factors, &ways, code))
}

/// Uses a right code of an authenticator up. `None` is a wrong code, which is counted in the transaction that
/// judges it: of many at once no more are judged than the limit allows.
async fn accept_authenticator(
    web: &Web<'_>,
    user: Option<&User>,
    buckets: &Buckets,
    right: Option<factors::Right>,
) -> Result<bool, Error> {
    let (site, now) = (web.site, web.site.now());
    let (counting, holder) = (buckets.clone(), user.cloned());
    let judged = site
        .store
        .write(move |conn| {
            if let Some(user) = &holder {
                users::hold(conn, &user.id, &user.uniquifier)?;
            }
            if let Some(until) = failures::locked_until(conn, &counting.all(), now)? {
                return Ok(Err(until));
            }
            if let Some(right) = &right
                && factors::accept(conn, right, now)?
            {
                return Ok(Ok(None));
            }
            count(conn, &counting, now).map(|tally| Ok(Some(tally)))
        })
        .await
        .map_err(outdated)?;
    match judged {
        Err(until) => Err(locked(until, now)),
        Ok(None) => Ok(true),
        Ok(Some(tally)) => {
            let methods = Methods::of(Method::Authenticator);
            tell_failure(site, buckets, tally, user, methods, &web.client).await?;
            Ok(false)
        }
    }
}

/// What an account signs in with beside password and mail; the same look-up for nobody.
async fn ways_in(web: &Web<'_>, user: Option<&User>) -> Result<Vec<FactorRow>, Error> {
    let id = user.map_or_else(UserId::new, |user| user.id.clone());
    Ok(web
        .site
        .store
        .read(move |conn| rows::serving(conn, &id, Usages::FIRST))
        .await?)
}

/// Uses a sent code up. One that came by mail proves the address, like a mailed link.
async fn spend(web: &Web<'_>, held: Held<Passcode>) -> Result<User, Error> {
    let now = web.site.now();
    let by_mail = held.payload.kind == FactorKind::Email;
    let removed = notices::password_removed(&web.scribe(), &held.user)?;
    let (once, id) = (held.once(), held.user.id.clone());
    let spent = web
        .change(move |change| {
            // A phone that signs in no more makes nothing of a code that went there.
            let serves = by_mail
                || rows::serving(change, &id, Usages::FIRST)?
                    .iter()
                    .any(|way| way.phone.is_some());
            if !serves || !once.consume(change, now)? {
                return Ok(None);
            }
            if by_mail {
                change.prove_address(&id, EarlierPassword::Remove, Some(&removed))?;
            }
            users::by_id(change, &id)
        })
        .await?;
    spent.ok_or_else(wrong)
}

/// Whom a code is for, and where.
struct Reached<'a> {
    user: Option<&'a User>,
    /// What was typed as their name.
    typed: &'a str,
    handle: &'a Handle,
    phone: Option<&'a str>,
    /// The session in which alone the code is good, if it is for one.
    session: Option<String>,
    begun: ticket::Begun,
    postage: Postage,
}

/// A code that is about to be sent: its ticket and its letter.
fn prepare<P: Purpose<Payload = Sent>>(
    web: &Web<'_>,
    reached: Reached<'_>,
    sent: &Sent,
) -> Result<(Draft<P>, Letter), Error> {
    let Reached {
        user, typed, phone, ..
    } = reached;
    let (site, now) = (web.site, web.site.now());
    let life = match sent.kind {
        FactorKind::Sms => site.settings.sms.life,
        _ => site.settings.unified.mail_life.get(),
    };
    let terms = Terms {
        life,
        user: user.map(|user| user.id.clone()),
        bound_to: reached.session.clone(),
    };
    let draft = ticket::draft::<P>(site, terms, reached.begun, reached.handle, sent)?;
    let (scribe, code) = (web.scribe(), draft.code.expose());
    let letter = match sent.kind {
        FactorKind::Sms => {
            let text = sms_text(&scribe, code, draft.until());
            let sms = Sms::new(phone.unwrap_or(typed), text, now, draft.until());
            let decoy = phone.is_none() || user.is_none();
            Letter::of_sms(&site.notify, "unified_sms", sms, reached.postage, decoy)?
        }
        _ => {
            let to = match user {
                Some(user) => Addressee::from(user),
                None => Addressee {
                    decoy: true,
                    ..Addressee::at(typed)
                },
            };
            let own = match &reached.session {
                // A link signs in, which whoever has a session already has done.
                Some(_) => json!({"code": code, "until": draft.until().to_text()}),
                None => ticket_mail::context(site, "/us-verify-link", &draft),
            };
            scribe.letter(&to, ("unified", "unified"), reached.postage, own)?
        }
    };
    Ok((draft, letter))
}

/// Sends a code to whoever is meant, if there is such an account and it has that way; the same work and
/// answer else.
async fn send(web: &Web<'_>, form: &SignIn, next: Option<&str>) -> Result<(), Error> {
    let site = web.site;
    let mut invalid = Invalid::new();
    let kind = factors::kind_of(&form.chosen_method, &code_methods(web), "chosen_method");
    let kind = invalid.absorb(kind)?;
    // That an address is none is told in either mode.
    let by_email = matches!(site.settings.identities.0.as_slice(), [IdentityKind::Email])
        && kind == Some(FactorKind::Email);
    if form.identity().is_empty() {
        invalid.add("identity", Message::new("input.required"));
    } else if by_email {
        invalid.take("identity", EmailAddress::typed(form.identity()));
    }
    let Some(kind) = kind.filter(|_| invalid.is_empty()) else {
        return Err(invalid.into());
    };
    let meant = meant(web, form.identity()).await?;
    count_per_address(site, PerAddress::Mail, &web.client).await?;
    let sent = Sent {
        kind,
        remember: web.keeps(form.remember),
        next: web.judged(next),
    };
    let why_not = match &meant.user {
        None => Some(("identity", "login.unknown")),
        Some(user) if !user.active => Some(("identity", "login.inactive")),
        Some(_) => None,
    };
    let user = meant.user.filter(|user| user.active);
    let phone = phone_of(web, user.as_ref()).await?;
    let reached = user.filter(|_| kind == FactorKind::Email || phone.is_some());
    if reached.is_none() && !site.settings.generic_answers.0 {
        let (field, key) = why_not.unwrap_or(("chosen_method", "us.not_set_up"));
        return Err(Invalid::field(field, Message::new(key)).into());
    }
    let typed = crate::store::cut(form.identity().trim(), 254);
    // What is for nobody stands in nobody's way: an owner's code that is on its way stays good.
    let handle = match &reached {
        Some(_) => meant.handle,
        None => Handle::of_identity(site, &meant.identity),
    };
    let to = Reached {
        user: reached.as_ref(),
        typed: &typed,
        handle: &handle,
        phone: phone.as_deref(),
        session: None,
        begun: ticket::Begun::ByVisitor,
        postage: Postage::Limited,
    };
    let (draft, letter) = prepare::<Passcode>(web, to, &sent)?;
    let user = reached.map(|user| user.id);
    web.change(move |change| {
        if ticket_mail::put(change, &letter, &draft)?
            && let Some(user) = user.clone()
        {
            change.event(EventKind::SigninCodeSent { user, method: kind });
        }
        Ok(())
    })
    .await
    .map_err(outdated)
}

/// The phone that an account signs in with; the same look-up for nobody.
async fn phone_of(web: &Web<'_>, user: Option<&User>) -> Result<Option<String>, Error> {
    let ways = ways_in(web, user).await?;
    Ok(ways.into_iter().find_map(|way| way.phone))
}
