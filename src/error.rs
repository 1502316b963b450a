//! Which error goes where.
//!
//! * [`Invalid`]: what somebody typed is not good. It belongs to fields, is shown beside them, and costs
//!   nobody anything: 400 in JSON, the form again in HTML.
//! * [`Denied`]: who somebody is, or what they may do, is not enough. It travels from a guard to the
//!   catcher through the request, and says which way is open (sign in, prove it again, wait).
//! * [`Error`]: what a service function answers: one of the two above, or that the machinery could not
//!   do its work ([`Error::Unavailable`]: 503 with `Retry-After`; [`Error::Broken`]: 500 and a log line,
//!   a defect by definition).
//! * [`StoreError`](crate::StoreError), [`HashError`](crate::secrets::HashError): one layer each; `?`
//!   turns them into an [`Error`]. No layer ever reads a failure as "nobody" or "nothing".

use std::{collections::BTreeMap, fmt};

use crate::{
    secrets::{HashError, PolicyError},
    store::{StoreError, Unique},
    types::{Message, Timestamp},
};

/// What is wrong with the values of a form, by field; the empty name is the form as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invalid {
    fields: BTreeMap<String, Vec<Message>>,
    is_unconfirmed: bool,
}

impl Invalid {
    /// Nothing wrong yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One thing wrong with `field`.
    pub fn field(field: &str, message: Message) -> Self {
        let mut invalid = Self::default();
        invalid.add(field, message);
        invalid
    }

    /// One thing wrong with the form as a whole.
    pub fn form(message: Message) -> Self {
        Self::field("", message)
    }

    /// The address of the account is not confirmed. The page links to where it can be.
    pub(crate) fn unconfirmed() -> Self {
        Self {
            is_unconfirmed: true,
            ..Self::form(Message::new("login.unconfirmed"))
        }
    }

    /// Whether a confirmed address would put it right.
    pub(crate) fn is_unconfirmed(&self) -> bool {
        self.is_unconfirmed
    }

    /// The same for a form that has another name for the field `from`.
    pub(crate) fn renamed(mut self, from: &str, to: &str) -> Self {
        if let Some(messages) = self.fields.remove(from) {
            self.fields.entry(to.into()).or_default().extend(messages);
        }
        self
    }

    /// Adds something wrong with `field`.
    pub fn add(&mut self, field: &str, message: Message) {
        self.fields
            .entry(field.to_string())
            .or_default()
            .push(message);
    }

    /// Keeps the value of a check, or notes what is wrong with `field`.
    pub fn take<T>(&mut self, field: &str, checked: Result<T, Message>) -> Option<T> {
        checked.map_err(|message| self.add(field, message)).ok()
    }

    /// Keeps the value, or notes everything that was found wrong; any other error goes on.
    pub(crate) fn absorb<T>(&mut self, checked: Result<T, Error>) -> Result<Option<T>, Error> {
        match checked {
            Ok(value) => Ok(Some(value)),
            Err(Error::Invalid(wrong)) => {
                self.is_unconfirmed |= wrong.is_unconfirmed;
                for (field, messages) in wrong.fields {
                    self.fields.entry(field).or_default().extend(messages);
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// What is wrong, by field.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[Message])> {
        self.fields
            .iter()
            .map(|(name, messages)| (name.as_str(), messages.as_slice()))
    }

    /// What is wrong with one field.
    pub fn of(&self, field: &str) -> &[Message] {
        self.fields.get(field).map_or(&[], Vec::as_slice)
    }

    /// `Ok` if nothing is wrong.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with everything that is.
    pub fn into_result(self) -> Result<(), Error> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Error::Invalid(self))
        }
    }
}

impl From<validator::ValidationErrors> for Invalid {
    fn from(errors: validator::ValidationErrors) -> Self {
        let mut invalid = Self::default();
        for (field, errors) in errors.field_errors() {
            for error in errors {
                let mut message = match &error.message {
                    Some(text) => Message::new("input.application").with("text", text),
                    None => Message::new(format!("input.{}", error.code)),
                };
                for (name, value) in &error.params {
                    for known in ["min", "max"] {
                        if name == known {
                            message = message.with(known, value);
                        }
                    }
                }
                invalid.add(&field, message);
            }
        }
        invalid
    }
}

/// Why somebody is not let in or not let do something.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denied {
    /// Nothing that says who it is.
    Anonymous,
    /// Something that says who it is, but not, or no longer, truly.
    BadCredential,
    /// The account is shut out.
    Inactive,
    /// The address was not confirmed in time.
    Unconfirmed,
    /// A new password must be chosen first.
    NewPassword,
    /// Proven, but in a way that this route does not take.
    Mechanism,
    /// A role or permission is missing.
    Forbidden,
    /// Two factors are asked for and only one was shown.
    SecondFactor,
    /// The last proof is too long ago.
    Stale,
    /// The request does not come from our own page.
    Csrf,
    /// Too many failures; nobody is let try before then.
    Locked {
        /// The end of the lock.
        until: Timestamp,
        /// Seconds until then, for `Retry-After`.
        retry_after: u64,
    },
    /// For visitors only, and this one is signed in.
    SignedIn,
}

impl Denied {
    /// The text that says it to people. Why a credential is bad is nobody's business.
    pub fn message(&self) -> Message {
        Message::new(match self {
            Self::Anonymous | Self::BadCredential | Self::Inactive | Self::Mechanism => {
                "denied.unauthenticated"
            }
            Self::Unconfirmed => "denied.unconfirmed",
            Self::NewPassword => "denied.new_password",
            Self::Forbidden => "denied.forbidden",
            Self::SecondFactor => "denied.second_factor",
            Self::Stale => "denied.stale",
            Self::Csrf => "denied.csrf",
            Self::SignedIn => "denied.signed_in",
            Self::Locked { retry_after, .. } => {
                return Message::new("denied.locked").with("minutes", retry_after.div_ceil(60));
            }
        })
    }
}

/// Why a request could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreadable {
    /// The body, or what else the request must have, is not what it must be: 400.
    Malformed,
    /// The request failed before a handler saw it, and nothing more is known: 400.
    Unknown,
    /// The path has no route for the method: 405.
    WrongMethod,
    /// The body did not arrive in time: 408.
    TooSlow,
    /// The body is larger than the limit: 413.
    TooLarge,
    /// The body is of a type that is not accepted: 415.
    UnsupportedType,
}

/// What a service function answers when it does not do what was asked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// Values to be put right.
    Invalid(Invalid),
    /// Not this person, or not now.
    Denied(Denied),
    /// The link or code was used before, or has expired: 400.
    Gone,
    /// No sign-in waits for its second step here: 400.
    NothingPending,
    /// The machinery cannot do it now: 503.
    Unavailable {
        /// Seconds after which to try again.
        retry_after: u64,
        /// For the log, never for the client.
        why: String,
    },
    /// There is nothing there, or nothing for you: 404.
    NotFound,
    /// The request could not be read.
    Unreadable(Unreadable, Message),
    /// A defect: 500, and a line in the log.
    Broken(String),
}

impl Error {
    /// Returns [`Gone`](Self::Gone) and [`NothingPending`](Self::NothingPending) as what is wrong with a form, for
    /// where a page or a program is told of it.
    pub(crate) fn for_form(self) -> Self {
        let key = match self {
            Self::Gone => "ticket.invalid",
            Self::NothingPending => "tf.no_pending",
            error => return error,
        };
        Invalid::form(Message::new(key)).into()
    }

    /// Something that this depends on does not answer.
    #[cfg(feature = "social")]
    pub(crate) fn unavailable(why: &str) -> Self {
        Self::Unavailable {
            retry_after: 10,
            why: why.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(_) => f.write_str("invalid input"),
            Self::Denied(denied) => write!(f, "denied: {denied:?}"),
            Self::Gone => f.write_str("used before, or expired"),
            Self::NothingPending => f.write_str("no second step is pending"),
            Self::Unavailable { why, .. } => write!(f, "unavailable: {why}"),
            Self::NotFound => f.write_str("not found"),
            Self::Unreadable(why, message) => write!(f, "unreadable: {why:?}: {}", message.key()),
            Self::Broken(why) => write!(f, "broken: {why}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(why) => Self::Unavailable {
                retry_after: 5,
                why,
            },
            StoreError::Missing => Self::NotFound,
            // What a hook of the application says to whoever filled in the form.
            StoreError::Refused(why) => {
                Invalid::form(Message::new("input.application").with("text", why)).into()
            }
            StoreError::Taken(Unique::Email) => {
                Invalid::field("email", Message::new("email.taken")).into()
            }
            StoreError::Taken(Unique::Username) => {
                Invalid::field("username", Message::new("username.taken")).into()
            }
            StoreError::TakenByApplication => Invalid::form(Message::new("input.taken")).into(),
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<HashError> for Error {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Overloaded => Self::Unavailable {
                retry_after: 10,
                why: error.to_string(),
            },
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<PolicyError> for Error {
    fn from(error: PolicyError) -> Self {
        Self::Unavailable {
            retry_after: 10,
            why: error.to_string(),
        }
    }
}

impl From<getrandom::Error> for Error {
    fn from(error: getrandom::Error) -> Self {
        Self::Unavailable {
            retry_after: 10,
            why: format!("no randomness: {error}"),
        }
    }
}
