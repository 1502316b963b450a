//! Pages for visitors, kept as they were rendered.
//!
//! A form that nobody has filled in is the same for all who see it but for its CSRF token. So a page is
//! kept under everything that went into it, token excepted, in the pieces between which the token
//! stands. Only pages that depend on nothing but their context come here: see [`Views`](super::views::Views).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Map, Value};

use crate::secrets::random_token;

/// Pages kept at most; one more, and all are forgotten. A page is a few KiB.
const MOST: usize = 128;
const TOKEN: &str = "csrf_token";

/// The pages that are kept.
pub(crate) struct Rendered {
    /// Is rendered in place of the token. Random, so that no value on a page can be taken for it.
    stand_in: String,
    pages: Mutex<HashMap<Key, Arc<[String]>>>,
}

/// All that a page depends on.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    language: String,
    name: String,
    context: Map<String, Value>,
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

    /// The page with the token of `context`: one that is kept, or else the work of `render`.
    pub(crate) fn page(
        &self,
        language: &str,
        name: &str,
        mut context: Map<String, Value>,
        render: impl FnOnce(&Map<String, Value>) -> Result<String, String>,
    ) -> Result<String, String> {
        let token = context.remove(TOKEN);
        let token = token.as_ref().and_then(Value::as_str).unwrap_or_default();
        let key = Key {
            language: language.into(),
            name: name.into(),
            context,
        };
        let kept = self.lock().get(&key).cloned();
        if let Some(pieces) = kept {
            return Ok(pieces.join(token));
        }
        let mut context = key.context.clone();
        context.insert(TOKEN.into(), self.stand_in.as_str().into());
        let pieces: Arc<[String]> = render(&context)?
            .split(&self.stand_in)
            .map(String::from)
            .collect();
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
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::Cell;

    use serde_json::json;

    use super::*;

    fn context(token: &str, next: &str) -> Map<String, Value> {
        let Value::Object(context) = json!({"csrf_token": token, "next": next}) else {
            unreachable!()
        };
        context
    }

    #[test]
    fn a_page_is_rendered_once_and_carries_each_visitors_token() {
        let (rendered, times) = (Rendered::new().unwrap(), Cell::new(0));
        let page = |token: &str, next: &str| {
            let render = |context: &Map<String, Value>| {
                times.set(times.get() + 1);
                let text = |key: &str| context[key].as_str().unwrap().to_string();
                Ok(format!("<{0}|{1}|{0}>", text("csrf_token"), text("next")))
            };
            rendered
                .page("en", "page", context(token, next), render)
                .unwrap()
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
            let page = rendered.page("en", "page", context("t", &number.to_string()), |_| {
                Ok(String::new())
            });
            assert_eq!(page.unwrap(), "");
        }
        assert!(rendered.lock().len() <= MOST);
    }

    #[test]
    fn a_failure_is_not_kept() {
        let rendered = Rendered::new().unwrap();
        let failed = rendered.page("en", "page", context("t", "/"), |_| Err("broken".into()));
        assert_eq!(failed, Err("broken".into()));
        assert!(rendered.lock().is_empty());
    }
}
