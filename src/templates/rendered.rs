//! Pages for visitors, kept as they were rendered.
//!
//! A form that nobody has filled in is the same for all who see it but for its CSRF token. So a page is
//! kept under all that went into it, token excepted, in the pieces between which the token stands; what
//! would have to be put together for its template need not be. Only pages that depend on nothing else
//! come here: see [`Views::rendered`](crate::templates::views::Views::rendered).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Map, Value};

use crate::{secrets::random_token, templates::form::FormView};

/// Pages kept at most; one more, and all are forgotten. A page is a few KiB.
const MOST: usize = 128;

/// The pages that are kept.
pub(crate) struct Rendered {
    /// Is rendered in place of the token. Random, so that no value on a page can be taken for it.
    stand_in: String,
    pages: Mutex<HashMap<Key, Arc<[String]>>>,
}

/// All that a page depends on, beside its token and what is fixed at launch.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) language: String,
    pub(crate) name: &'static str,
    pub(crate) path: String,
    pub(crate) form: Option<FormView>,
    pub(crate) own: Map<String, Value>,
}

impl Rendered {
    /// Nothing yet; `None` without randomness.
    pub(crate) fn new() -> Option<Self> {
        let stand_in = random_token().ok()?.expose().clone();
        Some(Self {
            stand_in,
            pages: Mutex::default(),
        })
    }

    /// The page with `token` in it: one that is kept, or else what `render` makes with another token.
    pub(crate) fn page<E>(
        &self,
        key: Key,
        token: &str,
        render: impl FnOnce(&Key, &str) -> Result<String, E>,
    ) -> Result<String, E> {
        let kept = self.lock().get(&key).cloned();
        if let Some(pieces) = kept {
            return Ok(pieces.join(token));
        }
        let html = render(&key, &self.stand_in)?;
        let pieces: Arc<[String]> = html.split(&self.stand_in).map(String::from).collect();
        let page = pieces.join(token);
        let mut pages = self.lock();
        if pages.len() >= MOST {
            pages.clear();
        }
        pages.insert(key, pieces);
        Ok(page)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<[String]>>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use crate::templates::rendered::*;

    fn key(path: &str) -> Key {
        Key {
            language: "en".into(),
            name: "page",
            path: path.into(),
            form: None,
            own: Map::new(),
        }
    }

    #[test]
    fn a_page_is_rendered_once_and_carries_each_visitors_token() {
        let (rendered, times) = (Rendered::new().unwrap(), Cell::new(0));
        let page = |token: &str, path: &str| {
            let render = |key: &Key, token: &str| {
                times.set(times.get() + 1);
                Ok::<_, ()>(format!("<{token}|{}|{token}>", key.path))
            };
            rendered.page(key(path), token, render).unwrap()
        };
        assert_eq!(page("one", "/a"), "<one|/a|one>");
        assert_eq!(page("two", "/a"), "<two|/a|two>");
        assert_eq!(times.get(), 1);
        assert_eq!(page("two", "/b"), "<two|/b|two>");
        assert_eq!(times.get(), 2);
    }

    #[test]
    fn what_visitors_ask_for_does_not_pile_up() {
        let rendered = Rendered::new().unwrap();
        for number in 0..3 * MOST {
            let page = rendered.page(key(&number.to_string()), "t", |_, _| {
                Ok::<_, ()>("text".into())
            });
            assert_eq!(page.unwrap(), "text");
        }
        assert!(rendered.lock().len() <= MOST);
    }

    #[test]
    fn a_failure_is_not_kept() {
        let rendered = Rendered::new().unwrap();
        assert_eq!(
            rendered.page(key("/"), "t", |_, _| Err("broken")),
            Err("broken")
        );
        assert!(rendered.lock().is_empty());
    }
}
