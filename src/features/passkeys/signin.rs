//! Sign-in by a passkey, with nothing typed, and the second step of a sign-in by something else:
//! `/wan-signin`.

use rocket::{Route, get, post, routes};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    super::{Submitted, Web, two_factor},
    Expected, Finish, Outcome,
    answer::{PasskeySignInAnswer, PostLoginAnswer, RememberAnswer, SignedInAnswer},
    asked, ceremonies, expired, keep_challenge, offer, or_back, proven, refused, rows, settle,
    take_effect, verify_shown,
};
use crate::{
    error::{Denied, Error, Invalid},
    factors::passkey::{Asserting, descriptor, id_of},
    identity::{Identity, target::Target},
    secrets::Purpose as Key,
    signin::{
        admit::admit_by_factor,
        limits::{Buckets, PerAddress, count_per_address, refuse_if_locked},
        remember::Remember,
        second::{self, SecondStep},
        session::SessionOptions,
        ticket::{
            self, Purpose, ValidTicket,
            challenge::{self, Found},
        },
    },
    store::{StoreError, users},
    templates::form::{Field, FormView},
    templates::{Template, template},
    types::{Message, Path, Usages},
    web::{
        input::Checkbox,
        json::wants_json,
        reply::{Answer, Reply, or_again},
        site::Site,
    },
};

pub(super) const SIGNIN: Template = template!("passkeys/signin.html");

pub(super) fn routes() -> Vec<Route> {
    routes![show, ask, finish]
}

/// The ticket of a challenge.
pub(crate) enum WanSignin {}

/// What it is answered by, and what was chosen when it was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Challenge {
    begun: Asserting,
    /// Whether it is a second step.
    second: bool,
    remember: Option<bool>,
    trust: bool,
    next: Option<Target>,
}

impl Purpose for WanSignin {
    const NAME: &'static str = "wan_signin";
    type Payload = Challenge;
}

// Form.

#[derive(Debug, Default, Deserialize)]
struct Ask {
    #[serde(default)]
    identity: String,
    /// As other forms call it.
    #[serde(default)]
    email: String,
    #[serde(default)]
    remember: Option<Checkbox>,
    #[serde(default)]
    remember_device: Option<Checkbox>,
    #[serde(default)]
    autofill: Option<Checkbox>,
    #[serde(default)]
    next: Option<String>,
}

impl Ask {
    async fn page(
        &self,
        web: &Web<'_>,
        held: Option<&ValidTicket<SecondStep>>,
    ) -> Result<Reply, Error> {
        let settings = &web.site.settings;
        let mut fields = Vec::new();
        let mut can_select = false;
        if let Some(held) = held {
            let factors = second::ways_of(web.site, held).await?;
            can_select = settings.two_factor.enabled && second::all_by_browser(&factors).is_none();
            let trusts = settings.two_factor.enabled && settings.two_factor.trust_devices;
            if trusts && held.payload.session.is_none() {
                let ticked = self.remember_device.is_some_and(|tick| tick.0);
                fields.push(Field::tick(
                    "remember_device",
                    "field.remember_device",
                    ticked,
                ));
            }
        } else {
            fields.extend(web.keep_field(self.remember));
        }
        if let Some(next) = &self.next {
            fields.push(Field::hidden("next", next));
        }
        let form = FormView::new("wan_signin", web.site.path(Path::WanSignin), fields);
        Ok(Reply::page(SIGNIN)
            .with(
                "passkey",
                offer(web.site, &web.site.path(Path::WanSignin), ""),
            )
            .with("is_secondary", held.is_some())
            .with("can_select", can_select)
            .answer(PasskeySignInAnswer {
                is_secondary: held.is_some(),
                registered_credentials: [],
            })
            .form(form))
    }
}

// Routes.

/// The sign-in that waits in this browser for its second step, unless somebody begins anew.
async fn waiting(web: &Web<'_>, anew: bool) -> Result<Option<ValidTicket<SecondStep>>, Error> {
    let held = match anew {
        true => None,
        false => second::held(web.browser, web.site, &web.presenter()).await?,
    };
    // Whoever has to set a factor up first has none to show.
    let held = held.filter(|held| !held.payload.sets_up);
    if held.is_none() {
        web.visitors_only()?;
        signs_in(web.site)?;
    }
    Ok(held)
}

#[get("/wan-signin?<next>")]
async fn show(web: Web<'_>, next: Option<&str>) -> Answer {
    // A single-page application asks here, after a reload, who is signed in.
    let held = match waiting(&web, false).await {
        Err(Error::Denied(Denied::SignedIn)) if wants_json(web.request, web.site) => {
            let user = web.caller.as_ref().map(|caller| web.account(&caller.user));
            return Ok(Reply::page(SIGNIN).answer(SignedInAnswer {
                is_secondary: false,
                user,
            }));
        }
        held => held?,
    };
    let next = next.and_then(|next| web.site.http.redirects.allowed(next));
    let form = Ask {
        next: next.map(String::from),
        ..Ask::default()
    };
    form.page(&web, held.as_ref()).await
}

/// `first` says that somebody begins anew, whatever waits in this browser.
#[post("/wan-signin?<next>&<first>", data = "<form>")]
async fn ask(
    web: Web<'_>,
    next: Option<&str>,
    first: Option<&str>,
    form: Submitted<Ask>,
) -> Answer {
    let form = form?;
    let anew = first.is_some() || form.autofill.is_some_and(|tick| tick.0);
    let held = waiting(&web, anew).await?;
    let page = form.page(&web, held.as_ref()).await?;
    let done = match &held {
        Some(held) => begin_second(&web, &form, held).await,
        None => begin_first(&web, &form, next).await,
    };
    let done = done.map(|(state, options)| {
        let by_default = web.site.settings.remember.by_default;
        let remember = web.keeps(form.remember).unwrap_or(by_default);
        asked(page, &state, &options).answer(RememberAnswer { remember })
    });
    match done.map_err(Error::for_form) {
        Err(Error::Invalid(invalid)) => {
            let again = form.page(&web, held.as_ref()).await?;
            or_again(Err(invalid.into()), || again)
        }
        done => done,
    }
}

#[post("/wan-signin/<token>?<next>&<include_auth_token>", data = "<form>")]
async fn finish(
    web: Web<'_>,
    token: &str,
    next: Option<&str>,
    include_auth_token: Option<&str>,
    form: Submitted<Finish>,
) -> Answer {
    let form = form?;
    let browser = web.presenter().browser;
    let found = challenge::find::<WanSignin>(web.site, token, browser.as_deref()).await?;
    let with_token = include_auth_token.is_some();
    let asked = found.as_ref().and_then(|found| found.payload.next.clone());
    let done = match found {
        None => {
            web.visitors_only()?;
            Err(expired())
        }
        Some(found) if found.payload.second => finish_second(&web, &found, &form, with_token).await,
        Some(found) => {
            web.visitors_only()?;
            signs_in(web.site)?;
            finish_first(&web, &found, &form, next, with_token).await
        }
    };
    let done = done.map(telling_target);
    let next = form.next.as_deref().or(next).or(asked.as_deref());
    or_back(&web, done, Path::WanSignin, next)
}

/// Tells a program that signed in where a browser would go from here.
fn telling_target(reply: Reply) -> Reply {
    match reply.redirect.as_ref().map(ToString::to_string) {
        Some(post_login_url) if reply.json.contains_key("user") => {
            reply.answer(PostLoginAnswer { post_login_url })
        }
        _ => reply,
    }
}

/// Refuses where a passkey is a second factor alone.
fn signs_in(site: &Site) -> Result<(), Error> {
    match site.settings.passkeys.first_factor {
        true => Ok(()),
        false => Err(Error::NotFound),
    }
}

// Service.

impl Ask {
    fn challenge(&self, web: &Web<'_>, begun: Asserting, second: bool) -> Challenge {
        Challenge {
            begun,
            second,
            remember: web.keeps(self.remember),
            trust: self.remember_device.is_some_and(|tick| tick.0),
            next: web.judged(self.next.as_deref()),
        }
    }
}

/// Asks for any passkey of this site. What was typed of an identity changes nothing, unless the settings
/// say so: then the browser is told of credentials, those of somebody unknown made up.
async fn begin_first(
    web: &Web<'_>,
    form: &Ask,
    next: Option<&str>,
) -> Result<(String, Value), Error> {
    let site = web.site;
    // Apart from the button's: pages that lie open offer passkeys again and again.
    let counted = match form.autofill.is_some_and(|tick| tick.0) {
        true => PerAddress::Offer,
        false => PerAddress::Challenge,
    };
    count_per_address(site, counted, &web.client).await?;
    let (mut options, mut begun) = ceremonies(web)?.begin_discoverable()?;
    let typed = match form.identity.trim() {
        "" => form.email.trim(),
        typed => typed,
    };
    let autofill = form.autofill.is_some_and(|tick| tick.0);
    if site.settings.passkeys.hints && !typed.is_empty() && !autofill {
        let hints = hints(web, typed).await?;
        begun = begun.only(hints.iter().filter_map(|hint| hint["id"].as_str()));
        options["allowCredentials"] = hints.into();
    }
    let mut challenge = form.challenge(web, begun, false);
    challenge.next = challenge.next.or_else(|| web.judged(next));
    let browser = web.browser.visitor()?;
    let life = site.settings.passkeys.challenge;
    let draft = challenge::begin::<WanSignin>(
        site,
        life.get(),
        (None, ticket::Begun::ByVisitor),
        &browser,
        &challenge,
    )?;
    let state = draft.secret.expose().clone();
    keep_challenge(site, draft, true).await?;
    Ok((state, options))
}

/// The credentials of whom somebody means. Always some, and always the same ones.
async fn hints(web: &Web<'_>, typed: &str) -> Result<Vec<Value>, Error> {
    let site = web.site;
    let kinds = &site.settings.identities;
    let identity = Identity::recognise(typed, kinds, site.usernames.as_ref());
    let typed = identity.bucket();
    // The same look-ups for nobody.
    let (user, known) = site
        .store
        .read(move |conn| {
            let user = users::by_identity(conn, &identity)?.map(|user| user.id);
            let id = user.clone().unwrap_or_default();
            Ok((user, rows::usable(conn, &id, Some(Usages::FIRST))?))
        })
        .await?;
    // One list for all names of an account, whether its passkeys are made up or not.
    let whose = user.map_or(typed, |user| user.to_string());
    let tag = site
        .keys
        .mac(Key::Limits, &[b"passkey of nobody", whose.as_bytes()]);
    if known.is_empty() {
        return Ok(of_nobody(&tag));
    }
    // Without transports, of which those of nobody would have to be made up too.
    let ids = known.iter().filter_map(id_of);
    Ok(ids
        .map(|id| json!({"type": "public-key", "id": id}))
        .collect())
}

/// Credentials that nobody has, one or two, as long as those that authenticators make.
fn of_nobody(tag: &[u8]) -> Vec<Value> {
    const LENGTHS: [usize; 4] = [16, 20, 32, 32];
    let byte = |n: usize| usize::from(tag.get(n).copied().unwrap_or_default());
    (0..1 + byte(0) % 2)
        .map(|n| {
            let length = LENGTHS[byte(1 + n) % LENGTHS.len()];
            let id =
                crate::secrets::digest(&format!("{n} {}", data_encoding::HEXLOWER.encode(tag)));
            let id = data_encoding::BASE64URL_NOPAD
                .decode(id.as_bytes())
                .unwrap_or_default();
            let id = data_encoding::BASE64URL_NOPAD.encode(id.get(..length).unwrap_or(&id));
            json!({"type": "public-key", "id": id})
        })
        .collect()
}

/// Asks for one of the passkeys that are the second factor of the sign-in that waits.
async fn begin_second(
    web: &Web<'_>,
    form: &Ask,
    held: &ValidTicket<SecondStep>,
) -> Result<(String, Value), Error> {
    let (site, user) = (web.site, held.user.id.clone());
    let mut known = site
        .store
        .read(move |conn| rows::usable(conn, &user, Some(Usages::SECOND)))
        .await?;
    known.retain(|row| held.payload.shown.as_ref() != Some(&row.id));
    known.retain(|row| descriptor(row).is_some());
    if known.is_empty() {
        return Err(Invalid::form(Message::new("passkey.none")).into());
    }
    let (options, begun) = ceremonies(web)?.begin_known(&known)?;
    let challenge = form.challenge(web, begun, true);
    let browser = web.browser.visitor()?;
    let (life, user) = (site.settings.passkeys.challenge, held.user.id.clone());
    let draft = challenge::begin::<WanSignin>(
        site,
        life.get(),
        (Some(user), ticket::Begun::ByVisitor),
        &browser,
        &challenge,
    )?;
    let state = draft.secret.expose().clone();
    keep_challenge(site, draft, false).await?;
    Ok((state, options))
}

/// Brings whoever showed a passkey to the gate.
async fn finish_first(
    web: &Web<'_>,
    found: &Found<WanSignin>,
    form: &Finish,
    next: Option<&str>,
    with_token: bool,
) -> Answer {
    let (site, now, asked) = (web.site, web.site.now(), &found.payload);
    let expected = Expected {
        user: None,
        usage: Some(Usages::FIRST),
        not: None,
    };
    let shown = verify_shown(web, found, &asked.begun, &form.credential, expected).await?;
    let user = shown.owned.user.clone();
    let buckets = Buckets::of_user(site, &user, &web.client);
    refuse_if_locked(site, &buckets).await?;
    let (id, uniquifier) = (user.id.clone(), user.uniquifier.clone());
    let (ticket_id, written) = (found.ticket_id(), shown.clone());
    let outcome = site
        .store
        .write(move |conn| {
            users::hold(conn, &id, &uniquifier)?;
            take_effect(conn, &ticket_id, &written, now)
        })
        .await;
    let outcome = match outcome {
        // A new password or a sign-out everywhere was faster: the next try finds the account as it is.
        Err(StoreError::Missing) => Outcome::Stale,
        outcome => outcome?,
    };
    settle(web, outcome, &shown).await?;
    let methods = proven(site, shown.verified);
    let admission = match admit_by_factor(site, user, methods, Some(&shown.owned.row.id)).await {
        Err(Error::Denied(denied @ (Denied::Inactive | Denied::Unconfirmed))) => {
            let failed = super::rejected(web, Some(shown.owned.user.id), "the account is shut");
            return Err(match (site.settings.generic_answers, denied) {
                (true, _) => failed,
                (false, Denied::Inactive) => Invalid::form(Message::new("login.inactive")).into(),
                (false, _) => Invalid::unconfirmed().into(),
            });
        }
        admission => admission?,
    };
    let remember = form.remember.map(|tick| tick.0).or(asked.remember);
    let opening = SessionOptions {
        remember: Remember::chosen(site, remember),
        clears: Some(&buckets),
    };
    let wish = form.next.as_deref().or(next).or(asked.next.as_deref());
    let target = web.next(wish, &site.settings.after.login);
    web.enter(admission, opening, target, with_token, "login")
        .await
}

/// Completes the sign-in that waits.
async fn finish_second(
    web: &Web<'_>,
    found: &Found<WanSignin>,
    form: &Finish,
    with_token: bool,
) -> Answer {
    let (site, now) = (web.site, web.site.now());
    let held = match two_factor::pending(web).await {
        Ok(held) if found.user.as_ref() == Some(&held.user.id) => held,
        Ok(_) => return Err(expired()),
        Err(error) => return two_factor::without_pending(web, Err(error)),
    };
    if held.payload.sets_up {
        return Err(refused());
    }
    let expected = Expected {
        user: Some(&held.user.id),
        usage: Some(Usages::SECOND),
        not: held.payload.shown.as_deref(),
    };
    let begun = &found.payload.begun;
    let shown = verify_shown(web, found, begun, &form.credential, expected).await?;
    let (ticket_id, written) = (found.ticket_id(), shown.clone());
    let answer = second::passkey::answer(site, &web.client, &held, move |conn| {
        let outcome = take_effect(conn, &ticket_id, &written, now)?;
        Ok((outcome == Outcome::Done, outcome))
    });
    let (passed, outcome) = match answer.await {
        Err(error) => return two_factor::without_pending(web, Err(error)),
        Ok(answer) => answer,
    };
    settle(web, outcome, &shown).await?;
    let passed = passed.ok_or_else(refused)?;
    let trust = form.remember_device.map(|tick| tick.0);
    let trust = trust.unwrap_or(found.payload.trust) && site.settings.two_factor.enabled;
    two_factor::finish(web, held, passed, trust, with_token).await
}
