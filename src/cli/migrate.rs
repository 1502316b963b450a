//! `migrate`: bringing the tables up to date.

use clap::Args;
use serde_json::json;

use super::{
    failure::Failure,
    out::{Answer, count},
};
use crate::{fairing::database, web::site::Site};

#[derive(Debug, Args)]
pub(super) struct Migrate {
    /// Only list what is pending, and exit with 1 if anything is.
    #[arg(long)]
    check: bool,
}

pub(super) async fn perform(site: &Site, migrate: Migrate) -> Result<Answer, Failure> {
    let pending = database::pending(&site.store).await?;
    if pending.is_empty() {
        let key = if migrate.check { "pending" } else { "applied" };
        return Ok(Answer::new(
            "the database is up to date",
            json!({ key: [] }),
        ));
    }
    let names = pending.join("\n  ");
    let number = count(pending.len(), "migration", "migrations");
    if migrate.check {
        return Ok(Answer::new(
            format!("{number} pending:\n  {names}"),
            json!({ "pending": pending }),
        )
        .well(false));
    }
    database::migrate(&site.store)
        .await
        .map_err(|error| Failure::new(error.to_string()))?;
    Ok(Answer::new(
        format!("{number} applied:\n  {names}"),
        json!({ "applied": pending }),
    ))
}

/// Before a command that needs the tables: a launch would have made them, unless the settings say no.
pub(super) async fn as_launch_would(site: &Site) -> Result<(), Failure> {
    let pending = database::pending(&site.store).await?;
    if pending.is_empty() {
        return Ok(());
    }
    if !site.settings.database.migrate {
        let number = count(pending.len(), "migration", "migrations");
        return Err(Failure::new(format!(
            "the database lacks {number}; apply with the command `migrate`"
        )));
    }
    database::migrate(&site.store)
        .await
        .map(drop)
        .map_err(|error| Failure::new(error.to_string()))
}
