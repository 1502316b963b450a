//! The sessions of an account: `/sessions` lists them, and ends one or all the others.

use rocket::{get, post, routes};
use serde::Serialize;
use serde_json::json;

use super::{Submitted, Web};
use crate::{
    error::{Denied, Error},
    identity::target::Target,
    signin::{caller::Caller, session},
    store::SessionInfo,
    templates::{Template, template},
    types::{Methods, Path, SessionId},
    web::{
        feature::{Feature, Link, MenuFor},
        input::Empty,
        reply::{Answer, Reply},
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "sessions",
    is_on: |settings, _| settings.sessions.enabled,
    routes: || routes![list, revoke, revoke_others],
    templates: &[PAGE],
    samples: || {
        let one = json!({
            "id": SessionId::new(), "current": true, "created": "today", "created_iso": "2026-01-01T00:00:00Z",
            "last_seen": "now", "last_seen_iso": "2026-01-01T00:00:00Z", "address": "::1", "agent": "Browser",
            "methods": ["password"], "remembered": true,
        });
        vec![(PAGE, json!({"sessions": [one]}))]
    },
    mails: &[],
    links: &[Link {
        name: "sessions",
        path: Path::Sessions,
        menu: MenuFor::SignedIn { post: false },
    }],
};

const PAGE: Template = template!("sessions/sessions.html");

// Answers.

/// The sessions of the account.
#[derive(Serialize)]
struct SessionsAnswer<'a> {
    /// All of them.
    sessions: Vec<SessionAnswer<'a>>,
}

/// A session, for programs and the page.
#[derive(Serialize)]
struct SessionAnswer<'a> {
    /// Its id, which revokes it and opens nothing.
    id: &'a SessionId,
    /// Whether the request belongs to it.
    current: bool,
    /// When the user signed in, as text.
    created: String,
    /// When the user signed in.
    created_iso: String,
    /// When it was last used, as text.
    last_seen: String,
    /// When it was last used, give or take five minutes.
    last_seen_iso: String,
    /// The client's address at sign-in.
    address: &'a str,
    /// The client's `User-Agent` at sign-in.
    agent: &'a str,
    /// How the user signed in.
    methods: Methods,
    /// Whether the browser is remembered beyond the session.
    remembered: bool,
}

// Routes.

fn owner<'a>(web: &'a Web<'_>) -> Result<&'a Caller, Error> {
    web.caller
        .as_deref()
        .ok_or_else(|| Denied::Anonymous.into())
}

#[get("/sessions")]
async fn list(web: Web<'_>) -> Answer {
    let caller = owner(&web)?;
    let rows = web.site.store.sessions_of(&caller.user.id).await?;
    let sessions: Vec<SessionAnswer<'_>> = rows.iter().map(|row| view(row, caller)).collect();
    Ok(Reply::page(PAGE)
        .with("sessions", &sessions)
        .answer(SessionsAnswer { sessions }))
}

#[post("/sessions/<id>/revoke", data = "<form>")]
async fn revoke(web: Web<'_>, id: &str, form: Submitted<Empty>) -> Answer {
    web.pressed(form, "sessions.revoke")?;
    let caller = owner(&web)?;
    // An id that is none and one that is another's are answered alike.
    let id: SessionId = id.parse().map_err(|_| Error::NotFound)?;
    // Whoever ends the own session signs out.
    if caller.session.as_ref() != Some(&id) {
        web.strong_by_any().await?;
    }
    let (owner, which) = (caller.user.id.clone(), id.clone());
    let ended = web.change(move |change| change.revoke_session(&owner, &which));
    if !ended.await? {
        return Err(Error::NotFound);
    }
    if caller.session.as_ref() == Some(&id) {
        session::forget_cookies(web.browser, web.site);
    }
    Ok(done(&web))
}

#[post("/sessions/revoke-others", data = "<form>")]
async fn revoke_others(web: Web<'_>, form: Submitted<Empty>) -> Answer {
    web.pressed(form, "sessions.revoke_others")?;
    let caller = owner(&web)?;
    let Some(keep) = &caller.session else {
        // A token has no session to keep: all of them are others.
        return Err(Denied::Mechanism.into());
    };
    web.strong_by_any().await?;
    let (owner, keep) = (caller.user.id.clone(), keep.clone());
    web.change(move |change| change.revoke_other_sessions(&owner, &keep))
        .await?;
    Ok(done(&web))
}

fn done(web: &Web<'_>) -> Reply {
    Reply::done(Target::local(&web.site.path(Path::Sessions))).flash("success", "sessions.ended")
}

fn view<'a>(row: &'a SessionInfo, caller: &Caller) -> SessionAnswer<'a> {
    SessionAnswer {
        id: &row.id,
        current: caller.session.as_ref() == Some(&row.id),
        created: row.created_at.to_text(),
        created_iso: row.created_at.rfc3339(),
        last_seen: row.last_seen_at.to_text(),
        last_seen_iso: row.last_seen_at.rfc3339(),
        address: &row.address,
        agent: &row.agent,
        methods: row.methods,
        remembered: row.is_remembered(),
    }
}
