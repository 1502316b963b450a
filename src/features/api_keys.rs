//! API keys: `/api-keys` lists them, makes one with some of its owner's permissions, and ends one.

use std::time::Duration;

use rocket::{get, post, routes};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::{Submitted, Web};
use crate::{
    error::{Denied, Error, Invalid},
    events::EventKind,
    guards::strong::Strong,
    identity::{
        target::Target,
        text::{self, NotAName},
    },
    notify::notices,
    secrets::{Secret, digest, random_token},
    signin::{api_key, caller::Mechanism, limits::count_per_user, outdated},
    store::{
        ApiKeyInfo,
        api_keys::{self, NewApiKey},
        users,
    },
    templates::{
        Template,
        form::{Field, FormView},
        template,
    },
    types::{
        Message, NonZeroDuration, Path, PathTo, Timestamp,
        span::{self, days},
    },
    web::{
        feature::{Feature, Link, MenuFor, sample_form},
        input::Empty,
        reply::{Answer, Reply},
    },
};

pub(crate) const FEATURE: Feature = Feature {
    name: "api_keys",
    is_on: |settings, _| settings.api_keys.enabled,
    routes: || routes![list, create, revoke],
    templates: &[PAGE],
    samples: || {
        let one = json!({
            "id": "1", "name": "Backup", "beginning": "rs_1_", "permissions": ["post:publish"], "created": "today",
            "created_iso": "2026-01-01T00:00:00Z", "expires": "tomorrow", "expires_iso": "2026-01-01T00:00:00Z",
            "expired": false, "last_used": "now", "last_used_iso": "2026-01-01T00:00:00Z", "address": "::1",
            "revoke_url": "/api-keys/1/revoke",
        });
        let permission = json!({"name": "post:publish", "checked": true});
        let list = json!({
            "keys": [one], "form": sample_form(), "permissions": [permission], "api_key": null,
        });
        let made = json!({
            "keys": [one], "form": sample_form(), "permissions": [], "api_key": "rs_1_secret",
        });
        vec![(PAGE, list), (PAGE, made)]
    },
    mails: &[],
    links: &[Link {
        name: "api_keys",
        path: Path::ApiKeys,
        menu: MenuFor::SignedIn { post: false },
    }],
};

const PAGE: Template = template!("api_keys/api_keys.html");

// Form.

/// A field that nobody asked for may be meant for something that is not done here: it is refused.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    #[serde(default)]
    name: String,
    #[serde(default)]
    permissions: Vec<String>,
    #[serde(default, deserialize_with = "length")]
    expires: String,
}

/// A length of time: seconds as a number, or a text such as `"30 d"`.
fn length<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Seconds(u64),
        Text(String),
        None(()),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::Seconds(seconds) => seconds.to_string(),
        Written::Text(text) => text,
        Written::None(()) => String::new(),
    })
}

/// Lengths of life that the page offers.
const OFFERED: [(&str, Duration); 4] = [
    ("7 d", days(7)),
    ("30 d", days(30)),
    ("90 d", days(90)),
    ("365 d", days(365)),
];

/// Characters of a name, as the table holds them.
const NAME: usize = 64;

impl NewKey {
    fn view(&self, web: &Web<'_>) -> FormView {
        let longest = web.site.settings.api_keys.longest.map(NonZeroDuration::get);
        let mut options: Vec<(String, Message)> = OFFERED
            .iter()
            .filter(|(_, life)| longest.is_none_or(|longest| *life <= longest))
            .map(|(written, life)| {
                let label = Message::new("api_keys.days").with("days", life.as_secs() / 86_400);
                ((*written).to_string(), label)
            })
            .collect();
        match longest {
            None => options.push((String::new(), Message::new("api_keys.for_ever"))),
            Some(longest) if options.is_empty() => {
                let label = Message::new("api_keys.longest").with("longest", span::text(longest));
                options.push((span::text(longest), label));
            }
            Some(_) => {}
        }
        let first = options.first().map(|(written, _)| written.clone());
        let chosen = match self.expires.is_empty() && self.name.is_empty() {
            true => first.unwrap_or_default(),
            false => self.expires.clone(),
        };
        let expires = Field::choice("expires", "field.api_key_expires", options).value(&chosen);
        let name = Field::text("name", "field.api_key_name")
            .value(&self.name)
            .autocomplete("off")
            .lengths(None, Some(NAME as u64))
            .hint(Message::new("field.api_key_name_hint"));
        FormView::new("api_keys", web.site.path(Path::ApiKeys), [name, expires])
    }
}

// Routes.

/// Keys are made in the browser by whoever sits there: neither a key nor a token makes one.
async fn owner(web: &Web<'_>) -> Result<Strong, Error> {
    if web.signed_in()?.mechanism != Mechanism::Session {
        return Err(Denied::Mechanism.into());
    }
    web.strong().await
}

#[get("/api-keys")]
async fn list(web: Web<'_>) -> Answer {
    let caller = owner(&web).await?;
    page(&web, &caller, &NewKey::default()).await
}

#[post("/api-keys", data = "<form>")]
async fn create(web: Web<'_>, form: Submitted<NewKey>) -> Answer {
    let form = web.sent(form, |form| form.view(&web))?;
    let caller = owner(&web).await?;
    match make(&web, &caller, &form).await {
        Ok((id, key)) => {
            let reply = page(&web, &caller, &NewKey::default()).await?;
            // It is shown here and never again.
            let key = key.expose().as_str();
            Ok(reply
                .own()
                .with("api_key", key)
                .answer(ApiKeyCreatedAnswer { api_key: key, id }))
        }
        Err(Error::Invalid(invalid)) => Ok(page(&web, &caller, &form).await?.invalid(invalid)),
        Err(error) => Err(error),
    }
}

#[post("/api-keys/<id>/revoke", data = "<form>")]
async fn revoke(web: Web<'_>, id: &str, form: Submitted<Empty>) -> Answer {
    web.pressed(form, "api_keys.revoke")?;
    let caller = web.strong_by_any().await?;
    end(&web, &caller, id).await?;
    let target = Target::local(&web.site.path(Path::ApiKeys));
    Ok(Reply::done(target).flash("success", "api_keys.revoked"))
}

/// The page with all keys, and the form to make one.
async fn page(web: &Web<'_>, caller: &Strong, typed: &NewKey) -> Result<Reply, Error> {
    let (site, id) = (web.site, &caller.user.id);
    let rows = site.store.api_keys_of(id).await?;
    let grants = site.store.grants(id).await?;
    let now = site.now();
    let shown: Vec<Value> = rows.iter().map(|row| view(web, row, now)).collect();
    let choices: Vec<Value> = grants
        .permissions
        .iter()
        .map(|name| json!({"name": name, "checked": typed.permissions.contains(name)}))
        .collect();
    Ok(Reply::page(PAGE)
        .own()
        .with("keys", &shown)
        .with("permissions", choices)
        .with("api_key", Value::Null)
        .answer(ApiKeysAnswer {
            api_keys: rows.iter().map(|row| told(row, now)).collect(),
            permissions: &grants.permissions,
        })
        .form(typed.view(web)))
}

fn view(web: &Web<'_>, row: &ApiKeyInfo, now: Timestamp) -> Value {
    json!({
        "id": row.id,
        "name": row.name,
        "beginning": api_key::beginning(web.site, &row.id),
        "permissions": row.permissions,
        "created": row.created_at.to_text(),
        "created_iso": row.created_at.rfc3339(),
        "expires": row.expires_at.map(Timestamp::to_text),
        "expires_iso": row.expires_at.map(Timestamp::rfc3339),
        "expired": is_over(row, now),
        "last_used": row.last_used_at.map(Timestamp::to_text),
        "last_used_iso": row.last_used_at.map(Timestamp::rfc3339),
        "address": row.last_used_from,
        "revoke_url": web.site.path_to(PathTo::ApiKeyRevoke, [&row.id]),
    })
}

/// The keys of the account.
#[derive(Serialize)]
struct ApiKeysAnswer<'a, P: Serialize> {
    /// All of them.
    api_keys: Vec<ApiKeyAnswer<'a>>,
    /// The permissions of the account, which its keys can be given.
    permissions: P,
}

/// A key as programs see it.
#[derive(Serialize)]
struct ApiKeyAnswer<'a> {
    /// Its id, which revokes it and opens nothing.
    id: &'a str,
    /// What its owner calls it.
    name: &'a str,
    /// The permissions that it was given.
    permissions: &'a [String],
    /// When it was created.
    created: String,
    /// When it expires; null if never.
    expires: Option<String>,
    /// Whether it has expired.
    expired: bool,
    /// When it was last used, give or take five minutes.
    last_used: Option<String>,
    /// The client's address then.
    address: Option<&'a str>,
}

/// What is told of a new key beside the list.
#[derive(Serialize)]
struct ApiKeyCreatedAnswer<'a> {
    /// The key, which is told here and never again.
    api_key: &'a str,
    /// Its id.
    id: String,
}

fn told(row: &ApiKeyInfo, now: Timestamp) -> ApiKeyAnswer<'_> {
    ApiKeyAnswer {
        id: &row.id,
        name: &row.name,
        permissions: &row.permissions,
        created: row.created_at.rfc3339(),
        expires: row.expires_at.map(Timestamp::rfc3339),
        expired: is_over(row, now),
        last_used: row.last_used_at.map(Timestamp::rfc3339),
        address: row.last_used_from.as_deref(),
    }
}

fn is_over(row: &ApiKeyInfo, now: Timestamp) -> bool {
    row.expires_at.is_some_and(|end| end <= now)
}

// Service.

fn check_name(typed: &str) -> Result<String, Message> {
    let name = text::name(typed, NAME).map_err(|why| match why {
        NotAName::Empty => Message::new("api_keys.name_required"),
        NotAName::TooLong => Message::new("api_keys.name_too_long").with("max", NAME),
        NotAName::Hidden => Message::new("api_keys.name_invalid"),
    })?;
    Ok(name.to_string())
}

/// When a key of this length ends; `None` for never.
fn check_expiry(
    typed: &str,
    longest: Option<Duration>,
    now: Timestamp,
) -> Result<Option<Timestamp>, Message> {
    let typed = typed.trim();
    if typed.is_empty() {
        return match longest {
            None => Ok(None),
            Some(longest) => {
                Err(Message::new("api_keys.must_end").with("longest", span::text(longest)))
            }
        };
    }
    let life = span::parse(typed).map_err(|_| Message::new("api_keys.no_length"))?;
    if life.as_secs() == 0 {
        return Err(Message::new("api_keys.no_length"));
    }
    match longest {
        Some(longest) if life > longest => {
            Err(Message::new("api_keys.must_end").with("longest", span::text(longest)))
        }
        // Nobody can write a later year, so no list could show it.
        _ if now.after(life).rfc3339().is_empty() => Err(Message::new("api_keys.too_long")),
        _ => Ok(Some(now.after(life))),
    }
}

enum Made {
    Done,
    TooMany,
    NotYours,
}

/// Makes a key with permissions that its owner has; answers it, to be shown once.
async fn make(
    web: &Web<'_>,
    caller: &Strong,
    form: &NewKey,
) -> Result<(String, Secret<String>), Error> {
    let (site, user, now) = (web.site, &caller.user, web.site.now());
    let settings = &site.settings.api_keys;
    count_per_user(site, "api_keys", &user.id).await?;
    let mut invalid = Invalid::new();
    let name = invalid.take("name", check_name(&form.name));
    let expires_at = invalid.take(
        "expires",
        check_expiry(
            &form.expires,
            settings.longest.map(NonZeroDuration::get),
            now,
        ),
    );
    let (Some(name), Some(expires_at)) = (name, expires_at) else {
        return Err(invalid.into());
    };
    let mut asked: Vec<String> = form.permissions.clone();
    asked.sort_unstable();
    asked.dedup();
    let secret = random_token()?;
    let id = uuid::Uuid::now_v7().to_string();
    let row = NewApiKey {
        id: id.clone(),
        user_id: user.id.clone(),
        key_hash: digest(secret.expose()),
        name: name.clone(),
        permissions: json!(asked).to_string(),
        created_at: now,
        expires_at,
    };
    let notice = notices::api_key_created(&web.composer(), user, &name, &asked)?;
    let (uniquifier, most) = (user.uniquifier.clone(), i64::from(settings.most));
    let made = web
        .change(move |change| {
            users::hold(change, &row.user_id, &uniquifier)?;
            if api_keys::count_of(change, &row.user_id)? >= most {
                return Ok(Made::TooMany);
            }
            let grants = users::grants(change, &row.user_id)?;
            if !asked.iter().all(|one| grants.has_permission(one)) {
                return Ok(Made::NotYours);
            }
            api_keys::insert(change, &row)?;
            change.mail(&notice)?;
            change.event(EventKind::ApiKeyCreated {
                user: row.user_id.clone(),
                key: row.id.clone(),
                name: row.name.clone(),
            });
            Ok(Made::Done)
        })
        .await
        .map_err(outdated)?;
    match made {
        Made::Done => {}
        Made::TooMany => {
            let message = Message::new("api_keys.too_many").with("most", most);
            return Err(Invalid::form(message).into());
        }
        Made::NotYours => {
            return Err(Invalid::field("permissions", Message::new("api_keys.not_yours")).into());
        }
    }
    let key = api_key::write(site, &id, &secret);
    Ok((id, key))
}

/// Ends a key. One that is none and one that is another's are answered alike.
async fn end(web: &Web<'_>, caller: &Strong, id: &str) -> Result<(), Error> {
    let (site, user) = (web.site, &caller.user);
    let id = uuid::Uuid::try_parse(id)
        .map_err(|_| Error::NotFound)?
        .to_string();
    let name = {
        let (owner, id) = (user.id.clone(), id.clone());
        site.store
            .read(move |conn| api_keys::name_of(conn, &owner, &id))
            .await?
    };
    let name = name.ok_or(Error::NotFound)?;
    let notice = notices::api_key_revoked(&web.composer(), user, &name)?;
    let (owner, uniquifier) = (user.id.clone(), user.uniquifier.clone());
    let revoked = web
        .change(move |change| {
            users::hold(change, &owner, &uniquifier)?;
            let revoked = change.revoke_api_key(&owner, &id)?;
            if revoked {
                change.mail(&notice)?;
            }
            Ok(revoked)
        })
        .await
        .map_err(outdated)?;
    match revoked {
        true => Ok(()),
        false => Err(Error::NotFound),
    }
}
