//! What ends with what: the one place where sign-ins end, with all that hangs on them.
//!
//! A session, its remembered device, and what was given or begun in it are one sign-in. Its parts name it by the
//! digests of what the browser's two cookies hold, so that they are found also when the session has run out.
//! [`Ending::takes`] is the table; [`end`] carries it out in the caller's transaction.

use diesel::prelude::*;

use super::{
    Conn, StoreError, api_keys, families,
    schema::{
        security_devices as devices, security_refresh_families as refresh,
        security_remember as remember, security_sessions as sessions, security_tickets as tickets,
        security_tokens as tokens, users,
    },
    sign_in::SignIn,
    tickets::{NOTICED, SECOND_STEP, UNDO},
};
use crate::types::{Uniquifier, UserId};

/// Why something ends, and whose.
#[derive(Clone, Debug)]
pub(crate) enum Ending {
    /// Somebody signs out, or signs in anew in the same browser.
    SignOut(SignIn),
    /// An account has too many sessions, and this is the oldest. The device that it comes from may open another.
    Crowded(SignIn),
    /// An owner ends one of the sessions in the list.
    RevokeOne(SignIn),
    /// An old copy of a remembered device's cookie came back.
    CopiedRememberCookie(SignIn),
    /// An old copy of a refresh token came back.
    CopiedRefreshToken(SignIn),
    /// An owner signs out everywhere else.
    RevokeOthers { user: UserId, keep: SignIn },
    /// Every sign-in of an account.
    Everywhere { user: UserId, tokens: bool },
    /// A new password.
    NewPassword {
        user: UserId,
        tokens: bool,
        api_keys: bool,
    },
    /// A new address.
    NewAddress(UserId),
    /// An account goes back to its owner from whoever else may be in it: by the first proof of its address, by
    /// undoing a change, by an administrator.
    Reclaimed(UserId),
    /// An account is shut out, or let in again.
    Deactivation(UserId),
    /// An account is deleted.
    Deletion(UserId),
}

/// How much of one thing an ending takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Empty,
    /// What is of the sign-in that ends.
    Its,
    /// What is of the account, and not of the sign-in that stays.
    Others,
    /// What is of the account.
    All,
}

/// What an ending takes of everything that there is.
#[derive(Clone, Copy, Debug)]
struct Row {
    session: Takes,
    remember: Takes,
    tokens: Takes,
    refresh: Takes,
    /// Tickets that a signed-in caller began: a change of address, the set-up of a factor, a link to a provider.
    begun: Takes,
    /// Sign-ins that wait for their second step.
    second: Takes,
    device: Takes,
    /// Tickets that were mailed on a visitor's word: a link to a new password or to sign in, a confirmation.
    mailed: Takes,
    /// Links of mails about a new sign-in. Nothing that a thief can do to the account ends them.
    noticed: Takes,
    api_keys: Takes,
}

impl Ending {
    /// The table. docs/account-life-cycle.md shows it to people.
    #[rustfmt::skip]
    const fn takes(&self) -> Row {
        use Takes::{All, Its, Empty, Others};
        const fn row(all: [Takes; 10]) -> Row {
            let [session, remember, tokens, refresh, begun, second, device, mailed, noticed, api_keys] = all;
            Row { session, remember, tokens, refresh, begun, second, device, mailed, noticed, api_keys }
        }
        const fn if_set(set: bool) -> Takes {
            if set { All } else { Empty }
        }
        row(match self {
            //                              session  remember tokens   refresh  begun    second   device   mailed   noticed  api_keys
            Self::SignOut(_) =>              [Its,     Its,     Its,     Its,     Its,     Its,     Empty, Empty, Empty, Empty],
            Self::Crowded(_) =>              [Its,     Empty, Its,     Its,     Its,     Its,     Empty, Empty, Empty, Empty],
            Self::RevokeOne(_)
            | Self::CopiedRememberCookie(_)
            | Self::CopiedRefreshToken(_) => [Its,     Its,     Its,     Its,     Its,     Its,     Its,     Empty, Empty, Empty],
            Self::RevokeOthers { .. } =>     [Others,  Others,  Others,  Others,  Others,  Others,  Others,  Empty, Empty, Empty],
            Self::Everywhere { tokens, .. } =>
                                             [All,     All, if_set(*tokens), All, All,     All,     All,     Empty, Empty, Empty],
            Self::NewPassword { tokens, api_keys, .. } =>
                                             [All,     All, if_set(*tokens), All, All,     All,     All,     All,     Empty, if_set(*api_keys)],
            Self::NewAddress(_) =>           [Empty, Empty, Empty, Empty, All,     All,     Empty, All,     Empty, Empty],
            Self::Reclaimed(_)
            | Self::Deactivation(_)
            | Self::Deletion(_) =>           [All,     All,     All,     All,     All,     All,     All,     All,     All,     All],
        })
    }
}

/// Ends what the table says; answers how many sessions that were.
pub(crate) fn end(conn: &mut Conn, ending: &Ending) -> Result<usize, StoreError> {
    let row = ending.takes();
    match ending {
        Ending::SignOut(of)
        | Ending::Crowded(of)
        | Ending::RevokeOne(of)
        | Ending::CopiedRememberCookie(of)
        | Ending::CopiedRefreshToken(of) => end_one(conn, row, of),
        Ending::RevokeOthers { user, keep } => end_others(conn, row, user, keep),
        Ending::Everywhere { user, .. }
        | Ending::NewPassword { user, .. }
        | Ending::NewAddress(user)
        | Ending::Reclaimed(user)
        | Ending::Deactivation(user)
        | Ending::Deletion(user) => end_all(conn, row, user, ending),
    }
}

/// The rows of a table that belong to one of these sessions or remembered devices.
macro_rules! its {
    ($table:ident, $hashes:expr, $series:expr) => {
        $table::table.filter(
            $table::session_hash
                .eq_any($hashes)
                .or($table::remember_series.eq_any($series)),
        )
    };
}

/// The rows of an account in a table that do not belong to the sign-in that stays.
macro_rules! others {
    ($table:ident, $user:expr, $session:expr, $series:expr) => {
        $table::table
            .filter($table::user_id.eq($user))
            .filter(
                $table::session_hash
                    .is_null()
                    .or($table::session_hash.ne($session)),
            )
            .filter(
                $table::remember_series
                    .is_null()
                    .or($table::remember_series.ne($series)),
            )
    };
}

/// Ends one sign-in: the device first, since a session that it opens at this moment holds on to it, then the
/// sessions, which what is given in them holds on to.
fn end_one(conn: &mut Conn, row: Row, of: &SignIn) -> Result<usize, StoreError> {
    let mut series = Vec::from_iter(of.series.clone());
    let mut hashes = Vec::from_iter(of.session.clone());
    if let (Takes::Its, Some(hash)) = (row.remember, &of.session) {
        let known: Option<Option<String>> = sessions::table
            .find(hash)
            .select(sessions::series)
            .get_result(conn)
            .optional()?;
        series.extend(known.flatten());
    }
    if row.remember == Takes::Its {
        diesel::delete(remember::table.filter(remember::series.eq_any(&series))).execute(conn)?;
    }
    let of_series: Vec<String> = sessions::table
        .filter(sessions::series.eq_any(&series))
        .select(sessions::token_hash)
        .load(conn)?;
    hashes.extend(of_series);
    let mut ended = 0;
    if row.session == Takes::Its {
        ended = diesel::delete(sessions::table.filter(sessions::token_hash.eq_any(&hashes)))
            .execute(conn)?;
    }
    if row.refresh == Takes::Its {
        let mut given: Vec<String> = its!(refresh, &hashes, &series)
            .select(refresh::series)
            .load(conn)?;
        given.extend(of.refresh.clone());
        families::end_all(conn, &given)?;
    }
    if row.tokens == Takes::Its {
        diesel::delete(its!(tokens, &hashes, &series)).execute(conn)?;
    }
    // A second step that was begun in a session is one of the tickets that were.
    if row.begun == Takes::Its {
        diesel::delete(its!(tickets, &hashes, &series)).execute(conn)?;
    }
    if let (Takes::Its, Some(pending)) = (row.second, &of.pending) {
        diesel::delete(
            tickets::table
                .filter(tickets::secret_hash.eq(pending))
                .filter(tickets::purpose.eq(SECOND_STEP)),
        )
        .execute(conn)?;
    }
    if row.device == Takes::Its {
        diesel::delete(its!(devices, &hashes, &series)).execute(conn)?;
    }
    Ok(ended)
}

/// No digest is so short.
const NOBODY: &str = "-";

fn end_others(
    conn: &mut Conn,
    row: Row,
    user: &UserId,
    keep: &SignIn,
) -> Result<usize, StoreError> {
    let session = keep.session.as_deref().unwrap_or(NOBODY);
    let series = keep.series.as_deref().unwrap_or(NOBODY);
    if row.remember == Takes::Others {
        diesel::delete(
            remember::table
                .filter(remember::user_id.eq(user))
                .filter(remember::series.ne(series)),
        )
        .execute(conn)?;
    }
    let mut ended = 0;
    if row.session == Takes::Others {
        ended = diesel::delete(
            sessions::table
                .filter(sessions::user_id.eq(user))
                .filter(sessions::token_hash.ne(session)),
        )
        .execute(conn)?;
    }
    if row.refresh == Takes::Others {
        let given: Vec<String> = others!(refresh, user, session, series)
            .select(refresh::series)
            .load(conn)?;
        families::end_all(conn, &given)?;
    }
    if row.tokens == Takes::Others {
        diesel::delete(others!(tokens, user, session, series)).execute(conn)?;
    }
    let tickets = || others!(tickets, user, session, series);
    if row.begun == Takes::Others {
        let begun = tickets()
            .filter(tickets::session_hash.is_not_null())
            .filter(tickets::purpose.ne(SECOND_STEP));
        diesel::delete(begun).execute(conn)?;
    }
    if row.second == Takes::Others {
        diesel::delete(tickets().filter(tickets::purpose.eq(SECOND_STEP))).execute(conn)?;
    }
    if row.device == Takes::Others {
        diesel::delete(others!(devices, user, session, series)).execute(conn)?;
    }
    Ok(ended)
}

fn end_all(conn: &mut Conn, row: Row, user: &UserId, ending: &Ending) -> Result<usize, StoreError> {
    if row.remember == Takes::All {
        diesel::delete(remember::table.filter(remember::user_id.eq(user))).execute(conn)?;
    }
    let mut ended = 0;
    if row.session == Takes::All {
        // A new uniquifier kills at once also what a request in flight is about to insert.
        renew_uniquifier(conn, user)?;
        ended = diesel::delete(sessions::table.filter(sessions::user_id.eq(user))).execute(conn)?;
    }
    if row.refresh == Takes::All {
        families::end_all_of(conn, user)?;
    }
    if row.tokens == Takes::All {
        end_tokens(conn, user)?;
    }
    let of_user = || tickets::table.filter(tickets::user_id.eq(user));
    if row.mailed == Takes::All {
        // With an undo an owner takes back an account on which somebody else has changed the rest.
        let kept = [UNDO, NOTICED];
        diesel::delete(of_user().filter(tickets::purpose.ne_all(kept))).execute(conn)?;
    }
    if row.noticed == Takes::All {
        diesel::delete(of_user().filter(tickets::purpose.eq(NOTICED))).execute(conn)?;
    }
    if row.begun == Takes::All {
        diesel::delete(of_user().filter(tickets::session_hash.is_not_null())).execute(conn)?;
    }
    if row.second == Takes::All {
        diesel::delete(of_user().filter(tickets::purpose.eq(SECOND_STEP))).execute(conn)?;
    }
    if row.device == Takes::All {
        diesel::delete(devices::table.filter(devices::user_id.eq(user))).execute(conn)?;
    }
    if row.api_keys == Takes::All {
        api_keys::delete_all_of(conn, user)?;
    }
    if let Ending::Deletion(_) = ending {
        diesel::delete(of_user()).execute(conn)?;
    }
    Ok(ended)
}

fn renew_uniquifier(conn: &mut Conn, id: &UserId) -> Result<(), StoreError> {
    diesel::update(users::table.find(id))
        .set(users::uniquifier.eq(Uniquifier::new()))
        .execute(conn)?;
    Ok(())
}

/// Ends every authentication token of an account, and every refresh token.
pub(crate) fn end_tokens(conn: &mut Conn, id: &UserId) -> Result<(), StoreError> {
    diesel::update(users::table.find(id))
        .set(users::token_uniquifier.eq(Uniquifier::new()))
        .execute(conn)?;
    diesel::delete(tokens::table.filter(tokens::user_id.eq(id))).execute(conn)?;
    families::end_all_of(conn, id)
}
