//! A private note: `/security-note`, for the account that is signed in.

use rocket::{get, post, routes};
use serde::Deserialize;
use serde_json::json;

use super::{Submitted, Web};
use crate::{
    error::{Error, Invalid},
    events::EventKind,
    identity::target::Target,
    signin::{caller::Caller, limits::count_per_user, outdated},
    store::{notes, users},
    templates::{
        form::{Field, FormView},
        template,
    },
    types::Message,
    web::{
        feature::{Feature, Link, MenuFor, sample_form},
        reply::{Answer, Reply, or_again},
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "security_note",
    is_on: |settings, _| settings.security_note.enabled,
    routes: || routes![show, submit],
    templates: &[template!("security_note/security_note.html")],
    samples: || vec![(PAGE, json!({"form": sample_form()}))],
    links: &[Link {
        name: "security_note",
        path: PATH,
        menu: MenuFor::SignedIn { post: false },
    }],
};

const PAGE: &str = "security/security_note/security_note.html";
const PATH: &str = "/security-note";

/// The most characters of a note.
const LONGEST: usize = 500;

// Form.

#[derive(Debug, Default, Deserialize)]
struct Note {
    #[serde(default)]
    note: String,
}

impl Note {
    fn view(&self, web: &Web<'_>) -> FormView {
        let field = Field::text("note", "field.note").value(&self.note);
        FormView::new("security_note", web.site.path(PATH), [field])
    }

    fn page(&self, web: &Web<'_>) -> Reply {
        Reply::page(PAGE)
            .json("note", &self.note)
            .form(self.view(web))
    }
}

// Routes.

#[get("/security-note")]
async fn show(web: Web<'_>) -> Answer {
    let user = web.signed_in()?.user.id.clone();
    let note = web.site.store.read(move |conn| notes::of_user(conn, &user));
    let note = note.await?.unwrap_or_default();
    Ok(Note { note }.page(&web))
}

#[post("/security-note", data = "<form>")]
async fn submit(web: Web<'_>, form: Submitted<Note>) -> Answer {
    let form = web.sent(form, |form| form.view(&web))?;
    let caller = web.signed_in()?;
    let done = keep(&web, &caller, form.note.trim()).await.map(|()| {
        let target = Target::local(&web.site.path(PATH));
        Reply::done(target)
            .csrf()
            .flash("success", "security_note.done")
    });
    or_again(done, || form.page(&web))
}

// Service.

async fn keep(web: &Web<'_>, caller: &Caller, note: &str) -> Result<(), Error> {
    count_per_user(web.site, "security_note", &caller.user.id).await?;
    if note.chars().count() > LONGEST {
        let message = Message::new("security_note.too_long").with("most", LONGEST);
        return Err(Invalid::field("note", message).into());
    }
    if note.chars().any(crate::identity::text::is_hidden) {
        return Err(Invalid::field("note", Message::new("security_note.hidden")).into());
    }
    let (user, note) = (caller.user.clone(), note.to_string());
    web.change(move |change| {
        let now = change.now();
        users::hold(change, &user.id, &user.uniquifier)?;
        notes::replace(change, &user.id, &note, now)?;
        change.event(EventKind::NoteChanged {
            user: user.id.clone(),
        });
        Ok(())
    })
    .await
    .map_err(outdated)
}
