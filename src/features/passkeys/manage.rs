//! The passkeys of an account: the list at `/wan-register`, `/wan-rename` and `/wan-delete`.

use rocket::{Route, get, post, routes};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    super::{Submitted, Web, two_factor},
    offer, or_back,
    register::{Ask, WanRegister, name_taken, usages},
    rows,
};
use crate::{
    error::{Error, Invalid},
    events::EventKind,
    factors::passkey::{KIND, id_of, provider},
    guards::strong::Strong,
    http::language,
    identity::target::Target,
    notify::notices,
    signin::{outdated, second::MOST, sign_in_methods::SignInMethods, ticket::Purpose},
    store::{StoreError, devices, factors, passkeys::PasskeyRow, tickets, users},
    templates::form::{Field, FormView},
    templates::{Template, template},
    types::{Message, PasskeyUsage, Path, Usages},
    web::{
        json::wants_json,
        reply::{Answer, Reply},
        site::Site,
    },
};

pub(super) const MANAGE: Template = template!("passkeys/manage.html");

pub(super) fn routes() -> Vec<Route> {
    routes![show, rename, show_delete, delete]
}

// Forms.

#[derive(Debug, Default, Deserialize)]
struct Rename {
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    new_name: String,
}

#[derive(Debug, Default, Deserialize)]
struct Delete {
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
}

/// What was wrong with a new name, and of which passkey.
pub(super) struct Misnamed<'a> {
    id: &'a str,
    typed: &'a str,
    invalid: &'a Invalid,
}

fn rename_form(site: &Site, id: &str, typed: &str) -> FormView {
    let fields = [
        Field::hidden("id", id),
        Field::text("new_name", "field.passkey_new_name")
            .value(typed)
            .lengths(None, Some(64)),
    ];
    FormView::new("wan_rename", site.path(Path::WanRename), fields)
}

fn delete_form(site: &Site, id: &str) -> FormView {
    let fields = [Field::hidden("id", id)];
    FormView::new("wan_delete", site.path(Path::WanDelete), fields)
}

/// The page with all passkeys, and the form to add one.
pub(super) async fn page(
    web: &Web<'_>,
    caller: &Strong,
    typed: &Ask,
    misnamed: Option<Misnamed<'_>>,
) -> Result<Reply, Error> {
    let (site, id) = (web.site, caller.user.id.clone());
    let (all, passkeys) = site
        .store
        .read(move |conn| {
            let all = factors::of_user(conn, &id)?.len();
            Ok((all, rows::of_user(conn, &id)?))
        })
        .await?;
    let (catalogue, language) = (
        site.views.catalogue(),
        language::of(web.request, &site.http),
    );
    let nothing = Invalid::new();
    let shown: Vec<Value> = passkeys
        .iter()
        .map(|row| {
            let wrong = misnamed.as_ref().filter(|wrong| wrong.id == row.id);
            let (typed, invalid) = wrong.map_or(("", &nothing), |w| (w.typed, w.invalid));
            let rename = rename_form(site, &row.id, typed);
            let delete = delete_form(site, &row.id);
            json!({
                "id": row.id,
                "name": row.name,
                "provider": provider(&row.aaguid),
                "synced": row.backed_up,
                "suspect": row.suspect_at.is_some(),
                "usage": row.usage(),
                "created": row.created_at.to_text(),
                "created_iso": row.created_at.rfc3339(),
                "last_used": row.last_used_at.map(|at| at.to_text()),
                "last_used_iso": row.last_used_at.map(|at| at.rfc3339()),
                "rename_form": rename.view(site, &catalogue, &language, invalid),
                "delete_form": delete.view(site, &catalogue, &language, &nothing),
            })
        })
        .collect();
    let registered_credentials = passkeys.iter().map(for_programs).collect();
    let reply = Reply::page(MANAGE)
        .with("passkey", offer(site, &site.path(Path::WanRegister), ""))
        .with("passkeys", shown)
        .answer(PasskeysAnswer {
            registered_credentials,
        });
    if all >= MOST {
        return Ok(reply);
    }
    let label = |usage: PasskeyUsage| Message::new(format!("passkey.usage_{}", usage.name()));
    let options = usages(site)
        .iter()
        .map(|usage| (usage.name().to_string(), label(*usage)))
        .collect();
    let fields = [
        Field::text("name", "field.passkey_name")
            .value(&typed.name)
            .lengths(None, Some(64))
            .hint(Message::new("field.passkey_name_hint")),
        Field::choice("usage", "field.passkey_usage", options)
            .value(&typed.usage)
            .hint(Message::new("field.passkey_usage_hint")),
    ];
    let action = site.path(Path::WanRegister);
    Ok(reply.form(FormView::new("wan_register", action, fields)))
}

/// The passkeys of the account.
#[derive(Serialize)]
struct PasskeysAnswer<'a> {
    /// All of them.
    registered_credentials: Vec<PasskeyAnswer<'a>>,
}

/// A passkey as programs see it.
#[derive(Serialize)]
struct PasskeyAnswer<'a> {
    /// Its id, by which it is renamed and removed.
    id: &'a str,
    /// What its owner calls it.
    name: &'a str,
    /// The id that authenticators and browsers have for it.
    credential_id: Option<String>,
    /// How browsers reach the authenticator, as WebAuthn names it.
    transports: &'a str,
    /// When it was last used.
    lastuse: Option<String>,
    /// What it is for.
    usage: PasskeyUsage,
    /// When it was added.
    created: String,
    /// The maker of the authenticator, if it is known.
    provider: Option<&'static str>,
    /// The model of the authenticator.
    aaguid: &'a str,
    /// Whether it is synchronized between devices.
    synced: bool,
    /// Whether the authenticator verifies its user.
    verifies: bool,
    /// Whether it may have been copied, and opens nothing any more.
    suspect: bool,
}

fn for_programs(row: &PasskeyRow) -> PasskeyAnswer<'_> {
    PasskeyAnswer {
        id: &row.id,
        name: &row.name,
        credential_id: id_of(row),
        transports: &row.transports,
        lastuse: row.last_used_at.map(|at| at.rfc3339()),
        usage: row.usage(),
        created: row.created_at.rfc3339(),
        provider: provider(&row.aaguid),
        aaguid: &row.aaguid,
        synced: row.backed_up,
        verifies: row.verifies,
        suspect: row.suspect_at.is_some(),
    }
}

/// The answer to a new name.
#[derive(Serialize)]
struct RenamedAnswer {
    /// The name as it was stored.
    name: String,
}

// Routes.

#[get("/wan-register")]
async fn show(web: Web<'_>) -> Answer {
    let caller = web.strong().await?;
    page(&web, &caller, &Ask::default(), None).await
}

#[post("/wan-rename", data = "<form>")]
async fn rename(web: Web<'_>, form: Submitted<Rename>) -> Answer {
    let form = web.sent(form, |form| rename_form(web.site, &form.id, &form.new_name))?;
    let caller = web.strong().await?;
    let row = meant(&web, &caller, &form.id, &form.name).await?;
    match call(&web, &caller, &row, &form.new_name).await {
        Err(Error::Invalid(invalid)) if !wants_json(web.request, web.site) => {
            let misnamed = Misnamed {
                id: &row.id,
                typed: &form.new_name,
                invalid: &invalid,
            };
            page(&web, &caller, &Ask::default(), Some(misnamed)).await
        }
        done => done.map(|name| {
            back(&web)
                .answer(RenamedAnswer { name })
                .flash("success", "passkey.renamed")
        }),
    }
}

/// Whoever looks here is shown the page that has the buttons.
#[get("/wan-delete")]
async fn show_delete(web: Web<'_>) -> Answer {
    web.strong().await?;
    Ok(back(&web))
}

#[post("/wan-delete", data = "<form>")]
async fn delete(web: Web<'_>, form: Submitted<Delete>) -> Answer {
    let form = web.sent(form, |form| delete_form(web.site, &form.id))?;
    let caller = web.strong().await?;
    let done = match meant(&web, &caller, &form.id, &form.name).await {
        Ok(row) => remove(&web, &caller, row).await,
        Err(error) => Err(error),
    };
    let done = done.map(|()| back(&web).flash("success", "passkey.removed"));
    or_back(&web, done, Path::WanRegister, None)
}

fn back(web: &Web<'_>) -> Reply {
    Reply::done(Target::local(&web.site.path(Path::WanRegister))).csrf()
}

// Service.

/// The caller's passkey with this id, or else with this name. One that is none and one that is another's
/// are answered alike.
async fn meant(web: &Web<'_>, caller: &Strong, id: &str, name: &str) -> Result<PasskeyRow, Error> {
    let owner = caller.user.id.clone();
    let rows = web
        .site
        .store
        .read(move |conn| rows::of_user(conn, &owner))
        .await?;
    let (id, name) = (id.trim(), name.trim());
    if !id.is_empty() {
        let found = rows.into_iter().find(|row| row.id == id);
        return found.ok_or(Error::NotFound);
    }
    if name.is_empty() {
        return Err(Invalid::field("name", Message::new("input.required")).into());
    }
    rows.into_iter()
        .find(|row| row.name == name)
        .ok_or_else(|| Invalid::field("name", Message::new("passkey.unknown")).into())
}

/// Gives a passkey another name.
async fn call(
    web: &Web<'_>,
    caller: &Strong,
    row: &PasskeyRow,
    typed: &str,
) -> Result<String, Error> {
    let policy = &super::ceremonies(web)?.policy;
    let name = policy
        .check_name(typed)
        .map_err(|message| Invalid::field("new_name", message))?;
    let (owner, id, new) = (caller.user.clone(), row.id.clone(), name.clone());
    let renamed = web
        .site
        .store
        .write(move |conn| {
            users::hold(conn, &owner.id, &owner.uniquifier)?;
            let known = rows::of_user(conn, &owner.id)?;
            if known.iter().any(|row| row.name == new && row.id != id) {
                return Ok(None);
            }
            rows::rename(conn, &owner.id, &id, &new).map(Some)
        })
        .await
        .map_err(outdated)?;
    match renamed {
        Some(true) => Ok(name),
        Some(false) => Err(Error::NotFound),
        None => Err(name_taken("new_name")),
    }
}

enum Judged {
    Done,
    LastWay,
    LastFactor,
}

/// Removes a passkey, unless it is the last way in, or the last second factor where one is required.
async fn remove(web: &Web<'_>, caller: &Strong, row: PasskeyRow) -> Result<(), Error> {
    let (site, user) = (web.site, &caller.user);
    let required =
        site.settings.two_factor.enabled && two_factor::setup::is_required(web, user).await?;
    let notice = notices::factor_removed(&web.composer(), user, KIND, &row.name)?;
    let (factors, counts, owner) = (
        SignInMethods::of(site),
        site.counted_factors(),
        user.clone(),
    );
    let (id, first, second) = (
        row.id.clone(),
        row.serves(Usages::FIRST),
        row.serves(Usages::SECOND),
    );
    let name = row.name;
    let judged = web
        .change(move |change| {
            // Of two removals at once the second finds what the first has left.
            users::hold(change, &owner.id, &owner.uniquifier)?;
            let all = factors::of_user(change, &owner.id)?;
            if first && !factors.without(change, &owner.id, &id)? {
                return Ok(Judged::LastWay);
            }
            let left = all
                .iter()
                .filter(|way| way.id != id && way.serves(Usages::SECOND) && counts.contains(way));
            let last = second && left.count() == 0;
            if last && required {
                return Ok(Judged::LastFactor);
            }
            if !rows::delete(change, &owner.id, &id)? {
                return Err(StoreError::Missing);
            }
            if second {
                devices::delete_all_of(change, &owner.id)?;
            }
            tickets::end_of_purpose(change, &owner.id, WanRegister::NAME)?;
            if last {
                factors::replace_codes(change, &owner.id, &[])?;
            }
            change.mail(&notice)?;
            let (user, name) = (owner.id.clone(), name.clone());
            change.event(EventKind::PasskeyRemoved { user, name });
            if last {
                let user = owner.id.clone();
                change.event(EventKind::SecondFactorOff { user });
            }
            Ok(Judged::Done)
        })
        .await
        .map_err(outdated)?;
    match judged {
        Judged::Done => Ok(()),
        Judged::LastWay => Err(Invalid::form(Message::new("passkey.last_one")).into()),
        Judged::LastFactor => Err(Invalid::form(Message::new("passkey.last_factor")).into()),
    }
}
