//! Refresh tokens: with one a program gets its next authentication token at `/refresh-token`, long after the
//! sign-in.
//!
//! One sign-in gives a family, of which one token is good at a time: each use exchanges it for its successor. An
//! old one that comes back was in two hands, so the family ends. Requests that a program sends at the same moment
//! are told from that by a few seconds of grace, in which all of them get the same successor: it is a keyed hash
//! of the token before, so that the database holds the digest alone and no branch forks off. One that is two
//! exchanges old has no grace, or a thief who exchanges twice at once would go unseen.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use rocket::{post, routes};
use serde::Deserialize;

use super::{AccountAnswer, UserAnswer, Web};
use crate::{
    core::change::Change,
    error::{Denied, Error, Invalid, Unreadable},
    events::EventKind,
    http::cookies::Kind,
    identity::target::Target,
    notify::{notices, outbox::OutgoingMail},
    secrets::{Purpose, Secret, digest, random_token},
    settings::RefreshMode,
    signin::{
        Admitted,
        admit::reissue,
        limits::{Buckets, refuse_if_locked},
        outdated, session,
        token::{self, IssuedToken},
    },
    store::{
        StoreError, User,
        endings::{self, Ending},
        families::{self, FamilyRow, NewFamily},
        sign_in::{Named, SignIn},
        tokens, users,
    },
    types::{Message, Timestamp, Uniquifier, UserId},
    web::{
        feature::Feature,
        input::Proving,
        json::is_json,
        page,
        reply::{Answer, Reply},
        site::Site,
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "refresh_tokens",
    is_on: |settings, _| settings.refresh_tokens.enabled,
    routes: || routes![refresh, sign_out],
    templates: &[],
    samples: Vec::new,
    mails: &[],
    links: &[],
};

const FIELD: &str = "refresh_token";

// Form.

type Presented = Result<Proving<Refresh>, Error>;

#[derive(Debug, Default, Deserialize)]
struct Refresh {
    #[serde(default)]
    refresh_token: Option<String>,
}

// Routes.

#[post("/refresh-token", data = "<form>")]
async fn refresh(web: Web<'_>, form: Presented) -> Answer {
    let Some(shown) = presented(&web, form?)? else {
        return Err(Invalid::field(FIELD, Message::new("input.required")).into());
    };
    let renewed = renew(&web, &shown).await?;
    let next = hand_out(&web, renewed.refresh, renewed.until);
    let user = AccountAnswer {
        authentication_token: Some(renewed.token.expose().clone()),
        refresh_token: next.map(|next| next.expose().clone()),
        ..web.account(&renewed.user)
    };
    Ok(Reply::done(Target::local("/"))
        .answer(UserAnswer { user })
        .csrf())
}

/// Signs a program out to which the cookie is all that there is, or that keeps no session. There is nothing that
/// it could do about a token that is not good.
#[post("/refresh-token/end", data = "<form>")]
async fn sign_out(web: Web<'_>, form: Presented) -> Answer {
    if let Some(shown) = presented(&web, form?)? {
        end(&web, &shown).await?;
    }
    session::forget_refresh(web.browser, web.site);
    Ok(Reply::done(page::after(
        web.site,
        &web.site.settings.after.logout,
    )))
}

/// The refresh token of a request.
fn presented(web: &Web<'_>, body: Proving<Refresh>) -> Result<Option<String>, Error> {
    // A form of another site could be sent without a preflight.
    if !web.request.content_type().is_some_and(is_json) {
        let message = Message::new("refresh_tokens.json_only");
        return Err(Error::Unreadable(Unreadable::Malformed, message));
    }
    let shown = match web.site.settings.refresh_tokens.mode {
        // A browser sends it by itself, whoever asks.
        RefreshMode::Cookie if !body.is_ours => return Err(Denied::Csrf.into()),
        RefreshMode::Cookie => web.browser.cookie(Kind::Refresh).map(String::from),
        RefreshMode::Body => body.form.refresh_token,
    };
    Ok(shown.filter(|shown| !shown.is_empty()))
}

// Service.

/// Gives an authentication token and the first token of its new family to somebody who passed the gate; answers
/// the second where it goes into the body, and sends it where it is a cookie.
pub(crate) async fn issue(
    web: &Web<'_>,
    admitted: &Admitted,
) -> Result<(IssuedToken, Option<Secret<String>>), Error> {
    let (site, user, now) = (web.site, admitted.user(), web.site.now());
    let settings = &site.settings.refresh_tokens;
    let (series, first) = (random_token()?, random_token()?);
    let absolute_until = now.after(settings.absolute.get());
    let row = NewFamily {
        series: digest(series.expose()),
        id: uuid::Uuid::now_v7().to_string(),
        user_id: user.id.clone(),
        user_uniquifier: user.token_uniquifier.clone(),
        token_hash: digest(first.expose()),
        rotated_at: now,
        created_at: now,
        idle_until: now.after(settings.idle.get()).min(absolute_until),
        absolute_until,
        authenticated_at: admitted.proven_at(),
        methods: admitted.methods(),
        address: web.client.client.address.clone(),
        agent: web.client.client.agent.clone(),
        session_hash: None,
        remember_series: None,
    };
    let tokens_at_most = site.settings.tokens.most;
    let (methods, at, most) = (
        admitted.methods(),
        admitted.proven_at(),
        settings.most.get(),
    );
    let (issued, token_row) = token::prepare(site, user, methods, at, Some(row.series.clone()))?;
    let (until, uniquifier, begun) = (
        row.idle_until,
        user.uniquifier.clone(),
        web.given_in(admitted),
    );
    web.change(move |change| {
        users::hold(change, &row.user_id, &uniquifier)?;
        let mut row = row.clone();
        let named = begun.hold(change)?;
        // A browser has one family: a program that asks again goes on with the new one.
        families::end_of(change, &named)?;
        (row.session_hash, row.remember_series) =
            (named.session_hash.clone(), named.remember_series.clone());
        families::insert(change, &row)?;
        families::end_beyond(change, &row.user_id, most, now)?;
        change.insert_token(&token_row, named, tokens_at_most)
    })
    .await
    .map_err(outdated)?;
    let refresh = Secret::new(format!("{}.{}", series.expose(), first.expose()));
    Ok((issued, hand_out(web, refresh, until)))
}

/// Sends a token as a cookie, or answers it to go into the body.
fn hand_out(web: &Web<'_>, token: Secret<String>, until: Timestamp) -> Option<Secret<String>> {
    let site = web.site;
    match site.settings.refresh_tokens.mode {
        RefreshMode::Body => Some(token),
        RefreshMode::Cookie => {
            let life = Duration::from_secs(site.now().seconds_until(until));
            web.browser
                .send_for(Kind::Refresh, token.expose().clone(), life);
            None
        }
    }
}

/// Ends the family of a token, whichever of its tokens that is: for a program that signs out. An old one is as
/// much of an alarm here as where it is exchanged.
pub(crate) async fn end(web: &Web<'_>, shown: &str) -> Result<(), Error> {
    let (site, now) = (web.site, web.site.now());
    let grace = site.settings.refresh_tokens.grace;
    let Some((series, presented)) = split(shown) else {
        return Ok(());
    };
    let (name, hash) = (digest(series), digest(presented));
    let Some((_, user)) = find(site, &name).await? else {
        return Ok(());
    };
    let notice = notices::refresh_reuse(&web.composer(), &user)?;
    let user = user.id;
    let reused = web
        .change(move |change| {
            let Some(row) = families::hold(change, &name)? else {
                return Ok(false);
            };
            match place(&row, &hash, grace, now) {
                Place::Old if row.idle_until > now => {
                    end_copied(change, &name, &row, (&user, &notice))?;
                    Ok(true)
                }
                _ => families::end(change, &name).map(|()| false),
            }
        })
        .await?;
    if reused {
        session::forget_refresh(web.browser, web.site);
    }
    Ok(())
}

/// Ends the whole sign-in that a copied refresh token comes from, and tells its owner.
fn end_copied(
    change: &mut Change<'_>,
    name: &str,
    row: &FamilyRow,
    (user, notice): (&UserId, &OutgoingMail),
) -> Result<(), StoreError> {
    let copied = Ending::CopiedRefreshToken(SignIn {
        session: row.session_hash.clone(),
        series: row.remember_series.clone(),
        refresh: Some(name.to_string()),
        pending: None,
    });
    endings::end(change, &copied)?;
    change.mail(notice)?;
    change.event(EventKind::RefreshReuse { user: user.clone() });
    Ok(())
}

/// The family of this name, if it is still its owner's.
async fn find(site: &Site, name: &str) -> Result<Option<(FamilyRow, User)>, Error> {
    let name = name.to_string();
    let found = site.store.read(move |conn| families::find(conn, &name));
    Ok(found.await?)
}

/// What a refresh token was exchanged for.
struct Renewed {
    user: User,
    token: Secret<String>,
    refresh: Secret<String>,
    until: Timestamp,
}

fn split(shown: &str) -> Option<(&str, &str)> {
    shown
        .split_once('.')
        .filter(|(series, token)| series.len() == 43 && token.len() == 43)
}

fn rejected() -> Error {
    Invalid::field(FIELD, Message::new("refresh_tokens.wrong")).into()
}

/// The successor of a token, under each of the site's keys, the present one first.
fn successors(site: &Site, series: &str, token: &str) -> Vec<Secret<String>> {
    site.keys
        .macs(Purpose::Refresh, &[series.as_bytes(), token.as_bytes()])
        .map(|tag| Secret::new(BASE64URL_NOPAD.encode(&tag)))
        .collect()
}

/// What a token is to its family.
enum Place {
    /// The one that is good.
    Present,
    /// The one before, from a request that was under way when it was exchanged.
    Late,
    /// Neither, so that somebody has a copy.
    Old,
}

fn place(row: &FamilyRow, hash: &str, grace: Duration, now: Timestamp) -> Place {
    let is_before = row.previous_hash.as_deref() == Some(hash);
    if row.token_hash == hash {
        Place::Present
    } else if is_before && row.rotated_at.is_within(grace, now) {
        Place::Late
    } else {
        Place::Old
    }
}

/// What came of an exchange.
enum Outcome {
    /// The successor under the key with this number is the present token now.
    Exchanged(usize),
    /// The token opens nothing (any more).
    Refused,
    /// An old token came back: the family has ended.
    Reused,
    /// The family changed in between: look again.
    Again,
}

/// Exchanges a refresh token for an authentication token and the successor.
async fn renew(web: &Web<'_>, shown: &str) -> Result<Renewed, Error> {
    // Whoever finds the family changed between the look and the exchange looks once more.
    for _ in 0..3 {
        if let Some(renewed) = exchange(web, shown).await? {
            return Ok(renewed);
        }
    }
    Err(rejected())
}

/// A refresh token that is shown, and what it is exchanged for.
struct Exchange {
    /// The name of its family.
    name: String,
    /// The digest of the token.
    shown: String,
    /// The digests of its successor, under each of the site's keys.
    digests: Vec<String>,
    until: Timestamp,
    grace: Duration,
    owner: UserId,
    uniquifier: Uniquifier,
    token: tokens::NewToken,
    tokens_at_most: std::num::NonZeroU32,
    /// The mail to the owner, if the token is not the present one.
    notice: Option<OutgoingMail>,
}

impl Exchange {
    fn perform(&self, change: &mut Change<'_>) -> Result<Outcome, StoreError> {
        let now = change.now();
        users::hold(change, &self.owner, &self.uniquifier)?;
        let Some(row) = families::hold(change, &self.name)? else {
            return Ok(Outcome::Refused);
        };
        let key = match place(&row, &self.shown, self.grace, now) {
            Place::Present if row.idle_until <= now => None,
            Place::Present => match self.digests.first() {
                Some(first) => {
                    families::rotate(change, &self.name, &self.shown, first, self.until, now)?;
                    Some(0)
                }
                None => None,
            },
            // After a change of keys the successor may be of a former one; of none, nobody can say it.
            Place::Late => self.digests.iter().position(|next| *next == row.token_hash),
            Place::Old => {
                let Some(notice) = &self.notice else {
                    return Ok(Outcome::Again);
                };
                end_copied(change, &self.name, &row, (&self.owner, notice))?;
                return Ok(Outcome::Reused);
            }
        };
        let Some(key) = key else {
            return Ok(Outcome::Refused);
        };
        let named = Named {
            session_hash: row.session_hash,
            remember_series: row.remember_series,
        };
        change.insert_token(&self.token, named, self.tokens_at_most)?;
        Ok(Outcome::Exchanged(key))
    }
}

async fn exchange(web: &Web<'_>, shown: &str) -> Result<Option<Renewed>, Error> {
    let (site, now) = (web.site, web.site.now());
    let settings = &site.settings.refresh_tokens;
    let (series, presented) = split(shown).ok_or_else(rejected)?;
    let (name, hash) = (digest(series), digest(presented));
    let (row, user) = find(site, &name).await?.ok_or_else(rejected)?;
    // A planted cookie would make whoever is signed in go on as somebody else.
    let somebody = web.caller.as_ref().map(|caller| &caller.user.id);
    let is_planted =
        settings.mode == RefreshMode::Cookie && somebody.is_some_and(|id| *id != user.id);
    // A family that was last used in the future was used under a clock that was set back since.
    if row.idle_until <= now || !row.rotated_at.has_been(now) || is_planted {
        return Err(rejected());
    }
    // The account is judged anew; what else it owes by now is asked for at the next sign-in, as of sessions.
    // Whoever is shut out, has run out or is not known gets one answer.
    if !matches!(reissue(site, user.clone(), row.methods), Ok(Some(_))) {
        return Err(rejected());
    }
    refuse_if_locked(site, &Buckets::of_user(site, &user, &web.client)).await?;
    let notice = match row.token_hash == hash {
        true => None,
        false => Some(notices::refresh_reuse(&web.composer(), &user)?),
    };
    let (methods, at) = (row.methods, row.authenticated_at);
    let (issued, token_row) = token::prepare(site, &user, methods, at, Some(name.clone()))?;
    let next = successors(site, series, presented);
    let digests: Vec<String> = next.iter().map(|next| digest(next.expose())).collect();
    let until = now.after(settings.idle.get()).min(row.absolute_until);
    let exchange = Exchange {
        name,
        shown: hash,
        digests,
        until,
        grace: settings.grace,
        owner: user.id.clone(),
        uniquifier: user.uniquifier.clone(),
        token: token_row,
        tokens_at_most: site.settings.tokens.most,
        notice,
    };
    let outcome = web.change(move |change| exchange.perform(change)).await;
    match outcome {
        Ok(Outcome::Exchanged(key)) => {
            let Some(next) = next.get(key) else {
                return Err(rejected());
            };
            let refresh = Secret::new(format!("{series}.{}", next.expose()));
            Ok(Some(Renewed {
                user,
                token: issued.token,
                refresh,
                until,
            }))
        }
        Ok(Outcome::Again) => Ok(None),
        Ok(Outcome::Refused) => Err(rejected()),
        Ok(Outcome::Reused) => {
            session::forget_refresh(web.browser, web.site);
            Err(rejected())
        }
        // Signed out everywhere, shut out or given a new password in between.
        Err(StoreError::Missing) => Err(rejected()),
        Err(error) => Err(error.into()),
    }
}
