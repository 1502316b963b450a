//! Reads the command line and does what it says.

use super::{
    console, doctor, failure,
    failure::Failure,
    mail, migrate,
    out::{Answer, Out},
    roles, templates, users,
};
use crate::{
    fairing::marks::{ForCommand, HasCommands},
    web::site::Site,
};
use clap::{Parser, Subcommand};
use rocket::{Build, Ignite, Rocket, tokio};
use std::{process::ExitCode, sync::Arc, time::Duration};

/// Serves the site, or does one of the commands below with its settings and data.
#[derive(Debug, Parser)]
#[command(version)]
struct Line {
    /// Answer with one JSON document, for scripts; errors too, on standard error.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the site, as without a command.
    Serve,
    /// Accounts: create, invite, list, show, activate, deactivate, reset-access, change-password,
    /// require-new-password, send-recovery, delete.
    #[command(subcommand)]
    Users(users::Users),
    /// Roles: create, list, delete, add, remove, add-permissions, remove-permissions.
    #[command(subcommand)]
    Roles(roles::Roles),
    /// Mails in the outbox: list, resend, send.
    #[command(subcommand)]
    Mail(mail::Mails),
    /// Built-in pages, mails and texts: list, copy.
    #[command(subcommand)]
    Templates(templates::Templates),
    /// Apply the migrations that the database lacks.
    Migrate(migrate::Migrate),
    /// Check settings, database, mail and templates.
    Doctor,
}

/// Serves the application, or does what the command line says with its settings and store.
///
/// Without arguments, or with `serve`, it serves. All else is told by `--help`.
///
/// ```no_run
/// use rocket_security::prelude::*;
///
/// fn main() -> std::process::ExitCode {
///     rocket_security::cli::run(|| rocket::build().attach(Security::default()))
/// }
/// ```
pub fn run(build: impl Fn() -> Rocket<Build>) -> ExitCode {
    run_from(std::env::args_os(), build)
}

/// Does the same with arguments that the caller gives, of which the first is the name of the program.
///
/// It runs a runtime of its own: call it outside of asynchronous code.
///
/// ```no_run
/// use rocket_security::prelude::*;
///
/// let build = || rocket::build().attach(Security::default());
/// rocket_security::cli::run_from(["app", "users", "activate", "ada@example.com"], build);
/// ```
pub fn run_from<I>(arguments: I, build: impl Fn() -> Rocket<Build>) -> ExitCode
where
    I: IntoIterator<Item: Into<std::ffi::OsString> + Clone>,
{
    let line = match Line::try_parse_from(arguments) {
        Ok(line) => line,
        Err(error) => {
            // Help that nobody reads to its end is no failure.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let out = Out::new(line.json);
    match line.command {
        None | Some(Command::Serve) => serve(build, out),
        Some(command) => execute(build, command, out),
    }
}

fn serve(build: impl Fn() -> Rocket<Build>, out: Out) -> ExitCode {
    // Rocket's own start panics on settings that it cannot read.
    if let Err(error) = rocket::Config::try_from(rocket::Config::figment()) {
        return out.fail(&Failure::new(failure::figment(&error)));
    }
    match rocket::execute(build().manage(HasCommands).launch()) {
        Ok(_) => ExitCode::SUCCESS,
        // Fairings have said why in the log.
        Err(error) => out.fail(&failure::launch(&error, Vec::new())),
    }
}

fn execute(build: impl Fn() -> Rocket<Build>, command: Command, out: Out) -> ExitCode {
    // Rocket logs to standard output, which is the command's. The first logger stays.
    console::install(out.is_json());
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return out.fail(&Failure::new(format!("no thread can be started: {error}"))),
    };
    let answer = runtime.block_on(perform(&build, command));
    runtime.shutdown_timeout(Duration::from_secs(2));
    match answer {
        Ok(answer) => out.say(&answer),
        Err(failure) => out.fail(&failure),
    }
}

async fn perform(build: &impl Fn() -> Rocket<Build>, command: Command) -> Result<Answer, Failure> {
    match command {
        // Without ignition: a broken template stops that, and the built-in one is what repairs it.
        Command::Templates(templates) => return templates::perform(&build(), templates),
        // What keeps the site from igniting is a finding like others.
        Command::Doctor => return Ok(doctor::perform(ignite(build()).await).await),
        _ => {}
    }
    let (_rocket, site) = ignite(build()).await?;
    let answer = match command {
        Command::Migrate(migrate) => migrate::perform(&site, migrate).await,
        Command::Users(users) => match migrate::as_launch_would(&site).await {
            Ok(()) => users::perform(&site, users).await,
            Err(failure) => Err(failure),
        },
        Command::Roles(roles) => match migrate::as_launch_would(&site).await {
            Ok(()) => roles::perform(&site, roles).await,
            Err(failure) => Err(failure),
        },
        Command::Mail(mails) => match migrate::as_launch_would(&site).await {
            Ok(()) => mail::perform(&site, mails).await,
            Err(failure) => Err(failure),
        },
        Command::Serve | Command::Templates(_) | Command::Doctor => {
            Err(Failure::new("this is done elsewhere"))
        }
    };
    if !site.notify.events.drain().await {
        log::warn!("a subscriber was still at work on an event when the command ended");
    }
    answer
}

/// Everything but listening.
async fn ignite(rocket: Rocket<Build>) -> Result<(Rocket<Ignite>, Arc<Site>), Failure> {
    let ignited = rocket.manage(ForCommand).ignite().await;
    let reasons = console::collected();
    let rocket = ignited.map_err(|error| failure::launch(&error, reasons))?;
    match rocket.state::<Arc<Site>>().cloned() {
        Some(site) => Ok((rocket, site)),
        None => Err(Failure::new(
            "the application has no accounts: attach `Security::default()` to its Rocket",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;
    use crate::{store::Dialect, web::security::Security};

    #[rocket::async_test]
    async fn subscribers_hear_of_every_change_before_the_command_ends() {
        if !Dialect::Sqlite.is_compiled_in() {
            return;
        }
        let folder = tempfile::TempDir::new().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let build = || {
            let figment = rocket::Config::figment()
                .merge((
                    "security.database.url",
                    folder.path().join("security.db").display().to_string(),
                ))
                .merge(("log_level", "off"));
            let heard = heard.clone();
            let security = Security::default().on(move |event| {
                let heard = heard.clone();
                async move {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    let event = serde_json::to_value(&event).unwrap_or_default();
                    let name = event["event"].as_str().unwrap_or_default().to_string();
                    heard
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(name);
                }
            });
            rocket::custom(figment).attach(security)
        };
        for (line, events) in [
            (
                "roles create admin --permission all",
                &["permissions_changed"][..],
            ),
            (
                "users create ada@example.com --no-password --role admin",
                &["registered", "role_added"],
            ),
            ("users activate ada@example.com", &["activated"]),
            ("users activate ada@example.com", &[]),
            ("users deactivate ada@example.com", &["deactivated"]),
            ("users reset-access ada@example.com", &["access_reset"]),
            ("roles remove ada@example.com admin", &["role_removed"]),
            ("roles add ada@example.com admin", &["role_added"]),
            (
                "roles add-permissions admin all more",
                &["permissions_changed"],
            ),
            ("roles remove-permissions admin none", &[]),
            (
                "roles delete admin --yes",
                &["role_removed", "permissions_changed"],
            ),
            ("users activate ada@example.com", &["activated"]),
            (
                "users require-new-password ada@example.com",
                &["password_change_required"],
            ),
            (
                "users send-recovery ada@example.com",
                &["reset_instructions_sent"],
            ),
            (
                "users send-recovery ada@example.com --print",
                &["reset_instructions_sent"],
            ),
            ("users delete ada@example.com --yes", &["deleted"]),
            ("users invite eve@example.com", &["registered", "invited"]),
            ("users invite eve@example.com --print", &["invited"]),
            ("mail list", &[]),
            ("mail resend --failed", &[]),
        ] {
            let parsed = Line::try_parse_from(["app"].into_iter().chain(line.split(' '))).unwrap();
            perform(&build, parsed.command.unwrap()).await.unwrap();
            let now = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
            assert_eq!(now, events, "{line}");
        }
    }

    #[test]
    fn the_commands_fit_together() {
        use clap::CommandFactory;
        Line::command().debug_assert();
    }
}
