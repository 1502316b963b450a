//! Built-in templates by value, so that none is named that is not there.

/// A built-in template, which `template!` reads from its file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Template {
    /// The name that Tera and the application's files have for it.
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
}

/// The two templates of a mail, which `mail!` reads from their files.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct MailTemplate {
    /// The mail's name: its subject is the message `mail.<name>.subject`.
    pub(crate) name: &'static str,
    pub(crate) html: Template,
    pub(crate) text: Template,
}

/// Returns the template of the file `templates/security/<path>`.
macro_rules! template {
    ($path:literal) => {
        $crate::templates::Template {
            name: concat!("security/", $path),
            text: include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/templates/security/",
                $path
            )),
        }
    };
}
pub(crate) use template;

/// Returns the mail of the files `templates/security/<folder>/<name>.mail.{html,txt}`.
macro_rules! mail {
    ($folder:literal, $name:literal) => {
        $crate::templates::MailTemplate {
            name: $name,
            html: $crate::templates::mail!(@part $folder, $name, ".mail.html"),
            text: $crate::templates::mail!(@part $folder, $name, ".mail.txt"),
        }
    };
    (@part $folder:literal, $name:literal, $end:literal) => {
        $crate::templates::Template {
            name: concat!("security/", $folder, "/", $name, $end),
            text: include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/templates/security/",
                $folder,
                "/",
                $name,
                $end
            )),
        }
    };
}
pub(crate) use mail;
