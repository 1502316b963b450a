//! Adding a passkey: `POST /wan-register`, and `/wan-register/<token>` with what the browser made.

use rocket::{Route, post, routes};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    super::{AccountAnswer, Submitted, Web},
    Finish, asked, ceremonies, expired, keep_challenge, manage, or_back, proven, rows,
};
use crate::{
    core::{change::Change, context::Counted},
    error::{Error, Invalid},
    events::EventKind,
    factors::passkey::{Account, KIND, Made, Registering},
    features::factor_setup::session_of,
    guards::strong::Strong,
    notify::{notices, outbox::OutgoingMail},
    signin::{
        outdated,
        second::{MOST, refuse_unproven},
        ticket::{
            Purpose,
            challenge::{self, TicketId},
        },
    },
    store::{
        StoreError, Unique, User, devices,
        factors::{self, NewFactor},
        passkeys::NewPasskey,
        users,
    },
    types::{Message, PasskeyUsage, Path, Timestamp, Usages, UserId},
    web::{
        page,
        reply::{Answer, Reply, or_again},
        site::Site,
    },
};

pub(super) fn routes() -> Vec<Route> {
    routes![ask, finish]
}

/// The ticket of a challenge.
pub(crate) enum WanRegister {}

/// What it is answered by, and what is made of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Challenge {
    begun: Registering,
    usage: PasskeyUsage,
    name: String,
    handle: Uuid,
}

impl Purpose for WanRegister {
    const NAME: &'static str = "wan_register";
    type Payload = Challenge;
}

// Form.

#[derive(Debug, Default, Deserialize)]
pub(super) struct Ask {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) usage: String,
}

/// The answer to a new passkey.
#[derive(Serialize)]
struct PasskeyAddedAnswer {
    /// The account.
    user: AccountAnswer,
    /// The name as it was stored.
    name: String,
    /// What the passkey is for.
    usage: PasskeyUsage,
}

// Routes.

#[post("/wan-register", data = "<form>")]
async fn ask(web: Web<'_>, form: Submitted<Ask>) -> Answer {
    let form = form?;
    let caller = web.strong().await?;
    let page = manage::page(&web, &caller, &form, None).await?;
    match begin(&web, &caller, &form).await {
        Ok((state, options)) => Ok(asked(page, &state, &options)),
        Err(error) => or_again(Err(error), || page),
    }
}

#[post("/wan-register/<token>", data = "<form>")]
async fn finish(web: Web<'_>, token: &str, form: Submitted<Finish>) -> Answer {
    let form = form?;
    let caller = web.strong().await?;
    let done = add(&web, &caller, token, &form).await.map(|(name, usage)| {
        let own = web.site.path(Path::WanRegister);
        let after = web.site.settings.after.wan_register.as_deref();
        let target = page::after(web.site, after.unwrap_or(&own));
        Reply::done(target)
            .answer(PasskeyAddedAnswer {
                user: web.account(&caller.user),
                name,
                usage,
            })
            .csrf()
            .flash("success", "passkey.added")
    });
    or_back(&web, done, Path::WanRegister, None)
}

// Service.

async fn begin(
    web: &Web<'_>,
    caller: &Strong,
    form: &Ask,
) -> Result<(String, serde_json::Value), Error> {
    let (site, ceremonies, user) = (web.site, ceremonies(web)?, &caller.user);
    let bound_to = session_of(caller)?;
    refuse_unproven(site, user)?;
    let mut invalid = Invalid::new();
    let name = invalid.take("name", ceremonies.policy.check_name(&form.name));
    let unknown = || Message::new("factor.unknown_method");
    let usage = PasskeyUsage::parse(&form.usage)
        .filter(|usage| usages(site).contains(usage))
        .ok_or_else(unknown);
    let usage = invalid.take("usage", usage);
    let (Some(name), Some(usage)) = (name, usage) else {
        return Err(invalid.into());
    };
    let id = user.id.clone();
    let (all, known, handle) = site
        .store
        .read(move |conn| {
            let all = factors::of_user(conn, &id)?.len();
            Ok((all, rows::of_user(conn, &id)?, rows::handle_of(conn, &id)?))
        })
        .await?;
    if all >= MOST {
        return Err(Invalid::form(Message::new("passkey.too_many")).into());
    }
    if known.iter().any(|row| row.name == name) {
        return Err(name_taken("name"));
    }
    let handle = handle.and_then(|handle| Uuid::parse_str(&handle).ok());
    let handle = handle.unwrap_or_else(Uuid::new_v4);
    let account = Account {
        handle,
        email: &user.email,
        username: user.username.as_deref(),
    };
    let (options, begun) = ceremonies.begin_registration(account, usage, &known)?;
    let challenge = Challenge {
        begun,
        usage,
        name,
        handle,
    };
    let (life, id) = (site.settings.passkeys.register_challenge, user.id.clone());
    let draft = challenge::begin::<WanRegister>(
        site,
        life.get(),
        (Some(id), caller.begun()),
        &bound_to,
        &challenge,
    )?;
    let state = draft.secret.expose().clone();
    keep_challenge(site, draft, false).await?;
    Ok((state, options))
}

/// What a passkey can be for here.
pub(super) fn usages(site: &Site) -> &'static [PasskeyUsage] {
    match site.settings.passkeys.first_factor {
        true => &PasskeyUsage::ALL,
        false => &[PasskeyUsage::Secondary],
    }
}

pub(super) fn name_taken(field: &str) -> Error {
    Invalid::field(field, Message::new("passkey.name_taken")).into()
}

/// The row of the factor that a passkey is.
pub(super) fn factor(
    user: &UserId,
    name: &str,
    usage: PasskeyUsage,
    made: &Made,
    now: Timestamp,
) -> NewFactor {
    NewFactor {
        id: Uuid::now_v7().to_string(),
        user_id: user.clone(),
        kind: KIND.name().into(),
        name: name.into(),
        usages: usage.usages().bits(),
        secret: None,
        phone: None,
        identity: None,
        last_step: made.counter(),
        created_at: now,
    }
}

enum Judged {
    /// The account as it is now, and whether every other session was ended.
    Done(Box<(User, bool)>),
    Gone,
    TooMany,
    NameTaken,
}

/// A passkey to be added.
struct Addition {
    ticket_id: TicketId,
    counts: Counted,
    factor: NewFactor,
    passkey: NewPasskey,
    owner: User,
    handle: String,
    name: String,
    is_second: bool,
    notice: OutgoingMail,
}

impl Addition {
    fn apply(&self, change: &mut Change<'_>) -> Result<Judged, StoreError> {
        let (now, owner) = (change.now(), &self.owner);
        users::hold(change, &owner.id, &owner.uniquifier)?;
        if !self.ticket_id.consume(change, now)? {
            return Ok(Judged::Gone);
        }
        if factors::of_user(change, &owner.id)?.len() >= MOST {
            return Ok(Judged::TooMany);
        }
        let known = rows::of_user(change, &owner.id)?;
        if known.iter().any(|row| row.name == self.name) {
            return Ok(Judged::NameTaken);
        }
        // Made for another name than the account has by now: nobody would find it.
        if rows::take_handle(change, &owner.id, &self.handle)? != self.handle {
            return Ok(Judged::Gone);
        }
        let mut before = factors::serving(change, &owner.id, Usages::SECOND)?;
        before.retain(|way| self.counts.contains(way));
        let first = self.is_second && before.is_empty();
        factors::insert(change, &self.factor)?;
        rows::insert(change, &self.passkey)?;
        if self.is_second {
            devices::delete_all_of(change, &owner.id)?;
        }
        if first {
            users::end_sessions(change, &owner.id, true)?;
        }
        change.mail(&self.notice)?;
        let (user, name) = (owner.id.clone(), self.name.clone());
        change.event(EventKind::PasskeyAdded { user, name });
        let user = users::by_id(change, &owner.id)?.ok_or(StoreError::Missing)?;
        Ok(Judged::Done(Box::new((user, first))))
    }
}

/// Adds a passkey. If it is the account's first second factor, every other session ends.
async fn add(
    web: &Web<'_>,
    caller: &Strong,
    token: &str,
    form: &Finish,
) -> Result<(String, PasskeyUsage), Error> {
    let (site, ceremonies, user) = (web.site, ceremonies(web)?, &caller.user);
    let bound_to = session_of(caller)?;
    let found = challenge::find::<WanRegister>(site, token, Some(&bound_to)).await?;
    let found = found
        .filter(|found| found.user.as_ref() == Some(&user.id))
        .ok_or_else(expired)?;
    let asked = found.payload.clone();
    let made = ceremonies.finish_registration(&asked.begun, asked.usage, &form.credential)?;
    let notice = notices::factor_added(&web.composer(), user, KIND, &asked.name)?;
    let factor = factor(&user.id, &asked.name, asked.usage, &made, site.now());
    let addition = Addition {
        ticket_id: found.ticket_id(),
        counts: site.counted_factors(),
        passkey: made.row(&factor.id)?,
        factor,
        owner: user.clone(),
        handle: asked.handle.to_string(),
        name: asked.name.clone(),
        is_second: asked.usage != PasskeyUsage::First,
        notice,
    };
    let judged = web.change(move |change| addition.apply(change)).await;
    let judged = match judged {
        Err(StoreError::Taken(Unique::Other)) => {
            return Err(Invalid::field("credential", Message::new("passkey.exists")).into());
        }
        judged => judged.map_err(outdated)?,
    };
    let (now_user, first) = match judged {
        Judged::Done(done) => *done,
        Judged::Gone => return Err(expired()),
        Judged::TooMany => {
            return Err(Invalid::form(Message::new("passkey.too_many")).into());
        }
        Judged::NameTaken => return Err(name_taken("name")),
    };
    if first {
        let methods = caller.methods.union(proven(site, made.verifies()));
        web.reopen(caller, now_user, methods).await?;
    }
    Ok((asked.name, asked.usage))
}
