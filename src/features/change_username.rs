//! Another username: `/change-username`, for somebody whose sign-in is fresh.

use rocket::{get, post, routes};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Submitted, Web, recover_username::has_usernames};
use crate::{
    error::{Error, Invalid},
    events::EventKind,
    guards::strong::Strong,
    notify::notices,
    signin::{limits::count_per_user, outdated},
    store::{User, users},
    templates::{
        Template,
        form::{Field, FormView},
        template,
    },
    types::{Message, Path},
    web::{
        feature::{Feature, Link, MenuFor, sample_form},
        page,
        reply::{Answer, Reply, or_again},
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "change_username",
    is_on: |settings, _| settings.change_username.enabled && has_usernames(settings),
    routes: || routes![show, submit],
    templates: &[PAGE],
    samples: || {
        vec![(
            PAGE,
            json!({"form": sample_form(), "current_username": "ada"}),
        )]
    },
    mails: &[],
    links: &[Link {
        name: "change_username",
        path: Path::ChangeUsername,
        menu: MenuFor::SignedIn { post: false },
    }],
};

const PAGE: Template = template!("change_username/change_username.html");

// Form.

#[derive(Debug, Default, Deserialize)]
struct ChangeUsername {
    #[serde(default)]
    username: String,
}

impl ChangeUsername {
    fn view(&self, web: &Web<'_>) -> FormView {
        let field = Field::text("username", "field.username_new")
            .value(&self.username)
            .autocomplete("username")
            .autofocus();
        FormView::new(
            "change_username",
            web.site.path(Path::ChangeUsername),
            [field],
        )
    }

    fn page(&self, web: &Web<'_>, caller: &Strong) -> Reply {
        let current_username = caller.user.username.as_deref();
        web.naming(Reply::page(PAGE), &caller.user)
            .with("current_username", current_username)
            .answer(CurrentUsername { current_username })
            .form(self.view(web))
    }
}

/// What programs are told on the way to another username, beside the account.
#[derive(Serialize)]
struct CurrentUsername<'a> {
    /// The username that the account has, if it has one.
    current_username: Option<&'a str>,
}

// Routes.

#[get("/change-username")]
async fn show(web: Web<'_>) -> Answer {
    let caller = web.strong_by_any().await?;
    Ok(ChangeUsername::default().page(&web, &caller))
}

#[post("/change-username", data = "<form>")]
async fn submit(web: Web<'_>, form: Submitted<ChangeUsername>) -> Answer {
    let form = web.sent(form, |form| form.view(&web))?;
    let caller = web.strong_by_any().await?;
    let done = change(&web, &caller, &form.username).await.map(|user| {
        let after = &web.site.settings.after;
        let target = after.change_username.as_deref().unwrap_or(&after.change);
        let target = page::after(web.site, target);
        web.naming(Reply::done(target), &user)
            .csrf()
            .flash("success", "change_username.done")
    });
    or_again(done, || form.page(&web, &caller))
}

// Service.

/// Answers the account with its new name.
async fn change(web: &Web<'_>, caller: &Strong, typed: &str) -> Result<User, Error> {
    let (site, user) = (web.site, &caller.user);
    count_per_user(site, "change_username", &user.id).await?;
    let wrong = |message| Invalid::field("username", message);
    let username = site.usernames.parse(typed).map_err(wrong)?;
    if user.username.as_deref() == Some(username.name()) {
        return Err(wrong(Message::new("change_username.same")).into());
    }
    let notice = notices::username_changed(&web.composer(), user, username.name())?;
    let (id, uniquifier, now) = (user.id.clone(), user.uniquifier.clone(), site.now());
    web.change(move |change| {
        users::hold(change, &id, &uniquifier)?;
        let renamed = users::set_username(change, &id, &username, now)?;
        change.mail(&notice)?;
        change.event(EventKind::UsernameChanged { user: id.clone() });
        Ok(renamed)
    })
    .await
    .map_err(outdated)
}
