//! The running state behind the fairing: the core, and what answers add to it.

use std::{fmt, ops::Deref, sync::Arc};

use rocket::{Request, http::uri::Origin};

use super::{feature::Feature, hooks::Hooks};
use crate::{core::Core, error::Error};

/// The running state behind the fairing. It reads as the [`Core`] that it adds to.
pub(crate) struct Site {
    pub(crate) core: Arc<Core>,
    pub(crate) hooks: Hooks,
    /// The features that are on.
    pub(crate) features: Vec<&'static Feature>,
}

impl Deref for Site {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

impl Site {
    /// The site of this request.
    pub(crate) fn of<'r>(request: &'r Request<'_>) -> Result<&'r Self, Error> {
        let site = request.rocket().state::<Arc<Self>>().map(Arc::as_ref);
        site.ok_or_else(|| Error::Broken("`Security` is not attached".into()))
    }

    /// The features that are on.
    pub(crate) fn features(&self) -> impl Iterator<Item = &'static Feature> {
        self.features.iter().copied()
    }
}

/// The path and query of a request as one text.
pub(crate) fn path_and_query(origin: &Origin<'_>) -> String {
    match origin.query() {
        Some(query) => format!("{}?{query}", origin.path()),
        None => origin.path().to_string(),
    }
}
