//! All checks, and how they are told.

use std::sync::Arc;

use rocket::{Ignite, Rocket};
use serde::Serialize;
use serde_json::json;

use super::{
    checks, database,
    finding::{Finding, Status, fail},
};
use crate::{
    cli::{failure::Failure, out::Answer},
    web::site::Site,
};

#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    status: Status,
    detail: String,
}

/// Looks at everything; a site that does not ignite is the first and last finding.
pub(in crate::cli) async fn perform(
    ignited: Result<(Rocket<Ignite>, Arc<Site>), Failure>,
) -> Answer {
    let mut checks = Vec::new();
    let mut add = |name, (status, detail): Finding| {
        checks.push(Check {
            name,
            status,
            detail,
        })
    };
    match &ignited {
        Err(failure) => add("launch", fail(&failure.text)),
        Ok((rocket, site)) => {
            add("launch", checks::launch(rocket, site));
            add("secret", checks::secret(rocket, site));
            add("base_url", checks::base_url(site));
            let found = database::answer(site).await;
            let answers = found.0 != Status::Fail;
            add("database", found);
            if answers {
                let migrations = database::migrations(site).await;
                let current = migrations.0 == Status::Ok;
                add("migrations", migrations);
                if current {
                    add("schema", database::schema(site).await);
                    add("accounts", database::accounts(site).await);
                    add("clock", database::clock(site).await);
                    add("outbox", database::outbox(site).await);
                }
            }
            add("templates", checks::templates(site));
            add("mail", checks::mail(site).await);
            add("hashing", checks::hashing(site).await);
        }
    }
    let well = checks.iter().all(|check| check.status != Status::Fail);
    let mut text = String::new();
    for Check {
        name,
        status,
        detail,
    } in &checks
    {
        let status = match status {
            Status::Ok => "ok",
            Status::Warn => "warn",
            Status::Fail => "fail",
        };
        text.push_str(&format!("{status:4}  {name:10}  {detail}\n"));
    }
    Answer::new(text, json!({ "ok": well, "checks": checks })).well(well)
}
