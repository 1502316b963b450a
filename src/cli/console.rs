//! The log during a command: to standard error, errors and warnings only.

use std::{
    io::Write as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use log::{Level, LevelFilter, Log, Metadata, Record};

/// What is logged at ignition is kept, since the last of it is why the command fails.
struct Console {
    json: AtomicBool,
    kept: Mutex<Option<Vec<String>>>,
}

static CONSOLE: Console = Console {
    json: AtomicBool::new(false),
    kept: Mutex::new(None),
};

/// Takes the log, unless the application has a logger of its own.
pub(super) fn install(json: bool) {
    CONSOLE.json.store(json, Ordering::Relaxed);
    if log::set_logger(&CONSOLE).is_ok() {
        log::set_max_level(LevelFilter::Warn);
        *CONSOLE.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    }
}

/// The errors since [`install`]; those that follow are shown at once.
pub(super) fn collected() -> Vec<String> {
    CONSOLE
        .kept
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()
        .unwrap_or_default()
}

impl Log for Console {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Rocket tells how it launches as warnings; the pool repeats what the store answers.
        let target = metadata.target();
        let crates = ["rocket", "r2d2", "hyper"];
        let theirs = crates
            .iter()
            .any(|name| target == *name || target.starts_with(&format!("{name}::")));
        metadata.level() <= if theirs { Level::Error } else { Level::Warn }
            && !target.starts_with("r2d2")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = record.args().to_string();
        if record.level() == Level::Error
            && let Some(kept) = self
                .kept
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .as_mut()
        {
            kept.push(text);
            return;
        }
        let mut stderr = std::io::stderr().lock();
        // Where the log cannot be written there is nowhere to say so.
        let _ = if self.json.load(Ordering::Relaxed) {
            writeln!(stderr, "{}", serde_json::json!({ "warning": text }))
        } else {
            writeln!(stderr, "warning: {text}")
        };
    }

    fn flush(&self) {}
}
