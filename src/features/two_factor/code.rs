//! A code as programs send it.

use serde::{Deserialize, Deserializer};

/// A code as programs send it: a text, or a number that has lost its leading zeros.
#[derive(Clone, Debug, Default)]
pub(crate) struct Code(pub(crate) String);

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Code;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a code")
            }

            fn visit_str<E>(self, text: &str) -> Result<Code, E> {
                Ok(Code(text.into()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Code, E> {
                Ok(Code(format!("{number:06}")))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
