//! The database at launch: connected, and brought up to date.

use std::time::Duration;

use rocket::tokio;

use crate::{
    settings::{ConfigError, Settings},
    store::{DatabaseUrl, Store, StoreError, drift},
    types::SharedClock,
};

/// Connects by the settings; for SQLite, makes the folder of its file.
pub(crate) async fn connect(settings: &Settings, clock: SharedClock) -> Result<Store, ConfigError> {
    let url = DatabaseUrl::parse(settings.database.url.expose())
        .map_err(|problem| ConfigError(format!("`security.database.url` {problem}")))?;
    if let Some(file) = url.file()
        && let Some(folder) = file.parent()
        && !folder.as_os_str().is_empty()
    {
        std::fs::create_dir_all(folder).map_err(|error| {
            ConfigError(format!(
                "`security.database.url`: the folder {} cannot be made: {error}",
                folder.display()
            ))
        })?;
    }
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let size = settings
        .database
        .connections
        .unwrap_or((cores * 2).max(4) as u32);
    let patience = settings.database.patience.get();
    tokio::task::spawn_blocking(move || Store::connect_to(url, size, patience, clock))
        .await
        .map_err(|error| ConfigError(error.to_string()))?
        .map_err(|error| ConfigError(format!("`security.database.url`: {error}")))
}

/// Applies what is pending and names it. Of two servers that start at once one is faster; the other
/// waits until it is done.
pub(crate) async fn migrate(store: &Store) -> Result<Vec<String>, ConfigError> {
    let mut tries = 5;
    loop {
        let outcome = store
            .read(|conn| {
                conn.migrate()
                    .map_err(|error| StoreError::Refused(error.to_string()))
            })
            .await;
        match outcome {
            Ok(applied) => return Ok(applied),
            Err(_) if tries > 0 && matches!(pending(store).await.as_deref(), Ok([])) => {
                return Ok(Vec::new());
            }
            Err(_) if tries > 0 => {
                tries -= 1;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(error) => {
                let obstacle = obstacle(store).await.ok().flatten();
                return Err(ConfigError(obstacle.unwrap_or_else(|| {
                    format!("the migrations cannot be applied: {error}")
                })));
            }
        }
    }
}

/// Names of the migrations that the database lacks.
pub(crate) async fn pending(store: &Store) -> Result<Vec<String>, StoreError> {
    store
        .read(|conn| {
            conn.pending_migrations()
                .map_err(|error| StoreError::Broken(error.to_string()))
        })
        .await
}

/// Why the pending migrations cannot be applied, and what to do; `None` if nothing is in their way.
pub(crate) async fn obstacle(store: &Store) -> Result<Option<String>, StoreError> {
    store.read(drift::obstacle).await
}

/// Refuses a database that cannot hold our texts.
pub(crate) async fn fits(store: &Store) -> Result<(), ConfigError> {
    match store.read(drift::misfit).await {
        Ok(None) => Ok(()),
        Ok(Some(problem)) => Err(ConfigError(problem)),
        Err(error) => Err(ConfigError(format!(
            "the encoding of the database cannot be asked for: {error}"
        ))),
    }
}
