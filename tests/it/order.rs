//! The order of layers: what a file of `src` may import, how long it may be, and where Rocket and Cargo's
//! features may be named.
//!
//! `ORDER` is the whole rule: a file imports from its own folder and from the layers before its own. There are no
//! exceptions.
//!
//! The arrows between the layers, as they are:
//!
//! ```text
//! SECURITY_SHOW_ORDER=1 cargo test --test it order:: -- --nocapture
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The layers from the lowest to the highest: a folder or a file of `src` each.
const ORDER: [&str; 22] = [
    "types",
    "secrets",
    "identity",
    "settings",
    "store",
    "error",
    "events",
    "templates",
    "social",
    "notify",
    "factors",
    "http",
    "core",
    "signin",
    "accounts",
    "guards",
    "web",
    "features",
    "auth",
    "fairing",
    "testing",
    "cli",
];

/// The layers that know a request, and with it Rocket.
const WITH_ROCKET: [&str; 8] = [
    "http", "guards", "web", "features", "auth", "fairing", "testing", "cli",
];

/// From this layer on, no code depends on what Cargo's features turn on, but the list of our features does.
const WITHOUT_GATES_AFTER: &str = "factors";
const LIST_OF_FEATURES: &str = "features/mod.rs";

const LONGEST_FILE: usize = 500;
const LONGEST_FUNCTION: usize = 80;
const LARGEST_CIRCLE: usize = 3;

/// Files that are tables of data and may be long.
const DATA: [&str; 1] = ["store/schema.rs"];

fn level(layer: &str) -> Option<usize> {
    ORDER.iter().position(|name| *name == layer)
}

/// What one file of `src` shows of itself.
#[derive(Default)]
struct File {
    /// Below `src`, such as `store/users.rs`.
    path: String,
    module: Vec<String>,
    lines: usize,
    /// Every path that begins at the crate, as segments from its root.
    paths: BTreeSet<Vec<String>>,
    /// What a `mod.rs` passes on from its own files: the name, and where it comes from.
    passes_on: BTreeMap<String, Vec<String>>,
    names_rocket: bool,
    has_gates: bool,
    long_functions: BTreeSet<String>,
}

impl File {
    fn layer(&self) -> &str {
        &self.module[0]
    }

    fn read(src: &Path, file: &Path) -> Self {
        let path = file.strip_prefix(src).unwrap().display().to_string();
        let text = fs::read_to_string(file).unwrap();
        let mut module: Vec<String> = path
            .trim_end_matches(".rs")
            .split('/')
            .map(String::from)
            .collect();
        if module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        let mut read = Self {
            path,
            module: module.clone(),
            lines: text.lines().count(),
            ..Self::default()
        };
        let tokens: TokenStream = text.parse().unwrap();
        read.walk(&tokens.into_iter().collect::<Vec<_>>(), &module);
        read
    }

    fn walk(&mut self, tokens: &[TokenTree], module: &[String]) {
        let mut at = 0;
        while at < tokens.len() {
            if is_punct(tokens.get(at), '#') && is_test_only(tokens.get(at + 1)) {
                at = after_item(tokens, at + 2);
                continue;
            }
            match &tokens[at] {
                TokenTree::Ident(word) => {
                    let word = word.to_string();
                    let fresh = at == 0 || !is_punct(tokens.get(at - 1), ':');
                    let in_macro = at > 0 && is_punct(tokens.get(at - 1), '$');
                    let leads =
                        is_punct(tokens.get(at + 1), ':') && is_punct(tokens.get(at + 2), ':');
                    match word.as_str() {
                        "rocket" if fresh && leads => self.names_rocket = true,
                        "crate" if leads && !in_macro => self.take(tokens, at + 3, Vec::new()),
                        "super" | "self" if fresh && leads => {
                            let (next, base) = relative(tokens, at, module);
                            self.take(tokens, next, base);
                        }
                        "cfg" | "cfg_attr" if asks_for_feature(tokens, at + 1) => {
                            self.has_gates = true
                        }
                        "fn" => self.measure(tokens, at),
                        "mod" => {
                            let name = tokens
                                .get(at + 1)
                                .map(ToString::to_string)
                                .unwrap_or_default();
                            if let Some(inside) = braces(tokens.get(at + 2)) {
                                let inner: Vec<String> =
                                    module.iter().cloned().chain([name]).collect();
                                self.walk(&inside, &inner);
                                at += 3;
                                continue;
                            }
                        }
                        _ => {}
                    }
                }
                TokenTree::Group(group) => {
                    self.walk(&group.stream().into_iter().collect::<Vec<_>>(), module);
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// Notes the paths of a tree such as `{a::B, c::{D, E}}` that begins at `at`, below `base`.
    fn take(&mut self, tokens: &[TokenTree], at: usize, base: Vec<String>) {
        match tokens.get(at) {
            Some(TokenTree::Ident(name)) => {
                let mut path = base;
                // `use super::{self, ..}`
                if *name != "self" {
                    path.push(name.to_string());
                }
                if is_punct(tokens.get(at + 1), ':') && is_punct(tokens.get(at + 2), ':') {
                    let ends = !matches!(
                        tokens.get(at + 3),
                        Some(TokenTree::Ident(_) | TokenTree::Group(_))
                    );
                    match ends {
                        true => self.note(path),
                        false => self.take(tokens, at + 3, path),
                    }
                } else {
                    self.note(path);
                }
            }
            Some(group @ TokenTree::Group(_)) => {
                let inside = braces(Some(group)).unwrap_or_default();
                for part in inside.split(|token| is_punct(Some(token), ',')) {
                    if !part.is_empty() {
                        self.take(part, 0, base.clone());
                    }
                }
            }
            _ => self.note(base),
        }
    }

    fn note(&mut self, path: Vec<String>) {
        let from_own = path.len() > self.module.len() + 1 && path.starts_with(&self.module);
        if from_own && self.path.ends_with("mod.rs") {
            let name = path.last().cloned().unwrap_or_default();
            self.passes_on.insert(name, path.clone());
        }
        self.paths.insert(path);
    }

    fn measure(&mut self, tokens: &[TokenTree], at: usize) {
        let Some(TokenTree::Ident(name)) = tokens.get(at + 1) else {
            return;
        };
        for token in &tokens[at..] {
            if is_punct(Some(token), ';') {
                return;
            }
            if let TokenTree::Group(body) = token
                && body.delimiter() == Delimiter::Brace
            {
                let from = tokens[at].span().start().line;
                if body.span_close().end().line - from >= LONGEST_FUNCTION {
                    self.long_functions.insert(name.to_string());
                }
                return;
            }
        }
    }
}

fn is_punct(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}

fn braces(token: Option<&TokenTree>) -> Option<Vec<TokenTree>> {
    match token? {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
            Some(group.stream().into_iter().collect())
        }
        _ => None,
    }
}

/// Whether this is the `[cfg(test)]` of an attribute.
fn is_test_only(token: Option<&TokenTree>) -> bool {
    token.is_some_and(|token| token.to_string().replace(' ', "") == "[cfg(test)]")
}

/// The place behind the item at `at`: behind its block or its semicolon.
fn after_item(tokens: &[TokenTree], mut at: usize) -> usize {
    while at < tokens.len() {
        let ends = is_punct(tokens.get(at), ';') || braces(tokens.get(at)).is_some();
        at += 1;
        if ends {
            break;
        }
    }
    at
}

fn asks_for_feature(tokens: &[TokenTree], at: usize) -> bool {
    let at = at + usize::from(is_punct(tokens.get(at), '!'));
    matches!(tokens.get(at), Some(group @ TokenTree::Group(_)) if group.to_string().contains("feature ="))
}

/// Where the path goes on behind `super::super::`, and the module that it goes on from.
fn relative(tokens: &[TokenTree], mut at: usize, module: &[String]) -> (usize, Vec<String>) {
    let mut base = module.to_vec();
    loop {
        let leads = is_punct(tokens.get(at + 1), ':') && is_punct(tokens.get(at + 2), ':');
        match tokens.get(at) {
            Some(TokenTree::Ident(word)) if *word == "super" && leads => {
                base.pop();
            }
            Some(TokenTree::Ident(word)) if *word == "self" && leads => {}
            _ => return (at, base),
        }
        at += 3;
    }
}

fn read_all() -> Vec<File> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => collect(&path, found),
                false if path.extension().is_some_and(|ext| ext == "rs") => found.push(path),
                false => {}
            }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&src, &mut found);
    found.sort();
    found
        .iter()
        .filter(|path| !path.ends_with("src/lib.rs") && !path.ends_with("src/main.rs"))
        .map(|path| File::read(&src, path))
        .collect()
}

/// The arrows from one layer to others, with the files that draw each.
fn arrows(files: &[File]) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut arrows = BTreeMap::<_, BTreeSet<String>>::new();
    for file in files {
        for path in &file.paths {
            let Some(to) = path.first().filter(|to| *to != file.layer()) else {
                continue;
            };
            let arrow = (file.layer().to_string(), to.clone());
            arrows.entry(arrow).or_default().insert(file.path.clone());
        }
    }
    arrows
}

/// Files of one folder that import each other in a circle of more than [`LARGEST_CIRCLE`].
fn circles(files: &[File]) -> Vec<String> {
    let by_module: BTreeMap<&[String], &File> =
        files.iter().map(|file| (&file.module[..], file)).collect();
    // The file that a path leads to, through what a `mod.rs` passes on.
    let file_of = |path: &[String]| -> Option<usize> {
        let mut path = path.to_vec();
        for _ in 0..4 {
            let module = (1..=path.len())
                .rev()
                .find(|length| by_module.contains_key(&path[..*length]))?;
            let file = by_module[&path[..module]];
            match path.get(module).and_then(|name| file.passes_on.get(name)) {
                Some(from) if *from != path => path = from.clone(),
                _ => return files.iter().position(|one| one.path == file.path),
            }
        }
        None
    };
    let mut next: Vec<BTreeSet<usize>> = Vec::new();
    for file in files {
        let own = |to: &usize| files[*to].layer() == file.layer() && files[*to].path != file.path;
        let is_list = file.path.ends_with("mod.rs");
        let to = file.paths.iter().filter_map(|path| file_of(path));
        next.push(
            to.filter(own)
                .filter(|to| !is_list || !files[*to].module.starts_with(&file.module))
                .collect(),
        );
    }
    let reach = |from: usize| {
        let mut seen = BTreeSet::new();
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            for to in &next[at] {
                if seen.insert(*to) {
                    open.push(*to);
                }
            }
        }
        seen
    };
    let reached: Vec<BTreeSet<usize>> = (0..files.len()).map(reach).collect();
    let mut found = BTreeSet::new();
    for (at, of) in reached.iter().enumerate() {
        let mut circle: Vec<usize> = of
            .iter()
            .copied()
            .filter(|to| reached[*to].contains(&at))
            .collect();
        circle.sort_unstable();
        if circle.len() > LARGEST_CIRCLE {
            found.insert(circle);
        }
    }
    found
        .into_iter()
        .flat_map(|circle| {
            let layer = files[circle[0]].layer();
            circle
                .iter()
                .map(move |at| format!("circle in {layer}: {}", files[*at].path))
                .collect::<Vec<_>>()
        })
        .collect()
}

fn offences(files: &[File]) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = circles(files).into_iter().collect();
    let free = level(WITHOUT_GATES_AFTER).unwrap();
    for file in files {
        let (path, own) = (&file.path, level(file.layer()));
        if own.is_none() {
            found.insert(format!("no layer: {path}"));
        }
        for to in file.paths.iter().filter_map(|path| path.first()) {
            if to == file.layer() {
                continue;
            }
            match (level(to), own) {
                (None, _) => {
                    found.insert(format!("no layer: {path} -> {to}"));
                }
                (Some(to_level), Some(own)) if to_level >= own => {
                    found.insert(format!("climbs: {path} -> {to}"));
                }
                _ => {}
            }
        }
        if file.names_rocket && !WITH_ROCKET.contains(&file.layer()) {
            found.insert(format!("names rocket: {path}"));
        }
        let gated = file.has_gates && path != LIST_OF_FEATURES;
        if gated && own.is_none_or(|own| own > free) {
            found.insert(format!("depends on a feature of Cargo: {path}"));
        }
        if file.lines > LONGEST_FILE && !DATA.contains(&path.as_str()) {
            found.insert(format!("long file: {path}"));
        }
        for name in &file.long_functions {
            found.insert(format!("long function: {path}: {name}"));
        }
    }
    found
}

#[test]
fn every_file_imports_from_lower_layers_only() {
    let files = read_all();
    assert!(files.len() > 100, "only {} files were read", files.len());
    if std::env::var_os("SECURITY_SHOW_ORDER").is_some() {
        for ((from, to), by) in arrows(&files) {
            let up = level(&to) >= level(&from) || level(&to).is_none();
            eprintln!(
                "{from} -> {to}: {} files{}",
                by.len(),
                if up { ", up" } else { "" }
            );
        }
        for offence in offences(&files) {
            eprintln!("offence: {offence}");
        }
    }
    let found = offences(&files);
    assert!(found.is_empty(), "against the order of layers: {found:#?}");
}

/// What the test would find in a file that breaks the rules.
#[test]
fn what_breaks_the_order_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let src = folder.path();
    let write = |path: &str, text: &str| {
        let file = src.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        File::read(src, &file)
    };
    let files = [
        write(
            "store/users.rs",
            "use crate::{error::Error, web::{Page, Reply}};\nuse crate::Message;",
        ),
        write(
            "store/a.rs",
            "use super::b::B; // crate::cli\nconst T: &str = \"crate::cli\";",
        ),
        write("store/b.rs", "fn f() { super::c::g() }"),
        write("store/c.rs", "use super::d::{self};"),
        write(
            "store/d.rs",
            "use super::A;\nfn f() -> rocket::Rocket { crate::types::x() }",
        ),
        write(
            "store/mod.rs",
            "mod a; mod b; mod c; mod d;\npub(crate) use self::a::A;",
        ),
        write(
            "web/page.rs",
            "#[cfg(feature = \"social\")] fn f() {}\n#[cfg(test)] mod tests { use crate::cli; }",
        ),
    ];
    let found: Vec<String> = offences(&files).into_iter().collect();
    assert_eq!(
        found,
        [
            "circle in store: store/a.rs",
            "circle in store: store/b.rs",
            "circle in store: store/c.rs",
            "circle in store: store/d.rs",
            "climbs: store/users.rs -> error",
            "climbs: store/users.rs -> web",
            "depends on a feature of Cargo: web/page.rs",
            "names rocket: store/d.rs",
            "no layer: store/users.rs -> Message",
        ]
    );
}
