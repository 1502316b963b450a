//! Who asks: found once a request, however many guards want to know.

use std::sync::Arc;

use rocket::Request;

use crate::{
    core::Core,
    error::{Denied, Error},
    events::EventKind,
    http::{browser::Browser, client::ClientInfo, cookies::Kind},
    identity::Identity,
    secrets::{Password, digest},
    signin::{
        admit::{Admission, authenticated},
        api_key,
        caller::{Caller, Mechanism},
        password::{Proof, prove},
        remember, session, token,
    },
    store::Grants,
    types::Timestamp,
};

/// What came of asking.
pub(crate) type Resolved = Result<Arc<Caller>, Error>;

impl Core {
    /// The core behind this request.
    pub(crate) fn of<'r>(request: &'r Request<'_>) -> Result<&'r Self, Error> {
        let core = request.rocket().state::<Arc<Self>>().map(Arc::as_ref);
        core.ok_or_else(|| Error::Broken("`Security` is not attached".into()))
    }
}

/// The token of a request by header.
fn token_header<'r>(request: &'r Request<'_>) -> Option<&'r str> {
    if let Some(token) = request.headers().get_one("Authentication-Token") {
        return Some(token.trim());
    }
    authorization(request, "bearer")
}

/// What follows the scheme in `Authorization`; an empty text if nothing does.
fn authorization<'r>(request: &'r Request<'_>, scheme: &str) -> Option<&'r str> {
    let header = request.headers().get_one("Authorization")?.trim();
    let (name, rest) = header
        .split_once(char::is_whitespace)
        .unwrap_or((header, ""));
    name.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

pub(crate) fn has_token_header(request: &Request<'_>) -> bool {
    token_header(request).is_some()
}

/// The token of a request in its query, where the settings take it from there.
fn token_in_query<'r>(request: &'r Request<'_>, core: &Core) -> Option<&'r str> {
    if !core.settings.tokens.in_query {
        return None;
    }
    let mut fields = request.uri().query()?.segments();
    fields.find_map(|(name, value)| (name == "auth_token").then_some(value))
}

/// Whether the request shows a token or key, which only programs do.
pub(crate) fn shows_token(request: &Request<'_>, core: &Core) -> bool {
    has_token_header(request) || token_in_query(request, core).is_some()
}

pub(crate) fn has_basic(request: &Request<'_>) -> bool {
    authorization(request, "basic").is_some()
}

/// Marks a request that only Basic lets in.
struct OnlyBasic(std::sync::atomic::AtomicBool);

fn only_basic<'r>(request: &'r Request<'_>) -> &'r std::sync::atomic::AtomicBool {
    &request.local_cache(|| OnlyBasic(false.into())).0
}

/// Notes that the route takes nothing but Basic.
pub(crate) fn note_only_basic(request: &Request<'_>) {
    only_basic(request).store(true, std::sync::atomic::Ordering::Relaxed);
}

/// Whether a browser that is refused is asked by Basic instead of sent to the sign-in page.
pub(crate) fn asks_by_basic(request: &Request<'_>) -> bool {
    has_basic(request) || only_basic(request).load(std::sync::atomic::Ordering::Relaxed)
}

/// The answer that is there already, without asking anybody: for pages.
pub(crate) fn known<'r>(request: &'r Request<'_>) -> Option<&'r Arc<Caller>> {
    // The two sorts of callers are kept apart by type, since `local_cache` keeps one value a type.
    let nobody = || Err(Denied::Anonymous.into());
    let usual = request.local_cache(|| Usual(nobody())).0.as_ref();
    usual
        .or_else(|_| request.local_cache(|| ByBasic(nobody())).0.as_ref())
        .ok()
}

struct Usual(Resolved);
struct ByBasic(Resolved);
struct ByKey(Resolved);

/// Who asks, by token, else by session, else by a remembered device.
pub(crate) async fn resolve<'r>(request: &'r Request<'_>) -> &'r Resolved {
    &request
        .local_cache_async(async { Usual(find(request).await.map(Arc::new)) })
        .await
        .0
}

/// Who asks, Basic included.
pub(crate) async fn resolve_with_basic<'r>(request: &'r Request<'_>) -> &'r Resolved {
    let usual = resolve(request).await;
    match usual {
        Err(Error::Denied(_)) if has_basic(request) && !has_token_header(request) => {
            &request
                .local_cache_async(async { ByBasic(find_basic(request).await.map(Arc::new)) })
                .await
                .0
        }
        _ => usual,
    }
}

/// The API key of a request by header.
fn key_header<'r>(request: &'r Request<'_>, core: &Core) -> Option<&'r str> {
    token_header(request).filter(|shown| api_key::is_meant(core, shown))
}

/// Who asks by API key, and nobody who asks otherwise. Only routes that take keys ask this, so that to all
/// others whoever shows one is nobody.
pub(crate) async fn resolve_by_key<'r>(
    request: &'r Request<'_>,
    core: &Core,
) -> Option<&'r Resolved> {
    let shown = key_header(request, core)?;
    let found = request.local_cache_async(async {
        let from = || ClientInfo::of(request, &core.http).client.address;
        ByKey(api_key::resolve(core, shown, from).await.map(Arc::new))
    });
    Some(&found.await.0)
}

/// Whether the request authenticates by a header that no browser sends by itself: a token or an API key.
///
/// A page of another site cannot set these headers without a preflight, which is never granted. Nor does one of
/// junk help: then the cookies are what somebody else's page would be after.
pub(crate) async fn shows_own_header(request: &Request<'_>, core: &Core) -> bool {
    if has_token_header(request)
        && matches!(resolve(request).await, Ok(caller) if caller.mechanism == Mechanism::Token)
    {
        return true;
    }
    matches!(resolve_by_key(request, core).await, Some(Ok(_)))
}

async fn find(request: &Request<'_>) -> Result<Caller, Error> {
    let core = Core::of(request)?;
    // A request is judged as exactly one mechanism: a bad token does not fall back to the session.
    let shown = token_header(request).or_else(|| token_in_query(request, core));
    if let Some(token) = shown {
        let (row, user) = token::resolve(core, token).await?;
        return Ok(Caller {
            user,
            mechanism: Mechanism::Token,
            methods: row.methods,
            authenticated_at: row.authenticated_at,
            grace_until: Timestamp::from_millis(0),
            session: None,
            token: Some(digest(token)),
            key: None,
        });
    }
    let browser = Browser::of(request, &core.http);
    if let Some(cookie) = browser.cookie(Kind::Session)
        && let Some(caller) = session::resolve(core, cookie).await?
    {
        return Ok(caller);
    }
    if let Some(cookie) = browser.cookie(Kind::Remember) {
        let client = ClientInfo::of(request, &core.http);
        if let Some(caller) = remember::restore(browser, core, &client, cookie).await? {
            return Ok(caller);
        }
    }
    Err(Denied::Anonymous.into())
}

async fn find_basic(request: &Request<'_>) -> Result<Caller, Error> {
    let core = Core::of(request)?;
    let client = ClientInfo::of(request, &core.http);
    let bad = || Error::from(Denied::BadCredential);
    let encoded = authorization(request, "basic").unwrap_or_default();
    // Longer than any identity and password that we take.
    if encoded.len() > 8_192 {
        return Err(bad());
    }
    let decoded = data_encoding::BASE64
        .decode(encoded.as_bytes())
        .map_err(|_| bad())?;
    let text = zeroize::Zeroizing::new(String::from_utf8(decoded).map_err(|_| bad())?);
    let (identity, password) = text.split_once(':').ok_or_else(bad)?;
    let password = Password::parse(password).map_err(|_| bad())?;
    let identity =
        Identity::recognise(identity, &core.settings.identities, core.usernames.as_ref());
    let proof = match prove(core, identity, &password, &client).await {
        // Why is told where answers tell.
        Err(Error::Denied(Denied::Inactive | Denied::Unconfirmed))
            if core.settings.generic_answers =>
        {
            return Err(bad());
        }
        proof => proof?,
    };
    match proof {
        Proof::Right(Admission::In(admitted), _) => {
            core.event(&client.client, authenticated(&admitted, None));
            Ok(Caller {
                user: admitted.user().clone(),
                mechanism: Mechanism::Basic,
                methods: admitted.methods(),
                authenticated_at: admitted.proven_at(),
                grace_until: Timestamp::from_millis(0),
                session: None,
                token: None,
                key: None,
            })
        }
        // Basic cannot answer a further question.
        Proof::Right(Admission::Challenge(_), _) | Proof::Wrong(_) => Err(bad()),
    }
}

/// Roles and permissions of the caller, asked for once and only where a policy wants them.
pub(crate) async fn grants<'r>(
    request: &'r Request<'_>,
    caller: &Caller,
) -> Result<&'r Grants, Error> {
    let loaded: &Result<Grants, Error> = request
        .local_cache_async(async {
            let core = Core::of(request)?;
            let grants = core.store.grants(&caller.user.id).await?;
            Ok(match &caller.key {
                Some(key) => key.narrow(grants),
                None => grants,
            })
        })
        .await;
    loaded.as_ref().map_err(Clone::clone)
}

/// Tells subscribers that a guard found nobody.
pub(crate) fn announce_unauthenticated(request: &Request<'_>, core: &Core) {
    if core.notify.events.has_subscribers() {
        let client = ClientInfo::of(request, &core.http);
        let path = request.uri().path().to_string();
        core.event(&client.client, EventKind::Unauthenticated { path });
    }
}
