//! Signing in with what was entered at `/us-signin`.

use super::{
    Sent, SignIn,
    codes::{by_code, code_of},
};
use crate::features::Web;
use crate::{
    error::{Denied, Error, Invalid},
    identity::Identity,
    secrets::{Password, PasswordHash, Verdict},
    settings::SignInMethod,
    signin::{
        admit::{Admission, admit},
        limits::{Buckets, count_failure, refuse_if_locked},
        password::{self, Attempt, Proof},
        ticket::CodeSubject,
    },
    store::{
        StoreError, User,
        factors::{self as rows},
        users::{self},
    },
    types::{Message, Method, Methods},
};

/// Whom somebody means, by whatever of their names.
pub(super) struct Meant {
    pub(super) identity: Identity,
    pub(super) user: Option<User>,
    pub(super) hash: Option<PasswordHash>,
    pub(super) handle: CodeSubject,
}

/// Finds the account by e-mail address, username, or a phone that it signs in with.
pub(super) async fn meant(web: &Web<'_>, typed: &str) -> Result<Meant, Error> {
    let site = web.site;
    let settings = &site.settings;
    if typed.trim().is_empty() {
        return Err(Invalid::field("identity", Message::new("input.required")).into());
    }
    let mut identity = Identity::recognise(typed, &settings.identities, site.usernames.as_ref());
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
        Some(user) => CodeSubject::of_user(&user.id),
        None => CodeSubject::of_identity(site, &identity),
    };
    Ok(Meant {
        identity,
        user,
        hash,
        handle,
    })
}

/// Brings whoever the form names to the gate, by any passcode that is right.
pub(super) async fn sign_in(
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
        let admission = told_of_admission(web, admit(site, user, methods).await)?;
        return Ok((admission, codes, sent));
    }
    let attempt = Attempt {
        buckets,
        client: &web.client,
        before: Methods::default(),
    };
    let judged = password::check_verdict(site, meant.user, hash, verdict, attempt);
    match told_of_admission(web, judged.await)? {
        Proof::Right(admission, buckets) => Ok((admission, buckets, None)),
        Proof::Wrong(password::Wrong::NoAccount) => Err(wrong_of(web, false)),
        Proof::Wrong(_) => Err(wrong_of(web, true)),
    }
}

/// Whether a password can be the passcode.
pub(super) fn takes_passwords(web: &Web<'_>) -> bool {
    let methods = &web.site.settings.unified.methods;
    methods.contains(&SignInMethod::Password)
}

/// The answer to a wrong passcode, of an account or of nobody.
pub(super) fn wrong_of(web: &Web<'_>, is_account: bool) -> Error {
    match (web.site.settings.generic_answers, is_account) {
        (true, _) => rejected(),
        (false, false) => Invalid::field("identity", Message::new("login.unknown")).into(),
        (false, true) => Invalid::field("passcode", Message::new("us.wrong_passcode")).into(),
    }
}

/// One answer for all that is wrong, and for an account that is shut: for sites that do not tell.
pub(super) fn rejected() -> Error {
    Invalid::form(Message::new("us.wrong")).into()
}

pub(super) fn told_of_admission<T>(web: &Web<'_>, answer: Result<T, Error>) -> Result<T, Error> {
    let telling = !web.site.settings.generic_answers;
    let told = |key| Err(Invalid::field("identity", Message::new(key)).into());
    match answer {
        Err(Error::Denied(Denied::Inactive)) if telling => told("login.inactive"),
        Err(Error::Denied(Denied::Unconfirmed)) if telling => told("login.unconfirmed"),
        Err(Error::Denied(Denied::Inactive | Denied::Unconfirmed)) => Err(rejected()),
        answer => answer,
    }
}
