//! Our own Tera: the built-in templates first, then the application's files over them by name.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error as _,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::SystemTime,
};

use serde_json::{Map, Value};
use tera::{Context, Tera};

use super::{Template, catalogue::Catalogue, rendered::Rendered, template};
use crate::settings::ConfigError;

/// Templates with these ends are escaped. The second is how applications name theirs for Rocket.
const ESCAPED: [&str; 4] = [".html", ".html.tera", ".htm", ".htm.tera"];

/// The application's own filters and functions.
pub(crate) type Extend = Arc<dyn Fn(&mut Tera) + Send + Sync>;

/// The templates, ready to render in each language.
pub(crate) struct Views {
    folder: PathBuf,
    built_in: BuiltIn,
    extend: Vec<Extend>,
    own_messages: Vec<(String, String, String)>,
    loaded: RwLock<Loaded>,
    /// The built-in templates alone, for when an override fails while rendering.
    fallback: HashMap<String, Tera>,
}

struct Loaded {
    catalogue: Arc<Catalogue>,
    engines: HashMap<String, Tera>,
    /// Only where the built-in templates are used as they are: those of others may tell the time, say,
    /// and differ though their context does not.
    rendered: Option<Arc<Rendered>>,
    print: Print,
}

/// Names, times and sizes of the application's files, to see that one was edited.
type Print = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

impl fmt::Debug for Views {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Views")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// Templates that are built in.
pub(crate) type BuiltIn = Vec<Template>;

/// The page of an error.
pub(crate) const ERROR: Template = template!("error.html");

/// The built-in templates that all pages and mails share.
pub(crate) const SHARED: &[Template] = &[
    template!("base.html"),
    ERROR,
    template!("partials/ui.html"),
    template!("partials/menu.html"),
    template!("partials/messages.html"),
    template!("partials/mail.html"),
    template!("partials/mail.txt"),
    template!("partials/mail_request.html"),
    template!("partials/mail_request.txt"),
    template!("partials/mail_was_not_you.html"),
    template!("partials/mail_was_not_you.txt"),
    template!("partials/factor.html"),
];

impl Views {
    /// Loads everything; a file that cannot be parsed stops the launch with its name, line and column.
    pub(crate) fn load(
        folder: PathBuf,
        built_in: BuiltIn,
        extend: Vec<Extend>,
        own_messages: Vec<(String, String, String)>,
    ) -> Result<Self, ConfigError> {
        let loaded = load(&folder, &built_in, &extend, &own_messages)?;
        let mut fallback = HashMap::new();
        for language in loaded.catalogue.languages() {
            fallback.insert(
                language.to_string(),
                engine(&loaded.catalogue, language, &built_in, &extend, &[])?,
            );
        }
        Ok(Self {
            folder,
            built_in,
            extend,
            own_messages,
            loaded: RwLock::new(loaded),
            fallback,
        })
    }

    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        self.loaded
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .catalogue
            .clone()
    }

    /// Takes up edits; in debug builds before every render, so that a page shows them at once.
    fn refresh(&self) {
        if !cfg!(debug_assertions) {
            return;
        }
        let print = print(&self.folder);
        if self
            .loaded
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .print
            == print
        {
            return;
        }
        match load(
            &self.folder,
            &self.built_in,
            &self.extend,
            &self.own_messages,
        ) {
            Ok(loaded) => *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded,
            Err(error) => {
                log::error!("{error}; the templates stay as they were");
                self.loaded
                    .write()
                    .unwrap_or_else(PoisonError::into_inner)
                    .print = print;
            }
        }
    }

    /// Renders a page. An override that fails is logged and the built-in page served in its place.
    pub(crate) fn render(
        &self,
        language: &str,
        name: &str,
        context: &Map<String, Value>,
    ) -> Result<String, String> {
        self.refresh();
        let context =
            Context::from_value(Value::Object(context.clone())).map_err(|error| chain(&error))?;
        let first = {
            let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
            let engine = loaded
                .engines
                .get(language)
                .or_else(|| loaded.engines.get(super::catalogue::FALLBACK));
            engine.map(|engine| engine.render(name, &context))
        };
        match first {
            Some(Ok(text)) => Ok(text),
            Some(Err(error)) => {
                let error = chain(&error);
                log::error!("the template {name} failed: {error}; the built-in one is served");
                self.fallback
                    .get(language)
                    .and_then(|engine| engine.render(name, &context).ok())
                    .ok_or(error)
            }
            None => Err("no engine is loaded".into()),
        }
    }

    /// The pages that are kept; none where templates or functions of the application are used.
    pub(crate) fn rendered(&self) -> Option<Arc<Rendered>> {
        self.refresh();
        self.loaded
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .rendered
            .clone()
    }

    /// Renders without a fallback, for the check at launch.
    pub(crate) fn try_render(
        &self,
        name: &str,
        context: &Map<String, Value>,
    ) -> Result<(), String> {
        let context =
            Context::from_value(Value::Object(context.clone())).map_err(|error| chain(&error))?;
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        for engine in loaded.engines.values() {
            engine
                .render(name, &context)
                .map_err(|error| chain(&error))?;
        }
        Ok(())
    }

    /// Where the application's file for a template is or would be.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn load(
    folder: &Path,
    built_in: &[Template],
    extend: &[Extend],
    own: &[(String, String, String)],
) -> Result<Loaded, ConfigError> {
    let print = print(folder);
    let catalogue = Arc::new(Catalogue::load(&folder.join("security/messages"), own)?);
    let files = files(folder, &print);
    let mut engines = HashMap::new();
    for language in catalogue.languages() {
        engines.insert(
            language.to_string(),
            engine(&catalogue, language, built_in, extend, &files)?,
        );
    }
    let overridden = files.iter().any(|file| is_override(built_in, file));
    let rendered = if extend.is_empty() && !overridden {
        Rendered::new().map(Arc::new)
    } else {
        None
    };
    Ok(Loaded {
        catalogue,
        engines,
        rendered,
        print,
    })
}

/// The built-in templates, parsed once a process: each language has them twice, and each test an application.
fn parsed(built_in: &[Template]) -> Result<&'static Tera, ConfigError> {
    static PARSED: OnceLock<Tera> = OnceLock::new();
    if let Some(tera) = PARSED.get() {
        return Ok(tera);
    }
    let mut tera = Tera::default();
    tera.add_raw_templates(built_in.iter().map(|one| (one.name, one.text)))
        .map_err(|error| ConfigError(chain(&error)))?;
    Ok(PARSED.get_or_init(|| tera))
}

fn engine(
    catalogue: &Arc<Catalogue>,
    language: &str,
    built_in: &[Template],
    extend: &[Extend],
    files: &[(PathBuf, Option<String>)],
) -> Result<Tera, ConfigError> {
    // What the application adds comes first, so that a template of the same name is ours.
    let mut tera = match extend.is_empty() {
        true => parsed(built_in)?.clone(),
        false => Tera::default(),
    };
    tera.autoescape_on(ESCAPED.to_vec());
    tera.register_function(
        "t",
        Translate {
            catalogue: catalogue.clone(),
            language: language.to_string(),
        },
    );
    for extend in extend {
        extend(&mut tera);
    }
    if !extend.is_empty() {
        tera.add_raw_templates(built_in.iter().map(|one| (one.name, one.text)))
            .map_err(|error| ConfigError(chain(&error)))?;
    }
    tera.add_template_files(files.iter().cloned())
        .map_err(|error| ConfigError(format!("a template is broken: {}", chain(&error))))?;
    Ok(tera)
}

/// The application's files: everything in `security/`, and all other `.tera` files, so that one of our
/// pages may extend the application's layout. Names as Rocket's own templates have them.
fn files(folder: &Path, print: &Print) -> Vec<(PathBuf, Option<String>)> {
    print
        .keys()
        .filter_map(|path| {
            let relative = path.strip_prefix(folder).ok()?.to_str()?.replace('\\', "/");
            let name = match relative.strip_suffix(".tera") {
                Some(name) => [".html", ".htm", ".txt", ".xml"]
                    .iter()
                    .find_map(|end| name.strip_suffix(end))
                    .unwrap_or(name)
                    .to_string(),
                None if relative.starts_with("security/") && !relative.ends_with(".toml") => {
                    relative.clone()
                }
                None => return None,
            };
            Some((path.clone(), Some(name)))
        })
        .collect()
}

/// Whether a file takes the place of a built-in template; a copy that was not changed does not.
fn is_override(built_in: &[Template], (path, name): &(PathBuf, Option<String>)) -> bool {
    let Some(name) = name.as_deref().filter(|name| name.starts_with("security/")) else {
        return false;
    };
    let ours = built_in.iter().find(|one| one.name == name);
    ours.is_none_or(|ours| !std::fs::read_to_string(path).is_ok_and(|own| own == ours.text))
}

fn print(folder: &Path) -> Print {
    fn walk(folder: &Path, depth: u8, print: &mut Print) {
        let Ok(entries) = std::fs::read_dir(folder) else {
            return;
        };
        for entry in entries.flatten() {
            let Ok(data) = entry.metadata() else { continue };
            if data.is_dir() && depth > 0 {
                walk(&entry.path(), depth - 1, print);
            } else if data.is_file() {
                print.insert(entry.path(), (data.modified().ok(), data.len()));
            }
        }
    }
    let mut files = Print::new();
    walk(folder, 12, &mut files);
    files
}

/// Tera's errors say what is wrong in one and where in the next.
fn chain(error: &tera::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        text.push_str(": ");
        text.push_str(part.trim());
        source = error.source();
    }
    text
}

/// `t(key = "login.title", name = ..)` in templates.
pub(crate) struct Translate {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) language: String,
}

impl tera::Function for Translate {
    fn call(&self, arguments: &HashMap<String, Value>) -> tera::Result<Value> {
        let key = arguments
            .get("key")
            .and_then(Value::as_str)
            .ok_or_else(|| tera::Error::msg("t() wants key=\"..\""))?;
        if !self.catalogue.has(key) {
            return Err(tera::Error::msg(format!("there is no message `{key}`")));
        }
        let text = self.catalogue.text(&self.language, key, &mut |name| {
            arguments.get(name).map(|value| match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            })
        });
        Ok(Value::String(text))
    }
}

/// Gives the application's own Tera our macros, partials and `t(..)`: `Template::custom(engines)`.
///
/// Rocket loads template files before it calls this, and a file cannot extend or import what is added
/// here; it can include: `{% include "security/partials/menu.html" %}`.
pub fn tera_extensions(engines: &mut rocket_dyn_templates::Engines) {
    match Catalogue::load(Path::new("templates/security/messages"), &[]) {
        Ok(catalogue) => {
            let language = super::catalogue::FALLBACK.to_string();
            engines.tera.register_function(
                "t",
                Translate {
                    catalogue: Arc::new(catalogue),
                    language,
                },
            );
        }
        Err(error) => log::error!("{error}"),
    }
    let partials = SHARED
        .iter()
        .map(|one| (one.name, one.text))
        .filter(|(name, _)| name.contains("/partials/"));
    if let Err(error) = engines.tera.add_raw_templates(partials) {
        log::error!(
            "the partials of rocket_security cannot be added: {}",
            chain(&error)
        );
    }
}
