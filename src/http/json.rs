//! JSON objects in which a key stands twice.
//!
//! Most parsers take the last of the two, some the first. So a proxy that checks a body can see something else than
//! the site that gets it.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

/// The key of the outermost object that stands twice, or in whose value one does; `None` where there is none, and for
/// what is not JSON.
pub(crate) fn repeated_key(text: &str) -> Option<String> {
    let keys: Keys = serde_json::from_str(text).ok()?;
    keys.repeated
}

#[derive(Default)]
struct Keys {
    /// The key of the outermost object that stands twice, or in whose value one does.
    repeated: Option<String>,
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Look;
        impl<'de> Visitor<'de> for Look {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_bool<E>(self, _: bool) -> Result<Keys, E> {
                Ok(Keys::default())
            }

            fn visit_i64<E>(self, _: i64) -> Result<Keys, E> {
                Ok(Keys::default())
            }

            fn visit_u64<E>(self, _: u64) -> Result<Keys, E> {
                Ok(Keys::default())
            }

            fn visit_f64<E>(self, _: f64) -> Result<Keys, E> {
                Ok(Keys::default())
            }

            fn visit_str<E>(self, _: &str) -> Result<Keys, E> {
                Ok(Keys::default())
            }

            fn visit_unit<E>(self) -> Result<Keys, E> {
                Ok(Keys::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Keys, A::Error> {
                let mut keys = Keys::default();
                while let Some(one) = seq.next_element::<Keys>()? {
                    keys.repeated = keys.repeated.or(one.repeated);
                }
                Ok(keys)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let (mut seen, mut keys) = (HashSet::new(), Keys::default());
                while let Some((name, value)) = map.next_entry::<String, Keys>()? {
                    if value.repeated.is_some() || seen.contains(&name) {
                        keys.repeated.get_or_insert(name);
                    } else {
                        seen.insert(name);
                    }
                }
                Ok(keys)
            }
        }
        deserializer.deserialize_any(Look)
    }
}
