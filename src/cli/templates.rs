//! `templates`: the built-in pages, mails and texts, as files to be edited.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use rocket::{Build, Rocket};
use serde_json::{Value, json};

use super::{
    failure::Failure,
    out::{Answer, count, table},
};
use crate::{
    fairing::environment::template_dir, features, settings::Settings, templates::catalogue,
};

#[derive(Debug, Subcommand)]
pub(super) enum Templates {
    /// List what is built in, and what the application has a file of its own for.
    List,
    /// Copy one page, or all, to the template folder for editing.
    Copy(Copy),
}

#[derive(Debug, Args)]
pub(super) struct Copy {
    /// Such as `login`, `welcome.mail.txt` or `partials/menu.html`; all if left out.
    page: Option<String>,
    /// The template folder to copy to, instead of the one in the settings.
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
    /// Overwrite files that are there.
    #[arg(long)]
    force: bool,
}

/// A name below the template folder, and a text.
type Page = (&'static str, &'static str);

fn all() -> Vec<Page> {
    let mut pages: Vec<Page> = features::built_in()
        .into_iter()
        .map(|one| (one.name, one.text))
        .collect();
    pages.push(("security/messages/en.toml", catalogue::ENGLISH));
    pages.sort_unstable();
    pages
}

pub(super) fn perform(rocket: &Rocket<Build>, templates: Templates) -> Result<Answer, Failure> {
    match templates {
        Templates::List => list(&folder(rocket)?),
        Templates::Copy(copy) => {
            let to = match &copy.to {
                Some(folder) => folder.clone(),
                None => folder(rocket)?,
            };
            self::copy(&copy, &to)
        }
    }
}

fn folder(rocket: &Rocket<Build>) -> Result<PathBuf, Failure> {
    let settings = Settings::from_figment(rocket.figment())
        .map_err(|error| Failure::new(error.to_string()))?;
    Ok(settings
        .template_dir
        .unwrap_or_else(|| template_dir(rocket.figment())))
}

fn list(folder: &Path) -> Result<Answer, Failure> {
    // As the views take an application's file: by its name, or with `.tera` behind it.
    let own = |name: &str| {
        [name.to_string(), format!("{name}.tera")]
            .into_iter()
            .map(|name| folder.join(name))
            .find(|path| path.is_file())
    };
    let pages = all();
    let found: Vec<(&str, Option<String>)> = pages
        .iter()
        .map(|(name, _)| (*name, own(name).map(|path| path.display().to_string())))
        .collect();
    let rows: Vec<_> = found
        .iter()
        .map(|(name, own)| {
            [
                (*name).to_string(),
                own.clone().unwrap_or_else(|| "-".into()),
            ]
        })
        .collect();
    let json: Vec<Value> = found
        .iter()
        .map(|(name, own)| json!({ "name": name, "file": own }))
        .collect();
    Ok(Answer::new(
        table(["TEMPLATE", "OWN FILE"], &rows),
        json!({ "templates": json }),
    ))
}

/// The ways to name a page, shortest last: with and without folders, and without endings.
fn names(name: &'static str) -> [&'static str; 4] {
    let short = name.strip_prefix("security/").unwrap_or(name);
    let file = short.rsplit('/').next().unwrap_or(short);
    let stem = [".mail.html", ".mail.txt", ".html", ".toml"]
        .iter()
        .find_map(|end| file.strip_suffix(end));
    [name, short, file, stem.unwrap_or(file)]
}

/// The pages of a name; a mail is one of two parts.
fn chosen(asked: &str) -> Result<Vec<Page>, Failure> {
    let pages = all();
    // The longest way of naming that fits decides, so that one file of many can be named.
    for way in 0..4 {
        let fits: Vec<Page> = pages
            .iter()
            .filter(|(name, _)| names(name)[way] == asked)
            .copied()
            .collect();
        if !fits.is_empty() {
            return Ok(fits);
        }
    }
    let known = (0..4)
        .rev()
        .flat_map(|way| pages.iter().map(move |(name, _)| names(name)[way]));
    Err(Failure::unknown("built-in template", asked, known))
}

fn copy(copy: &Copy, to: &Path) -> Result<Answer, Failure> {
    let pages = match &copy.page {
        Some(page) => chosen(page)?,
        None => all(),
    };
    let (mut written, mut kept) = (Vec::new(), Vec::new());
    for (name, text) in pages {
        let path = to.join(name);
        let shown = path.display().to_string();
        match write(&path, text, copy.force) {
            Ok(true) => written.push(shown),
            Ok(false) => kept.push(shown),
            Err(error) => return Err(Failure::new(format!("{shown} cannot be written: {error}"))),
        }
    }
    if written.is_empty() {
        let what = match kept.as_slice() {
            [one] => format!("{one} is there already"),
            all => format!("all {} files are there already", all.len()),
        };
        return Err(Failure::new(format!(
            "{what}, and nothing was written; --force overwrites"
        )));
    }
    let mut text = format!("{} written:\n", count(written.len(), "file", "files"));
    written
        .iter()
        .for_each(|path| text.push_str(&format!("  {path}\n")));
    if !kept.is_empty() {
        text.push_str(&format!(
            "{} there already and kept (--force overwrites):\n",
            count(kept.len(), "file", "files")
        ));
        kept.iter()
            .for_each(|path| text.push_str(&format!("  {path}\n")));
    }
    Ok(Answer::new(
        text,
        json!({ "written": written, "kept": kept }),
    ))
}

/// False if there is a file already, and `force` does not say to overwrite it.
fn write(path: &Path, text: &str, force: bool) -> std::io::Result<bool> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    if force {
        fs::write(path, text)?;
        return Ok(true);
    }
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map(|()| true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_of(asked: &str) -> Vec<&'static str> {
        chosen(asked)
            .unwrap()
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    }

    #[test]
    fn a_page_is_found_by_every_way_of_naming_it() {
        for asked in [
            "security/login/login.html",
            "login/login.html",
            "login.html",
            "login",
        ] {
            assert_eq!(names_of(asked), ["security/login/login.html"]);
        }
        let both = [
            "security/register/welcome.mail.html",
            "security/register/welcome.mail.txt",
        ];
        assert_eq!(names_of("welcome"), both);
        assert_eq!(names_of("welcome.mail.txt"), both[1..]);
        assert_eq!(names_of("en"), ["security/messages/en.toml"]);
    }

    #[test]
    fn an_unknown_page_gets_the_nearest_name() {
        assert!(
            chosen("logn")
                .unwrap_err()
                .text
                .ends_with("did you mean `login`?")
        );
        assert!(chosen("../../etc/passwd").is_err());
    }
}
