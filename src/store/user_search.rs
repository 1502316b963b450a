//! Looking through accounts: search, pages, and one after the other.

use diesel::{dsl::exists, prelude::*};

use super::{
    Conn, Store, StoreError, User,
    roles::checked,
    schema::{roles, user_roles, users},
};
use crate::{identity::text::folded, types::UserId};

/// The most accounts of one page.
const MOST: u16 = 1_000;

/// Which accounts [`Store::search_users`] returns: those that fit all that is asked, in order of creation.
///
/// ```
/// use rocket_security::UserQuery;
/// let query = UserQuery::new().text("ada").role("editor").active(true).limit(20);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct UserQuery {
    text: Option<String>,
    role: Option<String>,
    active: Option<bool>,
    confirmed: Option<bool>,
    after: Option<UserId>,
    limit: u16,
}

impl Default for UserQuery {
    fn default() -> Self {
        Self::new()
    }
}

impl UserQuery {
    /// All accounts, 100 a page.
    pub const fn new() -> Self {
        Self {
            text: None,
            role: None,
            active: None,
            confirmed: None,
            after: None,
            limit: 100,
        }
    }

    /// Only accounts with `text` anywhere in the e-mail address or the username, in whatever case. All rows are looked
    /// at: this is for pages of administrators.
    pub fn text(mut self, text: &str) -> Self {
        self.text = Some(text.trim().to_string()).filter(|text| !text.is_empty());
        self
    }

    /// Only accounts that have this role.
    pub fn role(mut self, role: &str) -> Self {
        self.role = Some(role.to_string());
        self
    }

    /// Only accounts that may be used, or only those that may not.
    pub const fn active(mut self, active: bool) -> Self {
        self.active = Some(active);
        self
    }

    /// Only accounts whose address is proven, or only those whose address is not.
    pub const fn confirmed(mut self, confirmed: bool) -> Self {
        self.confirmed = Some(confirmed);
        self
    }

    /// Only accounts that were made after this one, which may be gone since: the next page begins here.
    pub fn after(mut self, last: &UserId) -> Self {
        self.after = Some(last.clone());
        self
    }

    /// How many accounts at most, from 1 to 1,000.
    pub const fn limit(mut self, limit: u16) -> Self {
        self.limit = match limit {
            0 => 1,
            MOST.. => MOST,
            limit => limit,
        };
        self
    }

    fn load(&self, conn: &mut Conn) -> Result<Vec<User>, StoreError> {
        let mut query = users::table
            .select(User::as_select())
            .order(users::id)
            .limit(i64::from(self.limit))
            .into_boxed();
        if let Some(after) = &self.after {
            query = query.filter(users::id.gt(after));
        }
        if let Some(active) = self.active {
            query = query.filter(users::active.eq(active));
        }
        query = match self.confirmed {
            Some(true) => query.filter(users::confirmed_at.is_not_null()),
            Some(false) => query.filter(users::confirmed_at.is_null()),
            None => query,
        };
        if let Some(text) = &self.text {
            let pattern = pattern(text);
            query = query.filter(
                users::email_key
                    .like(pattern.clone())
                    .escape(ESCAPE)
                    .or(users::username_key
                        .assume_not_null()
                        .like(pattern)
                        .escape(ESCAPE)),
            );
        }
        if let Some(role) = &self.role {
            if checked(role).is_err() {
                return Ok(Vec::new());
            }
            query = query.filter(exists(
                user_roles::table
                    .inner_join(roles::table)
                    .filter(user_roles::user_id.eq(users::id))
                    .filter(roles::name.eq(role)),
            ));
        }
        Ok(query.load(conn)?)
    }
}

/// The backslash means something in the texts of MySQL.
const ESCAPE: char = '!';

/// `text` anywhere, with what means something in a pattern taken as it is.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in folded(text).chars() {
        if matches!(c, '%' | '_' | ESCAPE) {
            pattern.push(ESCAPE);
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

impl Store {
    /// A page of the accounts that `query` describes, in order of creation.
    ///
    /// ```
    /// # use rocket_security::{Store, StoreError, UserQuery};
    /// # async fn page(store: &Store) -> Result<(), StoreError> {
    /// let query = UserQuery::new().text("@example.com").limit(50);
    /// let page = store.search_users(&query).await?;
    /// let next = match page.last() {
    ///     Some(last) => store.search_users(&query.after(&last.id)).await?,
    ///     None => Vec::new(),
    /// };
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn search_users(&self, query: &UserQuery) -> Result<Vec<User>, StoreError> {
        let query = query.clone();
        self.read(move |conn| query.load(conn)).await
    }

    /// All accounts that `query` describes, page after page, without more than one page in memory.
    ///
    /// ```
    /// # use rocket_security::{Store, StoreError, UserQuery};
    /// # async fn all(store: &Store) -> Result<(), StoreError> {
    /// let mut pages = store.user_pages(UserQuery::new().confirmed(false));
    /// while let Some(page) = pages.next().await? {
    ///     for user in page {
    ///         println!("{}", user.email);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn user_pages(&self, query: UserQuery) -> UserPages<'_> {
        UserPages {
            store: self,
            query: Some(query),
        }
    }
}

/// The pages of [`Store::user_pages`].
#[derive(Debug)]
#[must_use = "ask for the pages by `next`"]
pub struct UserPages<'a> {
    store: &'a Store,
    /// What the next page is asked with; none when there is no further page.
    query: Option<UserQuery>,
}

impl UserPages<'_> {
    /// The next page, which has at least one account; `None` after the last.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]; asking again asks for the same page.
    pub async fn next(&mut self) -> Result<Option<Vec<User>>, StoreError> {
        let Some(query) = &self.query else {
            return Ok(None);
        };
        let page = self.store.search_users(query).await?;
        let is_full = page.len() == usize::from(query.limit);
        let next = page.last().filter(|_| is_full);
        self.query = next.map(|last| query.clone().after(&last.id));
        Ok(Some(page).filter(|page| !page.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_a_pattern_is_taken_as_it_is() {
        assert_eq!(pattern("A_b%!"), "%a!_b!%!!%");
        assert_eq!(UserQuery::new().limit(0).limit, 1);
        assert_eq!(UserQuery::new().limit(u16::MAX).limit, MOST);
        assert_eq!(UserQuery::new().text("  ").text, None);
    }
}
