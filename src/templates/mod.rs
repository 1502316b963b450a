//! Templates and texts: the engine, the built-in pages and mails, and the catalogue of messages.

pub(crate) mod catalogue;
pub(crate) mod form;
pub(crate) mod rendered;
pub(crate) mod views;

/// A built-in template: its name as Tera knows it, and its text.
macro_rules! template {
    ($path:literal) => {
        (
            concat!("security/", $path),
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/templates/security/",
                $path
            )),
        )
    };
}
pub(crate) use template;
